package pgdb_test

import (
	"fmt"
	"testing"

	"github.com/petpro/fabric/publisher/pgdb"
	"github.com/petpro/fabric/test/pgtest"
)

func TestLSN(t *testing.T) {
	for text, want := range map[string]pgdb.LSN{"0/0": 0, "0/16B3748": 0x16B3748, "16/B374D848": 0x16_B374D848, "FFFFFFFF/FFFFFFFF": 1<<64 - 1} {
		got, err := pgdb.ParseLSN(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("ParseLSN(%q) = %d %q, %v, want %d", text, got, got, err, want)
		}
	}
	for _, text := range []string{"", "/", "0", "0/", "/0", "0/G", "0/100000000", "1/2/3", "-1/0", "0/ 1"} {
		if got, err := pgdb.ParseLSN(text); err == nil {
			t.Errorf("ParseLSN(%q) = %s, want an error", text, got)
		}
	}
}

func FuzzParseLSN(f *testing.F) {
	f.Add("0/16B3748")
	f.Add("ffffffff/00000001")
	f.Fuzz(func(t *testing.T, text string) {
		lsn, err := pgdb.ParseLSN(text)
		if err != nil {
			return
		}
		if again, err := pgdb.ParseLSN(lsn.String()); err != nil || again != lsn {
			t.Errorf("%q is %s, which is %s, %v", text, lsn, again, err)
		}
	})
}

// What is quoted is what the server takes it for.
func TestQuote(t *testing.T) {
	db := pgtest.New(t)
	conn := connect(t, db.DSN, pgdb.Options{})
	for _, name := range []string{"plain", "camelCase", "two words", `quo"te`, `a'b`, `back\slash`, `\' OR 1=1 --`, "ünï", "select", "a.b", "%s", "$1"} {
		query := fmt.Sprintf(`SELECT %s FROM (SELECT %s AS %s) AS %s`,
			pgdb.Quote(name, name), pgdb.QuoteLiteral(name), pgdb.Quote(name), pgdb.Quote(name))
		for _, conforming := range []string{"on", "off"} {
			if _, err := conn.Exec(t.Context(), "SET standard_conforming_strings = "+conforming); err != nil {
				t.Fatal(err)
			}
			results, err := conn.PgConn().Exec(t.Context(), query).ReadAll()
			if err != nil {
				t.Errorf("%s: %v", query, err)
				continue
			}
			field := results[0].FieldDescriptions[0].Name
			if got := string(results[0].Rows[0][0]); got != name || field != name {
				t.Errorf("%s gives %q as %q, want %q", query, got, field, name)
			}
		}
	}
}

func TestAlike(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"user_id", "userId", true}, {"bookings", "booking", true}, {"Bookings", "bookings", true},
		{"status", "state", false}, {"status", "sttaus", true}, {"customer_id", "custmer_id", true},
		{"id", "ip", false}, {"a", "b", false}, {"", "x", false}, {"user_id", "vendor_id", false},
	} {
		if got := pgdb.Alike(c.a, c.b); got != c.want {
			t.Errorf("Alike(%q, %q) = %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func ExampleQuote() {
	fmt.Println(pgdb.Quote("sales", "bookings"))
	fmt.Println(pgdb.QuoteList([]string{"id", "userId"}))
	fmt.Println(pgdb.QuoteLiteral("it's"))
	// Output:
	// "sales"."bookings"
	// "id", "userId"
	// 'it''s'
}

func ExampleLSN() {
	lsn, err := pgdb.ParseLSN("0/16B3748")
	fmt.Println(uint64(lsn), lsn, err)
	// Output: 23803720 0/16B3748 <nil>
}

func ExampleText() {
	fmt.Println(pgdb.Text(pgdb.BoolOID, "t"), pgdb.Text(25, "t"))
	// Output: true t
}
