package pgoutput_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/petpro/fabric/publisher/postgres/pgoutput"
	"github.com/petpro/fabric/test/pgtest"
)

// What the log has of each operation, by the replica identity of the table.
func TestOperations(t *testing.T) {
	tests := []struct {
		identity string
		want     []string
	}{
		{`DEFAULT`, []string{
			"relation public.b d id* status note",
			"insert b (b1 pending null)",
			"update b (b1 pending n)",
			"update b (b1 confirmed n)",
			"update b (b1 confirmed n)",
			"update b K(b1 - -) (b2 confirmed n)",
			"delete b K(b2 - -)",
		}},
		{`FULL`, []string{
			"relation public.b f id* status* note*",
			"insert b (b1 pending null)",
			"update b O(b1 pending null) (b1 pending n)",
			"update b O(b1 pending n) (b1 confirmed n)",
			"update b O(b1 confirmed n) (b1 confirmed n)",
			"update b O(b1 confirmed n) (b2 confirmed n)",
			"delete b O(b2 confirmed n)",
		}},
		{`USING INDEX b_status`, []string{
			"relation public.b i id* status* note",
			"insert b (b1 pending null)",
			"update b (b1 pending n)",
			"update b K(b1 pending -) (b1 confirmed n)",
			"update b (b1 confirmed n)",
			"update b K(b1 confirmed -) (b2 confirmed n)",
			"delete b K(b2 confirmed -)",
		}},
	}
	versions(t, func(t *testing.T, db *pgtest.Database) {
		db.Exec(t, `CREATE TABLE b (id text PRIMARY KEY, status text NOT NULL, note text);
			CREATE UNIQUE INDEX b_status ON b (id, status)`)
		slot := prepare(t, db)
		for _, test := range tests {
			db.Exec(t, `ALTER TABLE b REPLICA IDENTITY `+test.identity)
			db.Exec(t, `INSERT INTO b VALUES ('b1', 'pending', NULL);
				UPDATE b SET note = 'n' WHERE id = 'b1';
				UPDATE b SET status = 'confirmed' WHERE id = 'b1';
				UPDATE b SET status = status WHERE id = 'b1';
				UPDATE b SET id = 'b2' WHERE id = 'b1';
				DELETE FROM b WHERE id = 'b2'`)
		}
		r := start(t.Context(), t, db, slot, pgoutput.Options{})
		for _, test := range tests {
			compare(t, r.rows(), test.want)
		}
	})
}

func compare(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("received\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// A value that is stored out of line and left as it was is not in New; it is in
// Old if the identity is FULL.
func TestUnchangedTOAST(t *testing.T) {
	tests := []struct {
		identity string
		want     []string
	}{
		{`DEFAULT`, []string{
			"relation public.b d id* status note",
			"insert b (1 pending 64000 bytes)",
			"update b (1 confirmed unchanged)",
			"update b K(1 - -) (2 confirmed unchanged)",
			"update b (2 confirmed short)",
			"delete b K(2 - -)",
		}},
		{`FULL`, []string{
			"relation public.b f id* status* note*",
			"insert b (1 pending 64000 bytes)",
			"update b O(1 pending 64000 bytes) (1 confirmed unchanged)",
			"update b O(1 confirmed 64000 bytes) (2 confirmed unchanged)",
			"update b O(2 confirmed 64000 bytes) (2 confirmed short)",
			"delete b O(2 confirmed short)",
		}},
	}
	versions(t, func(t *testing.T, db *pgtest.Database) {
		db.Exec(t, `CREATE TABLE b (id int PRIMARY KEY, status text, note text);
			ALTER TABLE b ALTER note SET STORAGE EXTERNAL`)
		slot := prepare(t, db)
		for _, test := range tests {
			db.Exec(t, `ALTER TABLE b REPLICA IDENTITY `+test.identity)
			db.Exec(t, `INSERT INTO b VALUES (1, 'pending', repeat('x', 64000));
				UPDATE b SET status = 'confirmed';
				UPDATE b SET id = 2;
				UPDATE b SET note = 'short';
				DELETE FROM b`)
		}
		r := start(t.Context(), t, db, slot, pgoutput.Options{})
		for _, test := range tests {
			compare(t, r.rows(), test.want)
		}
	})
}

// A table that is altered between two rows is described anew, rows of before
// have the columns of before, and the pointer tells the two apart.
func TestAlterTable(t *testing.T) {
	versions(t, func(t *testing.T, db *pgtest.Database) {
		db.Exec(t, `CREATE TYPE mood AS ENUM ('fine', 'sad');
			CREATE TABLE b (id int PRIMARY KEY, status text, mood mood)`)
		slot := prepare(t, db)
		db.Exec(t, `INSERT INTO b VALUES (1, 'pending', 'fine');
			INSERT INTO b VALUES (2, 'pending', 'sad')`)
		db.Exec(t, `ALTER TABLE b ADD note text DEFAULT 'none'`)
		db.Exec(t, `BEGIN; UPDATE b SET status = 'confirmed' WHERE id = 1;
			ALTER TABLE b RENAME status TO state;
			UPDATE b SET state = 'done' WHERE id = 1;
			ALTER TABLE b DROP mood;
			UPDATE b SET state = 'paid' WHERE id = 1; COMMIT`)
		db.Exec(t, `ALTER TABLE b ADD mood mood; ALTER TYPE mood ADD VALUE 'angry'`)
		db.Exec(t, `UPDATE b SET mood = 'angry' WHERE id = 2`)
		db.Exec(t, `ALTER TABLE b SET SCHEMA pg_catalog`)

		r := start(t.Context(), t, db, slot, pgoutput.Options{})
		var got []string
		for len(got) < 15 {
			got = append(got, r.transaction()...)
		}
		compare(t, got, []string{
			"type public.mood",
			"relation public.b d id* status mood",
			"insert b (1 pending fine)",
			"insert b (2 pending sad)",
			"type public.mood",
			"relation public.b d id* status mood note",
			"update b (1 confirmed fine none)",
			"type public.mood",
			"relation public.b d id* state mood note",
			"update b (1 done fine none)",
			"relation public.b d id* state note",
			"update b (1 paid none)",
			"type public.mood",
			"relation public.b d id* state note mood",
			"update b (2 pending none angry)",
		})
	})
}

// A table that is described again without having been altered, as VACUUM and
// TRUNCATE have it, is the same Relation.
func TestRelationIsKept(t *testing.T) {
	db := pgtest.New(t)
	db.Exec(t, `CREATE TABLE b (id int PRIMARY KEY)`)
	slot := prepare(t, db)
	db.Exec(t, `INSERT INTO b VALUES (1)`)
	db.Exec(t, `VACUUM ANALYZE b`)
	db.Exec(t, `TRUNCATE b`)
	db.Exec(t, `INSERT INTO b VALUES (2)`)
	db.Exec(t, `ALTER TABLE b ADD note text`)
	db.Exec(t, `INSERT INTO b VALUES (3)`)

	r := start(t.Context(), t, db, slot, pgoutput.Options{})
	var seen []*pgoutput.Relation
	described := 0
	for len(seen) < 3 {
		switch m := r.next().(type) {
		case *pgoutput.Relation:
			described++
		case *pgoutput.Insert:
			seen = append(seen, m.Relation)
		}
	}
	if described < 3 {
		t.Errorf("the table was described %d times, want 3 and more: nothing is tested", described)
	}
	if seen[0] != seen[1] || seen[1] == seen[2] {
		t.Errorf("relations %p, %p, %p of three rows, want a new one for the third only", seen[0], seen[1], seen[2])
	}
	if len(seen[0].Columns) != 1 || len(seen[2].Columns) != 2 {
		t.Errorf("%d and %d columns before and after ADD, want 1 and 2", len(seen[0].Columns), len(seen[2].Columns))
	}
}

func TestTruncate(t *testing.T) {
	versions(t, func(t *testing.T, db *pgtest.Database) {
		db.Exec(t, `CREATE TABLE a (id int PRIMARY KEY);
			CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a)`)
		slot := prepare(t, db)
		db.Exec(t, `TRUNCATE b; TRUNCATE a RESTART IDENTITY CASCADE`)
		r := start(t.Context(), t, db, slot, pgoutput.Options{})
		compare(t, r.transaction(), []string{
			"relation public.b d id* a",
			"truncate b cascade=false restart=false",
			"relation public.a d id*",
			"relation public.b d id* a",
			"truncate a,b cascade=true restart=true",
		})
	})
}

func TestSchemas(t *testing.T) {
	versions(t, func(t *testing.T, db *pgtest.Database) {
		db.Exec(t, `CREATE SCHEMA "Shop.2"; CREATE SCHEMA audit;
			CREATE TABLE b (id int PRIMARY KEY);
			CREATE TABLE "Shop.2".b (id int PRIMARY KEY);
			CREATE TABLE audit."B" ("Id" int, v text)`)
		slot := prepare(t, db)
		db.Exec(t, `BEGIN; INSERT INTO b VALUES (1); INSERT INTO "Shop.2".b VALUES (2);
			INSERT INTO audit."B" VALUES (3, ''), (4, E'ä\t\\'); COMMIT`)
		r := start(t.Context(), t, db, slot, pgoutput.Options{})
		compare(t, r.transaction(), []string{
			"relation public.b d id*", "insert b (1)",
			"relation Shop.2.b d id*", "insert b (2)",
			"relation audit.B d Id v", "insert B (3 )", "insert B (4 ä\t\\)",
		})
	})
}

// Messages of pg_logical_emit_message are not asked for; transactions that were
// themselves replicated say from where.
func TestOrigin(t *testing.T) {
	versions(t, func(t *testing.T, db *pgtest.Database) {
		db.Exec(t, `CREATE TABLE b (id int PRIMARY KEY)`)
		slot := prepare(t, db)
		origin := "elsewhere of " + db.Name
		db.Exec(t, `SELECT pg_replication_origin_create($1)`, origin)
		db.Exec(t, `SELECT pg_replication_origin_session_setup($1)`, origin)
		db.Exec(t, `BEGIN; SELECT pg_replication_origin_xact_setup('0/1234', now());
			SELECT pg_logical_emit_message(true, 'p', 'm');
			INSERT INTO b VALUES (1); COMMIT`)
		r := start(t.Context(), t, db, slot, pgoutput.Options{})
		compare(t, r.transaction(), []string{"origin " + origin, "relation public.b d id*", "insert b (1)"})
		db.Exec(t, `SELECT pg_replication_origin_session_reset()`)
		db.Exec(t, `SELECT pg_replication_origin_drop($1)`, origin)
	})
}

// Values look the same whatever the database's settings are.
func TestText(t *testing.T) {
	versions(t, func(t *testing.T, db *pgtest.Database) {
		db.Exec(t, `CREATE TABLE b (ts timestamptz, d date, iv interval, f float8, by bytea, bo bool,
			n numeric(10,2), j jsonb, a text[], u uuid)`)
		for setting, value := range map[string]string{
			"datestyle": "'German, DMY'", "timezone": "'Asia/Tokyo'", "intervalstyle": "'sql_standard'",
			"extra_float_digits": "-5", "bytea_output": "'escape'", "statement_timeout": "1",
		} {
			db.Exec(t, `ALTER DATABASE `+db.Name+` SET `+setting+` = `+value)
		}
		db.DSN += "&TimeZone=Europe/Paris&DATESTYLE=German"
		slot := prepare(t, db)
		db.Exec(t, `INSERT INTO b VALUES ('2026-11-22T19:27:47.541933Z', '2026-11-22', '1 day 02:03:04', 0.1::float8 + 0.2,
			'\x00ff', true, 1.5, '{"a": 1}', '{x,"y z",NULL}', '3ff3f6a0-0000-0000-0000-000000000001')`)
		r := start(t.Context(), t, db, slot, pgoutput.Options{})
		compare(t, r.transaction(), []string{
			"relation public.b d ts d iv f by bo n j a u",
			`insert b (2026-11-22 19:27:47.541933+00 2026-11-22 1 day 02:03:04 0.30000000000000004 \x00ff t 1.50 {"a": 1} {x,"y z",NULL} 3ff3f6a0-0000-0000-0000-000000000001)`,
		})
	})
}
