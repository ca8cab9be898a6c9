package e2e_test

import (
	"os"
	"slices"
	"testing"

	"github.com/petpro/fabric/config"
	"github.com/petpro/fabric/test/shoptest"
)

// PetPro's tables as its migrations make them: uuids, an enumeration that grows,
// times with a zone, jsonb.
func TestMigratedTables(t *testing.T) {
	eachShop(t, []shoptest.Kind{shoptest.Postgres, shoptest.Outbox, shoptest.Postgres17}, migratedTables)
}

func migratedTables(t *testing.T, shop option) {
	const (
		carl, vera    = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
		nobody        = "00000000-0000-4000-8000-000000000000"
		service, book = "33333333-3333-4333-8333-333333333333", "44444444-4444-4444-8444-444444444444"
	)
	s := start(t, 0, shop, withTables(shoptest.Migrated, config.PetPro), withNobody(nobody))
	s.exec(`INSERT INTO services VALUES ('` + service + `', '` + vera + `', 'walk')`)
	s.exec(`INSERT INTO bookings (id, user_id, service_id, updated_at, notes, total_price) VALUES ('` + book + `', '` + carl + `', '` + service + `', '2026-03-04 05:06:07.891+02', 'a secret', 12.5)`)
	s.exec(`ALTER TYPE enum_booking_status ADD VALUE 'paused'`)
	s.quiet()
	s.settle()

	customer, vendor := dial(t, s.edges[0].url), dial(t, s.edges[1].url)
	customer.connect(token(t, carl), "", "mine")
	vendor.connect(token(t, vera), "", "booking."+book)
	first := customer.events("booking." + book)
	if len(first) != 1 || field(first[0], "updatedAt") != "2026-03-04T03:06:07.891Z" || field(first[0], "message") != "Booking created successfully" {
		t.Errorf("the new booking: %+v", first)
	}
	for _, status := range []string{"confirmed", "paused"} {
		s.exec(`UPDATE bookings SET status = '` + status + `' WHERE id = '` + book + `'`)
		for _, c := range []*client{customer, vendor} {
			c.wait(status, func(f frame) bool {
				return f.Event != nil && slices.Contains(statuses([]event{*f.Event}), status)
			})
		}
	}
	s.exec(`INSERT INTO notifications (user_id, type, title, message, data) VALUES ('` + carl + `', 'PROMO', 'Hello', 'from us', '{"bookingId": "` + book + `", "secret": 1}')`)
	f := customer.wait("the notification", func(f frame) bool { return f.Event != nil && field(*f.Event, "type") == "PROMO" })
	if field(*f.Event, "bookingId") != book {
		t.Errorf("the notification: %s", f.Event.Data)
	}
	s.exec(`UPDATE bookings SET status = 'completed' WHERE id = '` + book + `'`)
	customer.wait("left", func(f frame) bool { return f.Left != nil && f.Left.Reason == "closed" })
}

// The other form of PetPro's tables: both participants in the booking's row.
func TestColumnsDialect(t *testing.T) { eachShop(t, databases, columnsDialect) }

func columnsDialect(t *testing.T, shop option) {
	s := start(t, 0, shop, withTables(shoptest.Columns, petproColumns(t)))
	s.exec(`INSERT INTO bookings (id, customer_id, vendor_id, status) VALUES ('b_0', 'carl', 'vera', 'pending')`)
	s.quiet()
	s.settle()
	customer, vendor := dial(t, s.edges[0].url), dial(t, s.edges[1].url)
	customer.connect(token(t, "carl"), "", room(0))
	vendor.connect(token(t, "vera"), "", "mine")
	s.exec(`UPDATE bookings SET status = 'confirmed', customer_id = 'cora' WHERE id = 'b_0'`)
	vendor.wait("confirmed", func(f frame) bool {
		return f.Event != nil && slices.Contains(statuses([]event{*f.Event}), "confirmed")
	})
	customer.wait("revoked", func(f frame) bool { return f.Revoked != nil })
	if got := statuses(customer.events(room(0))); slices.Contains(got, "confirmed") {
		t.Errorf("the former customer got %v", got)
	}
}

func petproColumns(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("../../config/petpro-columns.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return text
}
