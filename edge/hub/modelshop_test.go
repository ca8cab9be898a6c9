package hub_test

import (
	"fmt"
	"maps"
	"slices"

	"github.com/petpro/fabric/subjects"
)

// shop is what the publisher of the model test publishes from: who takes part
// in which booking, and which are open. Its records come in the publisher's
// order: access, opening index records, events, closing index records.
type shop struct {
	m        *model
	bookings map[string]*deal
	keep     int
	epochs   int
}

// deal is one booking.
type deal struct {
	users []string
	open  bool
}

func newShop(m *model, keep int) *shop {
	s := &shop{m: m, keep: keep, epochs: 1, bookings: map[string]*deal{}}
	for i := range modelBookings {
		id := fmt.Sprint(i)
		s.bookings[id] = &deal{}
		s.hire(id, []string{"u0", "u1", "u2"})
	}
	return s
}

// publish publishes n events.
func (s *shop) publish(n int) {
	for range n {
		room := booking(s.any())
		switch s.m.rnd.IntN(10) {
		case 0, 1:
			s.m.oracle.event(subjects.UserRoom(fmt.Sprintf("u%d", s.m.rnd.IntN(4))), subjects.NotificationType)
		case 2, 3:
			s.m.oracle.event(room, "note")
		default:
			s.m.oracle.event(room, "status")
		}
	}
}

func (s *shop) any() string { return fmt.Sprint(s.m.rnd.IntN(modelBookings)) }

// change has a booking change hands, or open or close.
func (s *shop) change() {
	id := s.any()
	if s.m.rnd.IntN(2) == 0 {
		s.turn(id)
		return
	}
	var users []string
	for i := range 4 {
		if s.m.rnd.IntN(3) > 0 {
			users = append(users, fmt.Sprintf("u%d", i))
		}
	}
	s.hire(id, users)
}

// hire gives a booking other participants.
func (s *shop) hire(id string, users []string) {
	d := s.bookings[id]
	s.m.oracle.grant(id, users...)
	for _, u := range users {
		if !slices.Contains(d.users, u) {
			s.m.oracle.index(u, id, d.open, false)
		}
	}
	if s.m.rnd.IntN(2) == 0 {
		s.m.oracle.event(booking(id), "status")
	}
	for _, u := range d.users {
		if !slices.Contains(users, u) {
			s.m.oracle.index(u, id, false, true)
		}
	}
	d.users = users
}

// turn opens or closes a booking, with a status event.
func (s *shop) turn(id string) {
	d := s.bookings[id]
	d.open = !d.open
	if !d.open {
		s.m.oracle.event(booking(id), "status")
	}
	for _, u := range d.users {
		s.m.oracle.index(u, id, d.open, false)
	}
	if d.open {
		s.m.oracle.event(booking(id), "status")
	}
}

// retire purges a booking that has been silent for long.
func (s *shop) retire() bool { return s.m.oracle.retire(booking(s.any()), modelRetention) }

// begin begins another epoch.
func (s *shop) begin() {
	s.epochs++
	s.m.stream.NewEpoch(fmt.Sprintf("e%d", s.epochs), s.keep)
	s.m.oracle.stamp()
	s.begun()
}

// lose loses the newest messages. The publisher finds out, begins an epoch and
// publishes all records again.
func (s *shop) lose(n uint64) {
	s.epochs++
	s.m.oracle.truncate(s.m.stream.Last()-n, fmt.Sprintf("e%d", s.epochs), s.keep)
	for _, id := range slices.Sorted(maps.Keys(s.bookings)) {
		d := s.bookings[id]
		s.m.oracle.grant(id, d.users...)
		for i := range 4 {
			u := fmt.Sprintf("u%d", i)
			in := slices.Contains(d.users, u)
			s.m.oracle.index(u, id, in && d.open, !in)
		}
	}
	s.begun()
}

// begun closes a new epoch, now or some steps later.
func (s *shop) begun() {
	if s.m.rnd.IntN(2) == 0 {
		s.settle()
	}
}

func (s *shop) settle() {
	s.m.stream.Settle()
	s.m.oracle.stamp()
}
