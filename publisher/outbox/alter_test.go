package outbox_test

import (
	"errors"
	"testing"

	"github.com/petpro/fabric/publisher"
)

// TestAlter alters tables while Run runs: it must go on without a loss, or end
// with an error that says what to do, and the shop must be able to write. With
// the mapping corrected and setup run again nothing is lost.
func TestAlter(t *testing.T) {
	bookings := func(columns ...string) publisher.Mapping { return plainMapping("bookings", "id", columns...) }
	tests := []struct {
		name, do string
		// want of the error of Run and of the next Check; nothing if Run goes on.
		want []string
		// mended is the corrected mapping, and log what Run then emits of an
		// update before the ALTER, one behind it and one behind the setup.
		mended publisher.Mapping
		log    string
	}{
		{name: "another table", do: "CREATE TABLE other (x int)"},
		{name: "a column is added", do: "ALTER TABLE bookings ADD COLUMN priority int DEFAULT 3"},
		{name: "an unlisted column is renamed", do: "ALTER TABLE bookings RENAME COLUMN staff_notes TO notes"},
		{name: "an unlisted column is dropped", do: "ALTER TABLE bookings DROP COLUMN staff_notes"},
		{name: "a unique index is added", do: "CREATE UNIQUE INDEX one ON bookings (user_id, status)"},
		{
			name: "a listed column is renamed", do: "ALTER TABLE bookings RENAME COLUMN status TO state",
			want:   []string{`has no column "status"`},
			mended: bookings("id", "state", "user_id"),
			log: `
Update bookings old(id=b1 state=s user_id=NULL) new(id=b1 state=s user_id=u1)
Update bookings old(id=b1 state=s user_id=u1) new(id=b1 state=s user_id=u2)
Update bookings old(id=b1 state=s user_id=u2) new(id=b1 state=s user_id=u3)`,
		},
		{
			name: "a listed column is dropped", do: "ALTER TABLE bookings DROP COLUMN status",
			want:   []string{`has no column "status"`},
			mended: bookings("id", "user_id"),
			log: `
Update bookings old(id=b1 user_id=NULL) new(id=b1 user_id=u1)
Update bookings old(id=b1 user_id=u1) new(id=b1 user_id=u2)
Update bookings old(id=b1 user_id=u2) new(id=b1 user_id=u3)`,
		},
		{
			name: "the table is renamed", do: "ALTER TABLE bookings RENAME TO reservations; CREATE VIEW bookings AS SELECT * FROM reservations",
			want:   []string{"view"},
			mended: publisher.Mapping{Tables: map[string]publisher.Table{"bookings": {From: "reservations", Key: "id", Columns: []string{"id", "user_id"}}}},
			log: `
Update bookings old(id=b1 user_id=NULL) new(id=b1 user_id=u1)
Update bookings old(id=b1 user_id=u1) new(id=b1 user_id=u2)
Update bookings old(id=b1 user_id=u2) new(id=b1 user_id=u3)`,
		},
		{
			name: "the type of a listed column is changed", do: "ALTER TABLE bookings ALTER COLUMN status TYPE char(3)",
			want:   []string{"made for another mapping, other columns or by another version", "fabric publisher setup"},
			mended: bookings("id", "status", "user_id"),
			log: `
Update bookings old(id=b1 status=s user_id=NULL) new(id=b1 status=s user_id=u1)
Update bookings old(id=b1 status=s   user_id=u1) new(id=b1 status=s   user_id=u2)
Update bookings old(id=b1 status=s   user_id=u2) new(id=b1 status=s   user_id=u3)`,
		},
		{
			name: "our trigger is disabled", do: `ALTER TABLE bookings DISABLE TRIGGER "!fabric log"`,
			want: []string{"the trigger of table public.bookings that logs changes is disabled", "fabric publisher setup"},
		},
		{
			name: "our trigger is dropped", do: `DROP TRIGGER "!fabric truncate" ON bookings`,
			want: []string{"table public.bookings has no trigger that logs a TRUNCATE", "fabric publisher setup"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := newDatabase(t, shopSchema)
			mapping := bookings("id", "status", "user_id")
			src := db.source(mapping)
			db.exec("INSERT INTO bookings (id, status) VALUES ('b1', 's')")
			from := snapshotPlace(t, src)
			r := runBehind(t, src, from)
			db.exec("UPDATE bookings SET user_id = 'u1'")
			r.next()
			db.exec(tt.do)
			db.exec("UPDATE bookings SET user_id = 'u2'") // the shop goes on in any case
			if tt.want == nil {
				if got := r.next().Change.New["user_id"].Text; got != "u2" {
					t.Errorf("user_id %q after the change, want u2", got)
				}
				if err := src.Check(t.Context()); err != nil {
					t.Errorf("Check: %v", err)
				}
				return
			}
			err := r.err()
			if wantSentence(t, err, tt.want...); !errors.Is(err, publisher.ErrHalt) {
				t.Errorf("Run = %v, want ErrHalt", err)
			}
			wantSentence(t, db.bare(mapping).Check(t.Context()), tt.want...)
			if tt.log == "" {
				return
			}
			src = db.source(tt.mended)
			db.exec("UPDATE bookings SET user_id = 'u3'")
			wantRun(t, src, from, tt.log)
		})
	}
}

// TestAddedToMapping lists another column and another table, and takes the table
// away again.
func TestAddedToMapping(t *testing.T) {
	db := newDatabase(t, "CREATE TABLE t (id int PRIMARY KEY, a text, b text); CREATE TABLE u (id int PRIMARY KEY)")
	src := db.source(plainMapping("t", "id", "id", "a"))
	from := snapshotPlace(t, src)
	db.exec("INSERT INTO t VALUES (1, 'x', 'y')")
	m := plainMapping("t", "id", "id", "a", "b")
	m.Tables["u"] = publisher.Table{Key: "id", Columns: []string{"id"}}
	wantSentence(t, db.bare(m).Check(t.Context()), "table public.u has no trigger", "table public.t that logs changes was made for another mapping")
	src = db.source(m)
	db.exec("INSERT INTO t VALUES (2, 'x', 'y'); INSERT INTO u VALUES (3)")
	// What was logged before lacks the new column.
	wantRun(t, src, from, `
Insert t new(a=x id=1)
Insert t new(a=x b=y id=2)
Insert u new(id=3)`)
	// A table that is no longer mapped has no trigger, and its rows are passed over.
	db.exec("INSERT INTO u VALUES (4)")
	last := collect(t, src, from, 4)[3].Place
	src = db.source(plainMapping("t", "id", "id", "a"))
	if n := db.value("SELECT count(*)::text FROM pg_trigger WHERE tgrelid = 'u'::regclass"); n != "0" {
		t.Errorf("%s triggers on a table that is no longer mapped", n)
	}
	db.exec("INSERT INTO u VALUES (5); INSERT INTO t VALUES (6)")
	wantRun(t, src, last, `
nothing
Insert t new(a=NULL id=6)`)
}
