package shoptest_test

import (
	"log/slog"
	"testing"

	"github.com/petpro/fabric/config"
	"github.com/petpro/fabric/test/pgtest"
	"github.com/petpro/fabric/test/shoptest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// Each kind of shop is written to in the same words, and once it is prepared its
// source finds nothing wrong.
func TestKinds(t *testing.T) {
	mapping, err := config.ParseMapping(config.PetPro)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []shoptest.Kind{shoptest.SQLite, shoptest.Postgres, shoptest.Postgres17, shoptest.Outbox, shoptest.OutboxPooled} {
		t.Run(kind.Name, func(t *testing.T) {
			shop := shoptest.New(t, kind, shoptest.Services)
			shop.Exec(t, `INSERT INTO bookings (id, user_id, service_id, status, updated_at) VALUES (?, ?, 's_1', 'pending', CURRENT_TIMESTAMP)`, "b_1", "carl")
			tx, err := shop.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := tx.Exec(`UPDATE bookings SET status = ? WHERE id = ?`, "confirmed", "b_1"); err != nil {
				t.Fatal(err)
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			var got string
			shop.Query(t, `SELECT status FROM bookings WHERE id = ?`, func(scan func(...any) error) error { return scan(&got) }, "b_1")
			if got != "confirmed" {
				t.Errorf("status %q, want confirmed", got)
			}

			shop.Prepare(t, mapping)
			src, err := shop.Source(mapping, slog.New(slog.DiscardHandler), nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := src.Check(t.Context()); err != nil {
				t.Errorf("check after the setup: %v", err)
			}
			for _, more := range shop.Setup(t, mapping) {
				t.Errorf("still to be set up: %s", more.SQL)
			}
		})
	}
}
