package outbox_test

import (
	"strings"
	"testing"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/test/pgtest"
)

// TestChanges executes statements and compares what Run emits.
func TestChanges(t *testing.T) {
	tests := []struct {
		name, schema string
		mapping      publisher.Mapping
		before, do   string
		want         string
	}{
		{
			name: "insert, update, delete", schema: "CREATE TABLE t (id int PRIMARY KEY, a text, secret text)", mapping: plainMapping("t", "id", "id", "a"),
			do: "INSERT INTO t VALUES (1, 'x', 's'); UPDATE t SET a = NULL; UPDATE t SET a = ''; DELETE FROM t",
			want: `
Insert t new(a=x id=1)
Update t old(a=x id=1) new(a=NULL id=1)
Update t old(a=NULL id=1) new(a= id=1)
Delete t old(a= id=1)`,
		},
		{
			name: "no listed column changes", schema: "CREATE TABLE t (id int PRIMARY KEY, a text, secret text)", mapping: plainMapping("t", "id", "id", "a"),
			before: "INSERT INTO t VALUES (1, 'x', 's')",
			do:     "UPDATE t SET secret = 'other'; UPDATE t SET a = a; UPDATE t SET a = 'y'",
			want:   "Update t old(a=x id=1) new(a=y id=1)",
		},
		{
			name: "values that are equal and not the same", schema: "CREATE TABLE t (id int PRIMARY KEY, n numeric, f float8)", mapping: plainMapping("t", "id", "id", "n", "f"),
			before: "INSERT INTO t VALUES (1, 1.0, 0)",
			do:     "UPDATE t SET n = 1.00; UPDATE t SET f = '-0'",
			want: `
Update t old(f=0 id=1 n=1.0) new(f=0 id=1 n=1.00)
Update t old(f=0 id=1 n=1.00) new(f=-0 id=1 n=1.00)`,
		},
		{
			name: "the key changes", schema: "CREATE TABLE t (id int PRIMARY KEY, a text)", mapping: plainMapping("t", "id", "id", "a"),
			before: "INSERT INTO t VALUES (1, 'x')",
			do:     "UPDATE t SET id = 2",
			want:   "Update t old(a=x id=1) new(a=x id=2)",
		},
		{
			name: "truncate", schema: "CREATE TABLE t (id int PRIMARY KEY, a text, secret text)", mapping: plainMapping("t", "id", "id", "a"),
			before: "INSERT INTO t VALUES (1, 'x', 's'), (2, 'y', 's')",
			do:     "TRUNCATE t; INSERT INTO t VALUES (3)",
			want: `
Delete t old(a=x id=1)
Delete t old(a=y id=2)
Insert t new(a=NULL id=3)`,
		},
		{
			name: "a partitioned table", schema: `CREATE TABLE t (id int, day int, a text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
				CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10); CREATE TABLE other (junk int, a text, day int NOT NULL, id int NOT NULL); ALTER TABLE other DROP junk;
				ALTER TABLE t ATTACH PARTITION other FOR VALUES FROM (10) TO (20)`,
			mapping: plainMapping("t", "id", "id", "day", "a"),
			do: `INSERT INTO t VALUES (1, 5, 'x'); UPDATE t SET a = 'y'; UPDATE t SET day = 15; UPDATE t SET a = 'z';
				CREATE TABLE t3 PARTITION OF t FOR VALUES FROM (20) TO (30); INSERT INTO t3 VALUES (2, 25, 'n'); TRUNCATE t`,
			want: `
Insert t new(a=x day=5 id=1)
Update t old(a=x day=5 id=1) new(a=y day=5 id=1)
Delete t old(a=y day=5 id=1)
Insert t new(a=y day=15 id=1)
Update t old(a=y day=15 id=1) new(a=z day=15 id=1)
Insert t new(a=n day=25 id=2)
Delete t old(a=z day=15 id=1)
Delete t old(a=n day=25 id=2)`,
		},
		{
			name: "names that need quotes", schema: `CREATE SCHEMA "My ""Shop"; CREATE TABLE "My ""Shop"."Select 'x' \ $fabric$ äöüäöüäöüäöüäöü" ("Id" int PRIMARY KEY, "a ""b"" 'c' \" text)`,
			mapping: publisher.Mapping{Tables: map[string]publisher.Table{"t": {From: `My "Shop.Select 'x' \ $fabric$ äöüäöüäöüäöüäöü`, Key: "Id", Columns: []string{"Id", `a "b" 'c' \`}}}},
			do:      `INSERT INTO "My ""Shop"."Select 'x' \ $fabric$ äöüäöüäöüäöüäöü" VALUES (1, '(a,"b\c')`,
			want:    `Insert t new(Id=1 a "b" 'c' \=(a,"b\c)`,
		},
		{
			name: "a trigger of the shop's own updates the same row", schema: `CREATE TABLE t (id int PRIMARY KEY, a text);
				CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.a = 'x' THEN UPDATE t SET a = 'y' WHERE id = NEW.id; END IF; RETURN NULL; END $$;
				CREATE TRIGGER "aaa" AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION again()`,
			mapping: plainMapping("t", "id", "id", "a"),
			do:      "INSERT INTO t VALUES (1, 'x'); UPDATE t SET a = 'x'",
			want: `
Insert t new(a=x id=1)
Update t old(a=x id=1) new(a=y id=1)
Update t old(a=y id=1) new(a=x id=1)
Update t old(a=x id=1) new(a=y id=1)`,
		},
		{
			name: "rolled back", schema: "CREATE TABLE t (id int PRIMARY KEY, a text)", mapping: plainMapping("t", "id", "id", "a"),
			do:   "BEGIN; INSERT INTO t VALUES (1); ROLLBACK; BEGIN; INSERT INTO t VALUES (2); SAVEPOINT s; INSERT INTO t VALUES (3); ROLLBACK TO s; COMMIT",
			want: "Insert t new(a=NULL id=2)",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := newDatabase(t, tt.schema)
			src := db.source(tt.mapping)
			db.exec(tt.before)
			from := snapshotPlace(t, src)
			for stmt := range strings.SplitSeq(tt.do, "; ") {
				db.exec(stmt)
			}
			wantRun(t, src, from, tt.want)
		})
	}
}

// TestForms compares the text of all sorts of types: in the snapshot, in the
// log of a session with hostile settings, and as it has to be.
func TestForms(t *testing.T) {
	const schema = `
CREATE TYPE mood AS ENUM ('sad', 'so so'); CREATE TYPE pair AS (a int, b timestamptz); CREATE DOMAIN flag AS boolean;
CREATE TABLE t (id int PRIMARY KEY, yes bool, yes2 flag, at timestamptz, local timestamp, day date, clock time, span interval,
	price numeric(10,2), cash money, small float4, big float8, bytes bytea, padded char(5), plain text, js json, jb jsonb, feeling mood, feelings mood[],
	texts text[], times timestamptz[], duo pair, address inet, during tstzrange, code uuid, flags bool[], doc xml, nothing text)`
	const insert = `INSERT INTO t VALUES (1, true, false, '2026-11-22 19:27:47.541933+01', '2026-11-22 19:27:47', '2026-11-22', '19:27', '1 day 02:03:04',
	1.50, 1234.5::numeric::money, 0.1, 0.1::float8 + 0.2::float8, '\x00ff', 'ab', E'a,"b\\c(\n)', '{ "a" : 1.0 }', '{ "a" : 1.0 }', 'so so', ARRAY['sad','so so']::mood[],
	ARRAY['a','b c',NULL], ARRAY['2026-11-22 19:27:47.5+01'::timestamptz], (1, '2026-11-22 19:27:47.5+01'::timestamptz)::pair, '10.0.0.1', tstzrange('2026-11-22 19:00+01', NULL),
	'0194f8aa-0000-7000-8000-000000000001', ARRAY[true,false], '<a>b</a>')`
	want := strings.Join([]string{
		`address=10.0.0.1`, `at=2026-11-22 18:27:47.541933+00`, `big=0.30000000000000004`, `bytes=\x00ff`,
		`cash=$1,234.50`, `clock=19:27:00`, `code=0194f8aa-0000-7000-8000-000000000001`, `day=2026-11-22`, `doc=<a>b</a>`, `duo=(1,"2026-11-22 18:27:47.5+00")`, `during=["2026-11-22 18:00:00+00",)`,
		`feeling=so so`, `feelings={sad,"so so"}`, `flags={t,f}`, `id=1`, `jb={"a": 1.0}`, `js={ "a" : 1.0 }`, `local=2026-11-22 19:27:47`,
		`nothing=NULL`, `padded=ab   `, `plain=a,"b\c(\n)`, `price=1.50`, `small=0.1`, `span=1 day 02:03:04`, `texts={a,"b c",NULL}`,
		`times={"2026-11-22 18:27:47.5+00"}`, `yes=true`, `yes2=false`,
	}, " ")
	columns := strings.Fields("id yes yes2 at local day clock span price cash small big bytes padded plain js jb feeling feelings texts times duo address during code flags doc nothing")
	for name, opts := range map[string][]pgtest.Option{"15": nil, "17": {pgtest.Version17}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := newDatabase(t, schema, opts...)
			src := db.source(plainMapping("t", "id", columns...))
			from := snapshotPlace(t, src)
			for _, set := range []string{
				"DateStyle = 'SQL, DMY'", "TimeZone = 'Asia/Kathmandu'", "IntervalStyle = 'iso_8601'", "extra_float_digits = -10", "bytea_output = 'escape'",
				"lc_monetary = 'C'", "standard_conforming_strings = off", "array_nulls = off", "quote_all_identifiers = on", "xmlbinary = 'hex'",
				"search_path = 'evil', 'public', 'pg_catalog'", "transform_null_equals = on", "plan_cache_mode = 'force_generic_plan'",
			} {
				db.exec("SET " + set)
			}
			db.exec(`CREATE SCHEMA evil; CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT NULL::timestamptz';
				CREATE FUNCTION evil.pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS 'BEGIN RAISE ''evil''; END';
				CREATE FUNCTION evil.octet_length(text) RETURNS int LANGUAGE plpgsql AS 'BEGIN RAISE ''evil''; END';
				CREATE FUNCTION evil.no(text, text) RETURNS bool LANGUAGE sql AS 'SELECT true'; CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.no);
				CREATE OPERATOR evil.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.no)`)
			db.exec("SET standard_conforming_strings = on; SET DateStyle = 'ISO'")
			db.exec(insert)
			db.exec("SET standard_conforming_strings = off; SET DateStyle = 'German'")
			db.exec("UPDATE t SET id = 2")
			entries := collect(t, src, from, 2)
			if got := showRow(entries[0].Change.New); got != want {
				t.Errorf("logged\n%s\nwant\n%s", got, want)
			}
			if got := showRow(entries[1].Change.Old); got != want {
				t.Errorf("logged by the update\n%s\nwant\n%s", got, want)
			}
			db.exec("UPDATE t SET id = 1")
			if _, err := src.Snapshot(t.Context(), func(e publisher.Entry) error {
				if got := showRow(e.Change.New); got != want {
					t.Errorf("snapshot\n%s\nwant\n%s", got, want)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
			if got := db.value("SELECT current_setting('TimeZone') || ' ' || current_setting('DateStyle')"); got != "Asia/Kathmandu German, DMY" {
				t.Errorf("the shop's settings are %q after its changes were logged", got)
			}
		})
	}
}

// TestLarge changes a small column beside values that are stored out of line.
func TestLarge(t *testing.T) {
	db := newDatabase(t, "CREATE TABLE t (id int PRIMARY KEY, a text, big text, js jsonb)")
	src := db.source(plainMapping("t", "id", "id", "a", "big", "js"))
	db.exec(`INSERT INTO t SELECT 1, 'x', string_agg(md5(i::text), ''), jsonb_build_object('big', string_agg(md5(i::text), '')) FROM generate_series(1, 100000) i`)
	from := snapshotPlace(t, src)
	db.exec("UPDATE t SET a = 'y'")
	db.exec("UPDATE t SET a = 'z'")
	for _, e := range collect(t, src, from, 2) {
		for _, row := range []publisher.Row{e.Change.Old, e.Change.New} {
			if n, m := len(row["big"].Text), len(row["js"].Text); n != 3_200_000 || m != 3_200_000+len(`{"big": ""}`) {
				t.Errorf("large values of %d and %d bytes", n, m)
			}
		}
	}
}
