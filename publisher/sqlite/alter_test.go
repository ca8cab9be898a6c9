package sqlite_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/petpro/fabric/publisher"
)

// running is a Run in the background.
type running struct {
	t       *testing.T
	entries chan publisher.Entry
	ended   chan error
}

func runBehind(t *testing.T, src publisher.Source, from string) *running {
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{t, make(chan publisher.Entry, 1000), make(chan error, 1)}
	go func() {
		err := src.Run(ctx, from, func(e publisher.Entry) error {
			if e != (publisher.Entry{}) && (e.Change == nil || e.Change.Op != publisher.Load) {
				r.entries <- e
			}
			return nil
		})
		r.ended <- err
		close(r.ended)
	}()
	t.Cleanup(func() {
		cancel()
		for range r.ended {
		}
	})
	return r
}

func (r *running) next() publisher.Entry {
	r.t.Helper()
	select {
	case e := <-r.entries:
		return e
	case err := <-r.ended:
		r.t.Fatalf("Run ended: %v", err)
	case <-time.After(30 * time.Second):
		r.t.Fatal("no entry")
	}
	panic("unreachable")
}

func (r *running) err() error {
	r.t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(30 * time.Second):
		r.t.Fatal("Run does not end")
	}
	panic("unreachable")
}

// TestAlter alters tables while Run runs: it must go on without a loss, or end
// with an error that says what to do, and the shop must be able to write.
func TestAlter(t *testing.T) {
	tests := []struct {
		name, do string
		// refused by SQLite, with this in the message.
		refused string
		// want of the error of Run and of the next Check; nothing if Run goes on.
		want []string
		lost bool
	}{
		{name: "another table", do: "CREATE TABLE other (x)"},
		{name: "a column is added", do: "ALTER TABLE bookings ADD COLUMN priority"},
		{name: "an unlisted column is renamed", do: "ALTER TABLE bookings RENAME COLUMN staff_notes TO notes"},
		{name: "an unlisted column is dropped", do: "ALTER TABLE bookings DROP COLUMN staff_notes"},
		{name: "a unique index is added", do: "CREATE UNIQUE INDEX one ON bookings (user_id, status)"},
		{name: "a trigger is added", do: "CREATE TRIGGER x AFTER UPDATE ON bookings BEGIN SELECT 1; END"},
		{name: "a mapped column is dropped", do: "ALTER TABLE bookings DROP COLUMN status", refused: "error in trigger"},
		{
			name: "a mapped column is renamed", do: "ALTER TABLE bookings RENAME COLUMN status TO state",
			want: []string{`table "bookings" has no column "status"`, "only id, user_id, service_id, state", "correct the mapping"},
		},
		{
			name: "a followed column is renamed", do: "ALTER TABLE services RENAME COLUMN provider_id TO vendor_id",
			want: []string{`table "services" has no column "provider_id"`, "only id, vendor_id, title"},
		},
		{
			name: "a mapped table is renamed", do: "ALTER TABLE bookings RENAME TO reservations",
			want: []string{`no table "bookings", only reservations, services`},
		},
		{
			name: "a mapped table is dropped", do: "DROP TABLE bookings",
			want: []string{`no table "bookings", only services`},
		},
		{
			name: "a mapped column is renamed behind the triggers' back",
			do:   "PRAGMA legacy_alter_table=ON; ALTER TABLE bookings RENAME COLUMN status TO state; PRAGMA legacy_alter_table=OFF",
			want: []string{`table "bookings" has no column "status"`},
		},
		{
			name: "a mapped table is rebuilt",
			do: `PRAGMA legacy_alter_table=ON; BEGIN;
				CREATE TABLE new_bookings (id TEXT PRIMARY KEY, user_id, service_id, status, updated_at, deleted_at);
				INSERT INTO new_bookings SELECT id, user_id, service_id, status, updated_at, deleted_at FROM bookings;
				DROP TABLE bookings; ALTER TABLE new_bookings RENAME TO bookings; COMMIT; PRAGMA legacy_alter_table=OFF`,
			lost: true,
		},
		{name: "our trigger is removed", do: "DROP TRIGGER fabric_update_bookings", lost: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := newDatabase(t, shopSchema)
			db.exec("INSERT INTO services VALUES ('s1', 'v1', 't'); INSERT INTO bookings (id, service_id, status) VALUES ('b1', 's1', 'pending')")
			src := db.source(shopMapping())
			r := runBehind(t, src, snapshotPlace(t, src))
			db.exec("UPDATE bookings SET user_id = 'u1'")
			r.next()
			if _, err := db.Exec(tt.do); tt.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tt.refused) {
					t.Fatalf("%s = %v, want %q", tt.do, err, tt.refused)
				}
			} else if err != nil {
				t.Fatalf("%s: %v", tt.do, err)
			}
			switch {
			case tt.lost:
				if err := r.err(); !errors.Is(err, publisher.ErrLost) {
					t.Fatalf("Run = %v, want ErrLost", err)
				}
				wantLostOnce(t, db)
			case tt.want != nil:
				err := r.err()
				wantSentence(t, err, tt.want...)
				if !errors.Is(err, publisher.ErrHalt) {
					t.Errorf("Run = %v, want ErrHalt", err)
				}
				wantSentence(t, src.Check(t.Context()), tt.want...)
			default:
				db.exec("UPDATE bookings SET user_id = 'u2'")
				if got := r.next().Change.New["user_id"].Text; got != "u2" {
					t.Errorf("user_id %q after the change, want u2", got)
				}
			}
			// Whatever happened, the shop can write. (A connection reads the schema
			// anew with its next statement that compiles.)
			db.value("SELECT count(*) FROM services")
			db.exec("UPDATE services SET title = title || 'x'")
			if len(tt.want) == 0 || !strings.Contains(tt.want[0], "no table") {
				db.exec("INSERT INTO bookings (id) VALUES ('b2'); UPDATE bookings SET user_id = 'u3'; DELETE FROM bookings")
			}
		})
	}
}

// wantLostOnce checks that a source whose triggers were removed is lost for who
// continues from before, and in order after a new snapshot.
func wantLostOnce(t *testing.T, db *database) {
	t.Helper()
	src := db.source(shopMapping())
	if _, err := collectUntil(t, src, "0/1", 100); !errors.Is(err, publisher.ErrLost) {
		t.Errorf("Run from the beginning = %v, want ErrLost", err)
	}
	from := snapshotPlace(t, src)
	db.exec("UPDATE bookings SET user_id = 'again'")
	if got := collect(t, src, from, 1)[0].Change.New["user_id"].Text; got != "again" {
		t.Errorf("user_id %q after the snapshot, want again", got)
	}
}

// TestRenamedAndRepaired renames a column, then writes, then repairs the
// mapping: no change is lost.
func TestRenamedAndRepaired(t *testing.T) {
	db := newDatabase(t, shopSchema)
	db.exec("INSERT INTO bookings (id, status) VALUES ('b1', 'pending')")
	src := db.source(shopMapping())
	from := snapshotPlace(t, src)
	db.exec("ALTER TABLE bookings RENAME COLUMN status TO state")
	if err := src.Check(t.Context()); !errors.Is(err, publisher.ErrHalt) {
		t.Fatalf("Check = %v, want ErrHalt", err)
	}
	db.exec("UPDATE bookings SET state = 'confirmed'")
	m := publisher.Mapping{Tables: map[string]publisher.Table{"bookings": {Key: "id", Columns: []string{"state"}}}}
	src = db.source(m)
	db.exec("UPDATE bookings SET state = 'completed'")
	wantRun(t, src, from, `
Update bookings old(id=b1) new(id=b1)
Update bookings old(id=b1 state=confirmed) new(id=b1 state=completed)`)
}
