package postgres_test

import (
	"context"
	"testing"

	"github.com/petpro/fabric/publisher"
)

// BenchmarkTransaction reads updates of one large transaction.
func BenchmarkTransaction(b *testing.B) {
	for name, identity := range map[string]string{"default": "DEFAULT", "full": "FULL"} {
		b.Run(name, func(b *testing.B) {
			s := newShop(b, shopSchema, shopMapping())
			s.exec(`ALTER PUBLICATION fabric_` + s.name + ` SET TABLE bookings, services; ALTER TABLE bookings REPLICA IDENTITY ` + identity)
			s.exec(`INSERT INTO bookings (id, user_id, service_id, staff_notes) SELECT 'b' || n, 'u' || n % 1000, 's' || n % 100, repeat('x', 100) FROM generate_series(1, 50000) n`)
			place, err := s.source().Snapshot(context.Background(), func(publisher.Entry) error { return nil })
			if err != nil {
				b.Fatal(err)
			}
			s.exec(`UPDATE bookings SET status = 'confirmed'`)
			b.ReportAllocs()
			rows := 0
			for b.Loop() {
				n := 0
				err := s.open().Run(context.Background(), place, func(e publisher.Entry) error {
					if e.Change != nil && e.Change.Op == publisher.Update {
						if n++; n == 50000 {
							return errEnough
						}
					}
					return nil
				})
				if err != errEnough {
					b.Fatal(err)
				}
				rows += n
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
