package outbox_test

import (
	"errors"
	"testing"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/test/pgtest"
)

// TestLost continues from a place that the outbox has, as it is now, not come
// to.
func TestLost(t *testing.T) {
	const schema = "CREATE TABLE t (id int PRIMARY KEY, a text)"
	mapping := plainMapping("t", "id", "id", "a")
	tests := []struct {
		name string
		do   func(db *database)
		want string
	}{
		{"the outbox was made anew", func(db *database) {
			db.remove(mapping)
			snapshotPlace(db.t, db.source(mapping))
			snapshotPlace(db.t, db.source(mapping))
		}, "is another than the one published"},
		{"the outbox was made anew and is behind", func(db *database) {
			db.remove(mapping)
			db.source(mapping)
		}, "the batch log ends at 0"},
		{"somebody confirmed further", func(db *database) {
			src := db.bare(mapping)
			place := snapshotPlace(db.t, src)
			db.exec("INSERT INTO t VALUES (10), (11)")
			last := collect(db.t, src, place, 2)[1].Place
			if err := src.Confirm(db.t.Context(), last); err != nil {
				db.t.Fatal(err)
			}
		}, "were confirmed by somebody else"},
		{"a snapshot took changes out", func(db *database) {
			db.exec("INSERT INTO t VALUES (10)")
			snapshotPlace(db.t, db.bare(mapping))
		}, "an initial publication has taken 1 changes out of the outbox"},
		{"triggers were removed", func(db *database) {
			db.exec(`DROP TRIGGER "!fabric log" ON t; INSERT INTO t VALUES (10)`)
			db.setup(db.bare(mapping))
		}, "its triggers had been removed or disabled"},
		{"triggers were disabled", func(db *database) {
			db.exec(`ALTER TABLE t DISABLE TRIGGER USER; INSERT INTO t VALUES (10)`)
			db.setup(db.bare(mapping))
		}, "its triggers had been removed or disabled"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := newDatabase(t, schema)
			src := db.source(mapping)
			from := snapshotPlace(t, src)
			db.exec("INSERT INTO t VALUES (1), (2)")
			from = collect(t, src, from, 2)[1].Place
			tt.do(db)
			err := runBehind(t, db.source(mapping), from).err()
			if !errors.Is(err, publisher.ErrLost) {
				t.Errorf("Run = %v, want ErrLost", err)
			}
			wantSentence(t, err, tt.want)
			// From a new snapshot it goes on.
			src = db.source(mapping)
			from = snapshotPlace(t, src)
			db.exec("INSERT INTO t VALUES (20, 'x')")
			wantRun(t, src, from, "Insert t new(a=x id=20)")
		})
	}
}

// remove executes Uninstall.
func (db *database) remove(m publisher.Mapping) {
	db.t.Helper()
	statements, err := db.bare(m).Uninstall(db.t.Context())
	if err != nil {
		db.t.Fatal(err)
	}
	for _, st := range statements {
		db.exec(st.SQL)
	}
}

// TestSnapshotIsNoLoss: who is at the end when another takes a snapshot goes on.
func TestSnapshotIsNoLoss(t *testing.T) {
	db := newDatabase(t, "CREATE TABLE t (id int PRIMARY KEY, a text)")
	src := db.source(plainMapping("t", "id", "id", "a"))
	r := runBehind(t, src, snapshotPlace(t, src))
	db.exec("INSERT INTO t VALUES (1, 'x')")
	r.next()
	snapshotPlace(t, src)
	db.exec("INSERT INTO t VALUES (2, 'x')")
	if got := r.next().Change.New["id"].Text; got != "2" {
		t.Errorf("row %s after the snapshot, want 2", got)
	}
}

// TestRestored restores the database from a backup and lets it go on past the
// place that had been published before.
func TestRestored(t *testing.T) {
	pg := pgtest.Run(t, pgtest.Setting("wal_level", "replica"))
	db := database{Database: pg.Database(t), t: t}.begin("CREATE TABLE t (id int PRIMARY KEY, a text)")
	mapping := plainMapping("t", "id", "id", "a")
	src := db.source(mapping)
	from := snapshotPlace(t, src)
	pg.Stop(t)
	saved := pg.Save(t)
	pg.Start(t)
	again := database{Database: db.Database, t: t}.begin("INSERT INTO t VALUES (1, 'lost')")
	place := collect(t, again.source(mapping), from, 1)[0].Place
	pg.Stop(t)
	pg.Restore(t, saved)
	pg.Start(t)
	again = database{Database: db.Database, t: t}.begin("INSERT INTO t VALUES (1, 'other')")
	src = again.source(mapping)
	if err := runBehind(t, src, place).err(); !errors.Is(err, publisher.ErrLost) {
		t.Errorf("Run behind the backup = %v, want ErrLost", err)
	}
	collect(t, src, from, 1)
	if err := runBehind(t, src, place).err(); !errors.Is(err, publisher.ErrLost) {
		t.Errorf("Run in the other history = %v, want ErrLost", err)
	}
}

// TestCrash ends PostgreSQL in the middle of a backlog: what was emitted
// before is there again, at the same places.
func TestCrash(t *testing.T) {
	pg := pgtest.Run(t, pgtest.Setting("wal_level", "replica"), pgtest.Setting("synchronous_commit", "off"))
	db := database{Database: pg.Database(t), t: t}.begin("CREATE TABLE t (id int PRIMARY KEY, a text)")
	mapping := plainMapping("t", "id", "id", "a")
	src := db.source(mapping)
	from := snapshotPlace(t, src)
	db.exec("INSERT INTO t SELECT i, 'x' FROM generate_series(1, 3500) i")
	r := runBehind(t, src, from)
	var places []string
	for range 2100 {
		places = append(places, r.next().Place)
	}
	pg.Crash(t)
	for {
		select {
		case e := <-r.entries:
			places = append(places, e.Place)
			continue
		case err := <-r.ended:
			if !errors.Is(err, publisher.ErrAway) {
				t.Errorf("Run = %v at a crash, want ErrAway", err)
			}
		}
		break
	}
	for len(r.entries) > 0 {
		places = append(places, (<-r.entries).Place)
	}
	pg.Start(t)
	entries := collect(t, src, from, 3500)
	for i, p := range places {
		if entries[i].Place != p {
			t.Fatalf("entry %d is at %s after the crash, and was at %s", i, entries[i].Place, p)
		}
	}
	for i, e := range entries {
		if want := i + 1; e.Change.New["id"].Text != itoa(want) {
			t.Fatalf("entry %d is of row %s", i, e.Change.New["id"].Text)
		}
	}
}

// TestZombie runs two sources on one outbox, neither knowing of the other, from
// the same place: both must see the same history.
func TestZombie(t *testing.T) {
	db := newDatabase(t, "CREATE TABLE t (id int PRIMARY KEY, a text)")
	mapping := plainMapping("t", "id", "id", "a")
	src := db.source(mapping)
	from := snapshotPlace(t, src)
	one, two := runBehind(t, src, from), runBehind(t, db.bare(mapping), from)
	const rows = 400
	for i := range rows {
		db.exec("INSERT INTO t VALUES ($1)", i)
	}
	for i := range rows {
		a, b := one.next(), two.next()
		if a.Place != b.Place || show([]publisher.Entry{a}) != show([]publisher.Entry{b}) || a.Change.New["id"].Text != itoa(i) {
			t.Fatalf("entry %d: %s %sand %s %s", i, a.Place, show([]publisher.Entry{a}), b.Place, show([]publisher.Entry{b}))
		}
	}
}
