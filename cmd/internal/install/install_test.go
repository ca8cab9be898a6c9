package install_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/petpro/fabric/cmd/internal/install"
	"github.com/petpro/fabric/publisher/pgdb"
	"github.com/petpro/fabric/test/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func ExamplePrint() {
	_ = install.Print(os.Stdout, "what source petpro needs", []pgdb.Statement{
		{SQL: "ALTER SYSTEM SET wal_level = 'logical'", Why: "Takes effect when PostgreSQL is restarted."},
		{SQL: "GRANT SELECT (id) ON bookings TO fabric", Why: "For the first publication, and for large values that the log does not repeat, however large they are."},
		{SQL: "CREATE PUBLICATION fabric_petpro FOR TABLE bookings;"},
	})
	// Output:
	// -- what source petpro needs
	// \set ON_ERROR_STOP on
	//
	// -- Takes effect when PostgreSQL is restarted.
	// ALTER SYSTEM SET wal_level = 'logical';
	//
	// BEGIN;
	//
	// -- For the first publication, and for large values that the log does not
	// -- repeat, however large they are.
	// GRANT SELECT (id) ON bookings TO fabric;
	//
	// CREATE PUBLICATION fabric_petpro FOR TABLE bookings;
	//
	// COMMIT;
}

// statements that cannot all be one transaction, one of several lines, and one
// that holds a semicolon.
var statements = []pgdb.Statement{
	{SQL: "CREATE TABLE rows (id int PRIMARY KEY, state text NOT NULL)", Why: "a table"},
	{SQL: "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS rows_identity ON rows (id, state)", Why: "may take long, and must not stop the shop"},
	{SQL: "ALTER TABLE rows REPLICA IDENTITY USING INDEX rows_identity", Why: "an identity"},
	{SQL: "DO $$\nBEGIN\n  INSERT INTO rows VALUES (1, 'a;b');\nEND $$", Why: "a row"},
	{SQL: "drop index concurrently if exists nothing", Why: "in lower case"},
}

// What is printed for psql and what is applied do the same.
func TestBothWays(t *testing.T) {
	for name, run := range map[string]func(t *testing.T, dsn string) (string, error){
		"psql": func(t *testing.T, dsn string) (string, error) {
			var script bytes.Buffer
			if err := install.Print(&script, "a title", statements); err != nil {
				t.Fatal(err)
			}
			psql := exec.CommandContext(t.Context(), "psql", "--no-psqlrc", "--quiet", dsn)
			psql.Stdin = &script
			out, err := psql.CombinedOutput()
			return string(out), err
		},
		"apply": func(t *testing.T, dsn string) (string, error) {
			var out strings.Builder
			err := install.Apply(t.Context(), &out, dsn, statements)
			return out.String(), err
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := pgtest.New(t)
			out, err := run(t, db.DSN)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			var rows int
			var identity string
			if err := db.Conn(t).QueryRow(t.Context(), "SELECT count(*), (SELECT relreplident::text FROM pg_class WHERE relname = 'rows') FROM rows WHERE state = 'a;b'").Scan(&rows, &identity); err != nil || rows != 1 || identity != "i" {
				t.Errorf("%d rows, identity %q, %v", rows, identity, err)
			}
		})
	}
}

func TestApplyTellsWhatItDid(t *testing.T) {
	db := pgtest.New(t)
	var out strings.Builder
	if err := install.Apply(t.Context(), &out, db.DSN, statements); err != nil {
		t.Fatal(err)
	}
	const want = "1/5  CREATE TABLE rows (id int PRIMARY KEY, state text NOT NULL)\n" +
		"2/5  CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS rows_identity ON rows (id, state)\n" +
		"3/5  ALTER TABLE rows REPLICA IDENTITY USING INDEX rows_identity\n4/5  a row\n5/5  drop index concurrently if exists nothing\n"
	if out.String() != want {
		t.Errorf("told\n%s, want\n%s", out.String(), want)
	}
	out.Reset()
	if err := install.Apply(t.Context(), &out, db.DSN, nil); err != nil || out.String() != "nothing is to be done\n" {
		t.Errorf("of nothing it told %q, %v", out.String(), err)
	}
}

// A failure undoes its transaction and no other, and says how far it came.
func TestApplyFails(t *testing.T) {
	bad := pgdb.Statement{SQL: "GRANT SELECT ON nothing TO nobody"}
	for _, tt := range []struct {
		at   int
		want string
		left bool
	}{
		{1, "nothing was changed", false},
		{2, "2 of 6 statements were done, the rest was not; it can be run again", true},
		{5, "5 of 6 statements were done", true},
	} {
		t.Run(fmt.Sprint(tt.at), func(t *testing.T) {
			db := pgtest.New(t)
			all := append(append(append([]pgdb.Statement{}, statements[:tt.at]...), bad), statements[tt.at:]...)
			var out strings.Builder
			err := install.Apply(t.Context(), &out, db.DSN, all)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "    GRANT SELECT ON nothing TO nobody;\n") || !strings.Contains(err.Error(), `relation "nothing" does not exist`) {
				t.Errorf("Apply = %v, want %q in it", err, tt.want)
			}
			var left bool
			if err := db.Conn(t).QueryRow(t.Context(), "SELECT to_regclass('rows') IS NOT NULL").Scan(&left); err != nil || left != tt.left {
				t.Errorf("the table is there: %t, %v; want %t", left, err, tt.left)
			}
		})
	}
	if err := install.Apply(t.Context(), &strings.Builder{}, "host=127.0.0.1 port=1 password=s3cr3t", statements); err == nil || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("Apply on no server = %v", err)
	}
}
