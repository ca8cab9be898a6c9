package outbox_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/test/pgtest"
)

// durable is a database whose commits wait for the disk.
func durable(b *testing.B) *database {
	pg := pgtest.Run(b, pgtest.Setting("fsync", "on"), pgtest.Setting("wal_level", "replica"))
	return database{Database: pg.Database(b), t: b}.begin(shopSchema)
}

const someBookings = `INSERT INTO bookings SELECT md5(i::text), 'u' || i, NULL, 'pending', now(), NULL, 'notes' FROM generate_series(1, $1::int) i`

// BenchmarkRead reads a transaction of 50 000 rows, from the outbox through the
// batch log to decoded entries.
func BenchmarkRead(b *testing.B) {
	const rows = 50_000
	db := durable(b)
	src := db.source(shopMapping())
	db.exec(someBookings, rows)
	from := snapshotPlace(b, src)
	enough := errors.New("enough")
	var took time.Duration
	for b.Loop() {
		b.StopTimer()
		db.exec("UPDATE bookings SET status = status || 'x'")
		b.StartTimer()
		n, begin, last := 0, time.Now(), ""
		if err := src.Run(b.Context(), from, func(e publisher.Entry) error {
			if e.Change == nil || e.Change.Op != publisher.Update || e.Place == from {
				return nil
			}
			last = e.Place
			if n++; n == rows {
				return enough
			}
			return nil
		}); err != enough {
			b.Fatal(err)
		}
		took += time.Since(begin)
		b.StopTimer()
		from = snapshotPlace(b, src)
		if err := src.Confirm(b.Context(), last); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(b.N)*rows/took.Seconds(), "rows/s")
}

// BenchmarkWake is the time from the return of a writer's commit, in another
// connection, to emit, with a reader that sleeps.
func BenchmarkWake(b *testing.B) {
	for _, pooled := range []bool{false, true} {
		b.Run(map[bool]string{false: "direct", true: "pooled, poll 20ms"}[pooled], func(b *testing.B) {
			db := durable(b)
			if pooled {
				db.dsn = db.Pooled(b)
			}
			src := db.source(shopMapping())
			db.exec(someBookings, 1)
			from := snapshotPlace(b, src)
			ctx, cancel := context.WithCancel(b.Context())
			emitted, ended := make(chan time.Time), make(chan error)
			go func() {
				ended <- src.Run(ctx, from, func(e publisher.Entry) error {
					if e.Change == nil {
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
			for b.Loop() {
				b.StopTimer()
				time.Sleep(3 * time.Millisecond) // it falls asleep
				b.StartTimer()
				db.exec("UPDATE bookings SET status = status || 'x'")
				committed := time.Now()
				took = append(took, max(0, (<-emitted).Sub(committed)))
			}
			cancel()
			<-ended
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// BenchmarkWrite is what the shop pays: an UPDATE of 1000 rows, without and
// with triggers, and with a reader that is always asleep, so that every
// transaction notifies.
func BenchmarkWrite(b *testing.B) {
	for _, update := range []struct{ name, sql string }{
		{"listed", "UPDATE bookings SET status = status || 'x'"},
		{"unlisted", "UPDATE bookings SET staff_notes = staff_notes || 'x'"},
	} {
		for _, name := range []string{"plain", "triggers"} {
			b.Run(update.name+", "+name, func(b *testing.B) {
				db := durable(b)
				db.exec(someBookings, 1000)
				if name != "plain" {
					db.source(shopMapping())
				}
				for b.Loop() {
					db.exec("BEGIN")
					db.exec(update.sql)
					db.exec("ROLLBACK")
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "µs/row")
			})
		}
	}
}
