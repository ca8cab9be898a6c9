package publisher_test

import (
	"testing"

	"github.com/petpro/fabric/publisher"
)

// What a change costs whose old row is not in the log, when the last messages
// are in memory.
func BenchmarkMapRecall(b *testing.B) {
	confirmed := with(booking, "status", "confirmed")
	for name, c := range map[string]publisher.Change{
		"status": recall(update("bookings", booking, confirmed)),
		"closed": recall(update("bookings", booking, with(booking, "status", "completed"))),
		"other":  recall(update("bookings", booking, with(booking, "updated_at", "2026-11-22 10:31:00"))),
		"touch":  {Table: "bookings", Op: publisher.Touch, Old: booking, New: booking, Recall: true},
		"delete": recall(remove("bookings", booking), "id"),
	} {
		b.Run(name, func(b *testing.B) {
			m, j := newMapper(b, joined()), &journal{}
			publishAll(b, m, j, load("services", service), insert("bookings", booking))
			m.Recall(j)
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
