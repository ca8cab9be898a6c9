package sqlite_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/petpro/fabric/publisher"
)

func insertBookings(db *database, prefix string, n int) {
	db.t.Helper()
	db.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
		INSERT INTO bookings (id, user_id, service_id, status, updated_at)
		SELECT ?1 || i, 'user' || i % 100, 's1', 'pending', '2026-11-23 10:00:00' FROM n`, prefix, n)
}

func wantLog(t *testing.T, db *database, want int) {
	t.Helper()
	if n := db.value("SELECT count(*) FROM fabric_changes"); n != strconv.Itoa(want) {
		t.Errorf("the log has %s entries, want %d", n, want)
	}
}

func TestConfirmPrunes(t *testing.T) {
	db := newDatabase(t, shopSchema)
	src := db.source(shopMapping())
	from := snapshotPlace(t, src)
	insertBookings(db, "b", 3500)
	entries := collect(t, src, from, 3500)

	if err := src.Confirm(t.Context(), from); err != nil {
		t.Fatal(err)
	}
	wantLog(t, db, 3500)
	if err := src.Confirm(t.Context(), entries[3000].Place); err != nil {
		t.Fatal(err)
	}
	wantLog(t, db, 500)
	if err := src.Confirm(t.Context(), entries[10].Place); err != nil {
		t.Errorf("Confirm of what is gone: %v", err)
	}
	if err := src.Confirm(t.Context(), snapshotPlace(t, src)); err != nil {
		t.Fatal(err)
	}
	wantLog(t, db, 1)
	if err := src.Confirm(t.Context(), "init"); err == nil {
		t.Error("Confirm of what is no place succeeds")
	}
	// Ids are not used again.
	insertBookings(db, "c", 1)
	if place := collect(t, src, entries[3499].Place, 2)[1].Place; place != "3501/0" {
		t.Errorf("the next entry is at %s, want 3501/0", place)
	}
}

func TestConfirmLocked(t *testing.T) {
	db := newDatabase(t, shopSchema)
	src := db.source(shopMapping())
	from := snapshotPlace(t, src)
	insertBookings(db, "b", 10)
	r := runBehind(t, src, from) // keeps the connection of Confirm open
	var last publisher.Entry
	for range 10 {
		last = r.next()
	}
	for range 2 {
		db.exec("BEGIN IMMEDIATE")
		begin := time.Now()
		if err := src.Confirm(t.Context(), last.Place); err != nil {
			t.Errorf("Confirm of a locked database: %v", err)
		}
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("Confirm of a locked database takes %v", took)
		}
		db.exec("ROLLBACK")
		wantLog(t, db, 10)
	}
	if err := src.Confirm(t.Context(), last.Place); err != nil {
		t.Fatal(err)
	}
	wantLog(t, db, 1)
}

// TestAnotherConfirmsMore lets a second publisher prune what a slow one has not
// read: it must not go on behind the hole.
func TestAnotherConfirmsMore(t *testing.T) {
	// A page is 1000 entries: of those behind the first, one or many are gone.
	for _, place := range []string{"1002/0", "4900/0"} {
		db := newDatabase(t, shopSchema)
		src := db.source(shopMapping())
		from := snapshotPlace(t, src)
		insertBookings(db, "b", 5000)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		n := 0
		err := src.Run(ctx, from, func(e publisher.Entry) error {
			if n++; n == 1 {
				return db.source(shopMapping()).Confirm(ctx, place)
			}
			return nil
		})
		if !errors.Is(err, publisher.ErrLost) || n != 1000 {
			t.Errorf("another one confirmed %s: Run = %v after %d entries, want ErrLost after 1000", place, err, n)
		}
	}
}

// TestRestored goes back to an older copy of the database.
func TestRestored(t *testing.T) {
	db := newDatabase(t, shopSchema)
	src := db.source(shopMapping())
	insertBookings(db, "b", 3)
	copied := t.TempDir() + "/copy.db"
	db.exec("VACUUM INTO ?", copied)
	insertBookings(db, "c", 3)
	place := collect(t, src, "0/1", 6)[5].Place
	old := openDatabase(t, copied, "")
	if _, err := collectUntil(t, old.source(shopMapping()), place, 1); !errors.Is(err, publisher.ErrLost) {
		t.Errorf("Run of an older copy = %v, want ErrLost", err)
	}
}
