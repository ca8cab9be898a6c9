package sqlite_test

import (
	"strings"
	"testing"

	"github.com/petpro/fabric/publisher"
)

// TestChanges executes statements of the shop and looks at what Run emits.
func TestChanges(t *testing.T) {
	tests := []struct {
		name string
		// before is done without triggers, do with them.
		before, do string
		settings   []string
		want       string
	}{
		{
			name: "insert, update, delete",
			do: `INSERT INTO pets VALUES ('p1', 'Rex', 'shy', 4);
				UPDATE pets SET name = 'Max' WHERE id = 'p1';
				DELETE FROM pets WHERE id = 'p1'`,
			want: `
Insert pets new(id=p1 legs=4 name=Rex)
Update pets old(id=p1 legs=4 name=Rex) new(id=p1 legs=4 name=Max)
Delete pets old(id=p1 legs=4 name=Max)`,
		},
		{
			name:   "an update of what is not listed, or to what it was, is none",
			before: `INSERT INTO pets VALUES ('p1', 'Rex', 'shy', 4)`,
			do: `UPDATE pets SET notes = 'bites'; UPDATE pets SET name = 'Rex';
				UPDATE pets SET name = 'rex'`,
			want: `Update pets old(id=p1 legs=4 name=Rex) new(id=p1 legs=4 name=rex)`,
		},
		{
			name:   "the key changes",
			before: `INSERT INTO pets VALUES ('p1', 'Rex', 'shy', 4)`,
			do:     `UPDATE pets SET id = 'p2', legs = 3`,
			want: `
Delete pets old(id=p1 legs=4 name=Rex)
Insert pets new(id=p2 legs=3 name=Rex)`,
		},
		{
			name:   "replace of the same key is an update",
			before: `INSERT INTO pets VALUES ('p1', 'Rex', 'shy', 4)`,
			do:     `REPLACE INTO pets VALUES ('p1', 'Max', NULL, 4); REPLACE INTO pets VALUES ('p1', 'Max', 'bites', 4); DELETE FROM pets`,
			want: `
Update pets old(id=p1 legs=4 name=Rex) new(id=p1 legs=4 name=Max)
Delete pets old(id=p1 legs=4 name=Max)`,
		},
		{
			name:     "replace by a writer with recursive triggers is delete and insert",
			before:   `INSERT INTO pets VALUES ('p1', 'Rex', 'shy', 4)`,
			settings: []string{"recursive_triggers(1)"},
			do:       `REPLACE INTO pets VALUES ('p1', 'Max', NULL, 4)`,
			want: `
Delete pets old(id=p1 legs=4 name=Rex)
Insert pets new(id=p1 legs=4 name=Max)`,
		},
		{
			name:   "replace removes rows in the way of another unique key",
			before: `INSERT INTO tags VALUES (1, 'red', 'a'), (2, 'blue', 'b'), (3, 'green', 'c')`,
			do: `REPLACE INTO tags VALUES (9, 'blue', 'a');
				UPDATE OR REPLACE tags SET colour = 'green' WHERE id = 9`,
			want: `
Delete tags old(colour=red id=1)
Delete tags old(colour=blue id=2)
Insert tags new(colour=blue id=9)
Delete tags old(colour=green id=3)
Update tags old(colour=blue id=9) new(colour=green id=9)`,
		},
		{
			name:   "update or replace onto the key of another row",
			before: `INSERT INTO pets VALUES ('p1', 'Rex', 'shy', 4), ('p2', 'Max', NULL, 3)`,
			do:     `UPDATE OR REPLACE pets SET id = 'p2' WHERE id = 'p1'`,
			want: `
Delete pets old(id=p2 legs=3 name=Max)
Delete pets old(id=p1 legs=4 name=Rex)
Insert pets new(id=p2 legs=4 name=Rex)`,
		},
		{
			name:   "ignored inserts and upserts leave nothing behind",
			before: `INSERT INTO pets VALUES ('p1', 'Rex', 'shy', 4)`,
			do: `INSERT OR IGNORE INTO pets VALUES ('p1', 'Max', NULL, 1);
				INSERT INTO pets VALUES ('p1', 'Max', NULL, 1) ON CONFLICT DO UPDATE SET name = excluded.name;
				INSERT OR IGNORE INTO pets VALUES ('p1', 'Pia', NULL, 1);
				DELETE FROM pets;
				INSERT INTO pets VALUES ('p1', 'Tom', NULL, 2);`,
			want: `
Update pets old(id=p1 legs=4 name=Rex) new(id=p1 legs=4 name=Max)
Delete pets old(id=p1 legs=4 name=Max)
Insert pets new(id=p1 legs=2 name=Tom)`,
		},
		{
			name:   "an ignored insert, then the key moves by its other name",
			before: `INSERT INTO tags VALUES (1, 'red', 'a')`,
			do: `INSERT OR IGNORE INTO tags VALUES (1, 'blue', 'b');
				UPDATE tags SET rowid = 2;
				INSERT INTO tags VALUES (1, 'green', 'c')`,
			want: `
Delete tags old(colour=red id=1)
Insert tags new(colour=red id=2)
Insert tags new(colour=green id=1)`,
		},
		{
			name: "values",
			do: `INSERT INTO pets VALUES ('null', NULL, NULL, NULL), ('empty', '', NULL, 0), ('quotes', 'it''s "so"=NULL,''', NULL, -1),
				('big', 9223372036854775807, NULL, -9223372036854775808), ('real', 0.1, NULL, 1.0), ('far', 1e100, NULL, -9e999),
				('blob', x'00FFab', NULL, x''), ('lines', 'a' || char(10) || 'ü🐕', NULL, 2461367.5)`,
			want: `
Insert pets new(id=null legs=NULL name=NULL)
Insert pets new(id=empty legs=0 name=)
Insert pets new(id=quotes legs=-1 name=it's "so"=NULL,')
Insert pets new(id=big legs=-9223372036854775808 name=9223372036854775807)
Insert pets new(id=real legs=1.0 name=0.1)
Insert pets new(id=far legs=-Inf name=1.0e+100)
Insert pets new(id=blob legs= name=00ffab)
Insert pets new(id=lines legs=2461367.5 name=a` + "\\n" + `ü🐕)`,
		},
		{
			name:   "1 and 1.0 show differently",
			before: `INSERT INTO pets VALUES ('p1', 1, NULL, 4)`,
			do:     `UPDATE pets SET name = 1.0; UPDATE pets SET name = '1'`,
			want: `
Update pets old(id=p1 legs=4 name=1) new(id=p1 legs=4 name=1.0)
Update pets old(id=p1 legs=4 name=1.0) new(id=p1 legs=4 name=1)`,
		},
		{
			name: "names that need quoting",
			do:   `INSERT INTO "or der's ""list""" VALUES (7, 'x'); UPDATE "or der's ""list""" SET "sel ect"",=" = 'y'`,
			want: `
Insert or der's "list" new(group=7 sel ect",==x)
Update or der's "list" old(group=7 sel ect",==x) new(group=7 sel ect",==y)`,
		},
		{
			name: "a generated column",
			do:   `INSERT INTO sums (id, a) VALUES (1, 2); UPDATE sums SET a = 3`,
			want: `
Insert sums new(double=4 id=1)
Update sums old(double=4 id=1) new(double=6 id=1)`,
		},
		{
			name: "a trigger of the shop writes to the same row",
			before: `CREATE TRIGGER stamp AFTER UPDATE OF name ON pets BEGIN
				UPDATE pets SET legs = legs + 1 WHERE id = NEW.id; END;
				INSERT INTO pets VALUES ('p1', 'Rex', NULL, 1)`,
			do: `UPDATE pets SET name = 'Max'`,
			want: `
Update pets old(id=p1 legs=1 name=Rex) new(id=p1 legs=1 name=Max)
Update pets old(id=p1 legs=1 name=Max) new(id=p1 legs=2 name=Max)`,
		},
		{
			name:     "a cascade",
			settings: []string{"foreign_keys(1)"},
			before:   `INSERT INTO pets VALUES ('p1', 'Rex', NULL, 1); INSERT INTO toys VALUES (1, 'p1'), (2, 'p1')`,
			do:       `DELETE FROM pets`,
			want: `
Delete toys old(id=1 pet=p1)
Delete toys old(id=2 pet=p1)
Delete pets old(id=p1 legs=1 name=Rex)`,
		},
		{
			name: "a constraint that fails rolls its entries back",
			do: `INSERT INTO pets VALUES ('p1', 'Rex', NULL, 4);
				INSERT OR IGNORE INTO pets VALUES ('p2', 'Max', NULL, 4), ('p1', 'Tom', NULL, 4), ('p3', 'Pia', NULL, 4)`,
			want: `
Insert pets new(id=p1 legs=4 name=Rex)
Insert pets new(id=p2 legs=4 name=Max)
Insert pets new(id=p3 legs=4 name=Pia)`,
		},
	}
	const schema = `
		CREATE TABLE pets (id PRIMARY KEY, name COLLATE NOCASE, notes, legs);
		CREATE TABLE tags (id INTEGER PRIMARY KEY, colour TEXT UNIQUE, code TEXT);
		CREATE UNIQUE INDEX tags_code ON tags (code) WHERE code IS NOT NULL;
		CREATE TABLE "or der's ""list""" ("group" INTEGER PRIMARY KEY, "sel ect"",=" TEXT);
		CREATE TABLE toys (id INTEGER PRIMARY KEY, pet REFERENCES pets ON DELETE CASCADE);
		CREATE TABLE sums (id INTEGER PRIMARY KEY, a INTEGER, double INTEGER AS (a * 2));`
	mapping := publisher.Mapping{Tables: map[string]publisher.Table{
		"pets":            {Key: "id", Columns: []string{"id", "name", "legs"}},
		"tags":            {Key: "id", Columns: []string{"colour"}},
		`or der's "list"`: {Key: "group", Columns: []string{`sel ect",=`}},
		"sums":            {Key: "id", Columns: []string{"double"}},
		"toys":            {Key: "id", Columns: []string{"pet"}},
	}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := newDatabase(t, schema, tt.settings...)
			db.exec(tt.before)
			src := db.source(mapping)
			from := snapshotPlace(t, src)
			db.exec(tt.do)
			db.exec("INSERT INTO pets VALUES ('end', '', '', 0)") // shows that nothing else came before
			wantRun(t, src, from, tt.want+"\nInsert pets new(id=end legs=0 name=)")
		})
	}
}

// TestTouch checks that a change of a followed row brings the rows that depend
// on it, as they are, behind it.
func TestTouch(t *testing.T) {
	tests := []struct{ name, do, want string }{
		{
			name: "another provider",
			do:   `UPDATE services SET provider_id = 'v2' WHERE id = 's1'`,
			want: `
Update services old(id=s1 provider_id=v1) new(id=s1 provider_id=v2)
Touch bookings old(b1) new(b1) cause services s1(id=s1 provider_id=v1)
Touch bookings old(b2) new(b2) cause services s1(id=s1 provider_id=v1)`,
		},
		{
			name: "a column that is not followed",
			do:   `UPDATE services SET title = 'Walk'`,
		},
		{
			name: "a row is inserted",
			do:   `INSERT INTO services VALUES ('s9', 'v9', '')`,
			want: `
Insert services new(id=s9 provider_id=v9)
Touch bookings old(b9) new(b9) cause services s9()`,
		},
		{
			name: "a row is deleted",
			do:   `DELETE FROM services WHERE id = 's2'`,
			want: `
Delete services old(id=s2 provider_id=v2)
Touch bookings old(b3) new(b3) cause services s2(id=s2 provider_id=v2)`,
		},
		{
			name: "a row is replaced",
			do:   `REPLACE INTO services VALUES ('s2', 'v3', '')`,
			want: `
Update services old(id=s2 provider_id=v2) new(id=s2 provider_id=v3)
Touch bookings old(b3) new(b3) cause services s2(id=s2 provider_id=v2)`,
		},
		{
			name: "the key changes, over that of another row",
			do:   `UPDATE OR REPLACE services SET id = 's1' WHERE id = 's2'`,
			want: `
Delete services old(id=s1 provider_id=v1)
Touch bookings old(b1) new(b1) cause services s1(id=s1 provider_id=v1)
Touch bookings old(b2) new(b2) cause services s1(id=s1 provider_id=v1)
Delete services old(id=s2 provider_id=v2)
Touch bookings old(b3) new(b3) cause services s2(id=s2 provider_id=v2)
Insert services new(id=s1 provider_id=v2)
Touch bookings old(b1) new(b1) cause services s1()
Touch bookings old(b2) new(b2) cause services s1()`,
		},
	}
	short := strings.NewReplacer("deleted_at=NULL id=", "", " service_id=s1 status=x updated_at=NULL user_id=u", "",
		" service_id=s2 status=x updated_at=NULL user_id=u", "", " service_id=s9 status=x updated_at=NULL user_id=u", "")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := newDatabase(t, shopSchema)
			db.exec(`INSERT INTO services VALUES ('s1', 'v1', ''), ('s2', 'v2', '');
				INSERT INTO bookings (id, user_id, service_id, status) VALUES
				('b1', 'u', 's1', 'x'), ('b2', 'u', 's1', 'x'), ('b3', 'u', 's2', 'x'), ('b9', 'u', 's9', 'x')`)
			src := db.source(shopMapping())
			from := snapshotPlace(t, src)
			db.exec(tt.do)
			db.exec("DELETE FROM bookings WHERE id = 'b9'")
			want := strings.TrimSpace(tt.want+"\nDelete bookings old(b9)") + "\n"
			if got := short.Replace(show(collect(t, src, from, strings.Count(want, "\n")))); got != want {
				t.Errorf("Run emits\n%swant\n%s", got, want)
			}
		})
	}
}

// TestTriggersStayFirst checks that a trigger which the shop makes later does
// not bring the log out of order.
func TestTriggersStayFirst(t *testing.T) {
	db := newDatabase(t, shopSchema)
	db.exec("INSERT INTO bookings (id, status, updated_at) VALUES ('b1', 'pending', 1)")
	db.source(shopMapping())
	db.exec(`CREATE TRIGGER stamp AFTER UPDATE OF status ON bookings BEGIN
		UPDATE bookings SET updated_at = updated_at + 1 WHERE id = NEW.id; END`)
	src := db.source(shopMapping())
	from := snapshotPlace(t, src)
	db.exec("UPDATE bookings SET status = 'confirmed'")
	entries := collect(t, src, from, 2)
	if got := entries[1].Change.New["updated_at"].Text; got != "2" {
		t.Errorf("the last entry has updated_at %s, want 2:\n%s", got, show(entries))
	}
}
