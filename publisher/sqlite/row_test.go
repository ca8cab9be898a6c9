package sqlite

import (
	"database/sql"
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/petpro/fabric/publisher"
)

// FuzzRow lets SQLite write values and compares what is read.
func FuzzRow(f *testing.F) {
	f.Add("Rex", []byte{0, 255}, int64(4), 0.1, "name")
	f.Add("it's \"so\"=NULL,'", []byte{}, int64(math.MinInt64), math.Inf(-1), `a"b=',`)
	f.Add("", []byte("x"), int64(math.MaxInt64), 1e17, "")
	f.Add("a\x00b", []byte(nil), int64(0), math.SmallestNonzeroFloat64, "ü")
	f.Add("\xff", []byte("'"), int64(-1), 123456789012345.67, "'")
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { db.Close() })
	f.Fuzz(func(t *testing.T, text string, blob []byte, integer int64, real float64, column string) {
		if strings.Contains(column, "\x00") || strings.Contains("b i r n", strings.ToLower(column)) && column != "" {
			return // no name of a column
		}
		columns := []string{column, "b", "i", "r", "n"}
		query := "SELECT " + rowSQL("x", columns) + " FROM (SELECT ? AS " + quoteName(column) + ", ? AS b, ? AS i, ? AS r, NULL AS n) AS x"
		var got string
		if err := db.QueryRow(query, text, blob, integer, real).Scan(&got); err != nil {
			return // a name that SQLite refuses
		}
		row, err := parseRow(got, columns)
		if err != nil {
			t.Fatal(err)
		}
		text, _, _ = strings.Cut(text, "\x00")
		want := map[string]publisher.Value{
			column: {Text: text, Valid: true},
			"b":    {Text: hex.EncodeToString(blob), Valid: blob != nil},
			"i":    {Text: strconv.FormatInt(integer, 10), Valid: true},
			"n":    {},
		}
		for name, v := range want {
			if row[name] != v {
				t.Errorf("column %q of %s = %+v, want %+v", name, got, row[name], v)
			}
		}
		if math.IsNaN(real) {
			real = 0 // NULL to SQLite
			if row["r"].Valid {
				t.Errorf("NaN = %+v, want NULL", row["r"])
			}
		} else if f, err := strconv.ParseFloat(row["r"].Text, 64); err != nil || f != real || !strings.ContainsAny(row["r"].Text, ".I") {
			t.Errorf("real %v is shown as %q in %s", real, row["r"].Text, got)
		}
	})
}

// FuzzParseRow feeds what no SQLite wrote.
func FuzzParseRow(f *testing.F) {
	for _, s := range []string{"", `"a"=1`, `"a"=1,`, `"a"='x`, `"a"=X'0g'`, `"a"=X'00','b'=2`, `"a`, `"a"`, `"a"=NULLX`, `"a"=NaN`, `"a"=0x10`, `a=1`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		row, err := parseRow(s, []string{"a", "b"})
		if (err == nil) == (row == nil) {
			t.Errorf("parseRow(%q) = %v, %v", s, row, err)
		}
		if len(row) > 2 {
			t.Errorf("parseRow(%q) = %v, which has columns that are not listed", s, row)
		}
	})
}

func TestParseRowErrors(t *testing.T) {
	for _, s := range []string{"", `"a"=1,`, `"a"='x`, `"a"=X'0g'`, `"a`, `"a"`, `"a"=NULLX`, `"a"=NaN`, `"a"=`, `a=1`, `"a"='x''`, `"a"='x'y`} {
		if row, err := parseRow(s, []string{"a"}); err == nil {
			t.Errorf("parseRow(%q) = %v, want an error", s, row)
		}
	}
}

func TestRealText(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0.0", 1: "1.0", -1.5: "-1.5", 0.1: "0.1", 0.0001: "0.0001", 0.00001: "1.0e-05", 1234567: "1234567.0",
		1e16: "10000000000000000.0", 1e17: "1.0e+17", 1.5e300: "1.5e+300", 2461367.5: "2461367.5",
		math.Inf(1): "Inf", math.Inf(-1): "-Inf",
	} {
		if got := realText(f); got != want {
			t.Errorf("realText(%v) = %q, want %q", f, got, want)
		}
	}
}

func TestPlace(t *testing.T) {
	for _, s := range []string{"", "init", "17", "17/2", "17/", "/0", "-1/0", "x/0", "17/0/0", "99999999999999999999/0"} {
		if p, err := parsePlace(s); err == nil {
			t.Errorf("parsePlace(%q) = %v, want an error", s, p)
		}
	}
	src := new(Source)
	ordered := []string{"init", "0/0", "0/1", "9/0", "9/1", "10/0", "9007199254740993/0"}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := src.Compare(a, b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("Compare(%q, %q) = %d", a, b, got)
			}
		}
	}
}
