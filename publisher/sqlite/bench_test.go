package sqlite_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/petpro/fabric/publisher"
)

// BenchmarkRead reads one transaction of 50 000 rows: log to decoded entries.
func BenchmarkRead(b *testing.B) {
	const rows = 50_000
	db := newDatabase(b, shopSchema)
	src := db.source(shopMapping())
	insertBookings(db, "b", rows)
	from := snapshotPlace(b, src)
	db.exec("UPDATE bookings SET status = 'confirmed'")
	enough := errors.New("enough")
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		if err := src.Run(b.Context(), from, func(e publisher.Entry) error {
			if n++; n == rows {
				return enough
			}
			return nil
		}); err != enough {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkWake is the time from the return of a writer's commit, in another
// connection, to emit.
func BenchmarkWake(b *testing.B) {
	db := newDatabase(b, shopSchema, "synchronous(FULL)")
	src := db.source(shopMapping())
	insertBookings(db, "b", 1)
	from := snapshotPlace(b, src)
	ctx, cancel := context.WithCancel(b.Context())
	emitted, ended := make(chan time.Time), make(chan error)
	go func() {
		ended <- src.Run(ctx, from, func(e publisher.Entry) error {
			if e == (publisher.Entry{}) {
				return nil
			}
			select {
			case emitted <- time.Now():
			case <-ctx.Done():
			}
			return nil
		})
	}()
	var took []time.Duration
	status := []string{"confirmed", "pending"}
	for b.Loop() {
		db.exec("UPDATE bookings SET status = ?", status[len(took)%2])
		committed := time.Now()
		took = append(took, max(0, (<-emitted).Sub(committed)))
		b.StopTimer()
		time.Sleep(time.Millisecond) // a burst would find Run awake
		b.StartTimer()
	}
	cancel()
	<-ended
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkWrite is what the shop pays: an UPDATE of one row in a transaction
// of many, without and with triggers.
func BenchmarkWrite(b *testing.B) {
	for _, name := range []string{"plain", "with triggers"} {
		b.Run(name, func(b *testing.B) {
			db := newDatabase(b, shopSchema)
			insertBookings(db, "b", 1000)
			if name != "plain" {
				db.source(shopMapping())
			}
			db.exec("BEGIN")
			update, err := db.Prepare("UPDATE bookings SET status = ? WHERE id = 'b7'")
			if err != nil {
				b.Fatal(err)
			}
			for n := 0; b.Loop(); n++ {
				if _, err := update.Exec(n); err != nil {
					b.Fatal(err)
				}
			}
			update.Close()
			db.exec("ROLLBACK")
		})
	}
}
