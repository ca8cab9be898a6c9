package sqlite_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/petpro/fabric/publisher"
)

func TestSnapshot(t *testing.T) {
	db := newDatabase(t, shopSchema)
	db.exec(`INSERT INTO services VALUES ('s1', 'v1', 'secret'), ('s2', NULL, 'secret');
		INSERT INTO bookings VALUES ('b1', 'u1', 's1', 'pending', 1.5, NULL, 'secret')`)
	var entries []publisher.Entry
	place, err := db.source(shopMapping()).Snapshot(t.Context(), func(e publisher.Entry) error {
		entries = append(entries, e)
		return nil
	})
	if err != nil || place != "0/1" {
		t.Errorf("Snapshot = %q, %v, want 0/1", place, err)
	}
	const want = `Load services new(id=s1 provider_id=v1)
Load services new(id=s2 provider_id=NULL)
Snapshot bookings new(deleted_at=NULL id=b1 service_id=s1 status=pending updated_at=1.5 user_id=u1)
`
	if got := show(entries); got != want {
		t.Errorf("Snapshot emits\n%swant\n%s", got, want)
	}
}

func TestSnapshotEnds(t *testing.T) {
	db := newDatabase(t, shopSchema)
	src := db.source(shopMapping())
	insertBookings(db, "b", 100)
	refused := errors.New("refused")
	if _, err := src.Snapshot(t.Context(), func(publisher.Entry) error { return refused }); err != refused {
		t.Errorf("Snapshot = %v, want the error of emit", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	if _, err := src.Snapshot(ctx, func(publisher.Entry) error { n++; cancel(); return nil }); !errors.Is(err, context.Canceled) || n != 1 {
		t.Errorf("Snapshot = %v after %d rows, want context.Canceled after 1", err, n)
	}
}

// TestSnapshotMemory looks at the heap while 20 000 rows are emitted.
func TestSnapshotMemory(t *testing.T) {
	db := newDatabase(t, shopSchema)
	src := db.source(shopMapping())
	insertBookings(db, "b", 20_000)
	before, most, n := heap(), uint64(0), 0
	if _, err := src.Snapshot(t.Context(), func(publisher.Entry) error {
		if n++; n%5_000 == 0 {
			most = max(most, heap())
		}
		return nil
	}); err != nil || n != 20_000 {
		t.Fatalf("Snapshot emits %d rows: %v", n, err)
	}
	if most > before+2<<20 {
		t.Errorf("Snapshot holds up to %d KiB", (most-before)>>10)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestFileReplaced restores a backup over the file while Run runs.
func TestFileReplaced(t *testing.T) {
	db := newDatabase(t, shopSchema)
	src := db.source(shopMapping())
	r := runBehind(t, src, snapshotPlace(t, src))
	insertBookings(db, "b", 1)
	r.next()
	other := openDatabase(t, t.TempDir()+"/other.db", shopSchema)
	other.Close()
	rename(t, other.path, db.path)
	wantSentence(t, r.err(), "was replaced by another file")
}
