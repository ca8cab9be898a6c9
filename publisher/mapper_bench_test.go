package publisher_test

import (
	"testing"

	"github.com/petpro/fabric/publisher"
)

// What one change of a booking costs, with PetPro's mapping and its lookup.
func BenchmarkMap(b *testing.B) {
	confirmed := with(booking, "status", "confirmed")
	for name, c := range map[string]publisher.Change{
		"insert": insert("bookings", booking),
		"status": update("bookings", booking, confirmed),
		"closed": update("bookings", confirmed, with(booking, "status", "completed")),
		"other":  update("bookings", booking, with(booking, "updated_at", "2026-11-22 10:31:00")),
		"touch":  touch("bookings", booking, "services", "s1", with(service, "provider_id", "u_8")),
	} {
		b.Run(name, func(b *testing.B) {
			m := newMapper(b, joined())
			lines(b, m, load("services", service))
			e := entry(c)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Map(e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
