package outbox

import (
	"slices"
	"strings"
	"testing"

	"github.com/petpro/fabric/publisher"
)

func text(s string) publisher.Value { return publisher.Value{Text: s, Valid: true} }

func TestParseRecord(t *testing.T) {
	null := publisher.Value{}
	tests := []struct {
		record string
		want   []publisher.Value
	}{
		{"()", []publisher.Value{null}},
		{`("")`, []publisher.Value{text("")}},
		{"(,)", []publisher.Value{null, null}},
		{"(a,b c,3)", []publisher.Value{text("a"), text("b c"), text("3")}},
		{`("a,b",,"c""d","e\\f","")`, []publisher.Value{text("a,b"), null, text(`c"d`), text(`e\f`), text("")}},
		{`("""","\\","(x)"," ")`, []publisher.Value{text(`"`), text(`\`), text("(x)"), text(" ")}},
		{`("""""")`, []publisher.Value{text(`""`)}},
	}
	for _, tt := range tests {
		got := make([]publisher.Value, len(tt.want))
		if err := parseRecord(tt.record, got); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("parseRecord(%s) = %v, %v, want %v", tt.record, got, err, tt.want)
		}
	}
	for _, bad := range []string{"", "(", "a", "(a", "a)", "(a)", "(a,b,c)", `("a,b)`, `("a"b,c)`, `("a\",b)`, `("a"",b)`, "(a,b"} {
		if err := parseRecord(bad, make([]publisher.Value, 2)); err == nil {
			t.Errorf("parseRecord(%s) of 2 fields does not complain", bad)
		}
	}
}

// FuzzParseRecord writes what was parsed as PostgreSQL does, and parses it again.
func FuzzParseRecord(f *testing.F) {
	for _, s := range []string{"()", `("")`, "(a,b)", `("a,b",,"c""d","e\\f")`, `(""")`} {
		f.Add(s, 1+strings.Count(s, ","))
	}
	f.Fuzz(func(t *testing.T, record string, n int) {
		if n < 1 || n > 100 {
			return
		}
		fields, again := make([]publisher.Value, n), make([]publisher.Value, n)
		if parseRecord(record, fields) != nil {
			return
		}
		written := writeRecord(fields)
		if err := parseRecord(written, again); err != nil || !slices.Equal(fields, again) {
			t.Fatalf("%q is %v, written %q it is %v, %v", record, fields, written, again, err)
		}
	})
}

// writeRecord is record_out.
func writeRecord(fields []publisher.Value) string {
	parts := make([]string, len(fields))
	for i, v := range fields {
		switch {
		case !v.Valid:
		case v.Text == "" || strings.ContainsAny(v.Text, "\"\\(), \t\n\v\f\r"):
			parts[i] = `"` + strings.NewReplacer(`"`, `""`, `\`, `\\`).Replace(v.Text) + `"`
		default:
			parts[i] = v.Text
		}
	}
	return "(" + strings.Join(parts, ",") + ")"
}

func TestPlace(t *testing.T) {
	var s Source
	ordered := []string{"nonsense", "1-00000000/0", "1-ffffffff/1", "2-aaaaaaaa/0", "2-aaaaaaaa/9", "2-aaaaaaaa/10", "10-00000000/0"}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := s.Compare(a, b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("Compare(%q, %q) = %d", a, b, got)
			}
		}
		if p, err := parsePlace(a); i > 0 && (err != nil || p.String() != a) {
			t.Errorf("parsePlace(%q) = %v, %v", a, p, err)
		}
	}
	for _, bad := range []string{"", "1", "1/2", "a-b/c", "1-x/-1", "-1-x/0", "1-x/y", "17/0/2"} {
		if p, err := parsePlace(bad); err == nil {
			t.Errorf("parsePlace(%q) = %v, want an error", bad, p)
		}
	}
}

func TestObjectName(t *testing.T) {
	long := strings.Repeat("ä", 40)
	for _, table := range []string{"bookings", long, long + "x"} {
		if got := objectName(truncatePrefix, table); len(got) > longestName {
			t.Errorf("objectName(%q) = %q, of %d bytes", table, got, len(got))
		}
	}
	if objectName("log", long) == objectName("log", long+"x") {
		t.Error("two tables have one name")
	}
}
