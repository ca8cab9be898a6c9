package e2e_test

import (
	"maps"
	"slices"
	"testing"
)

// What was in the shop before the publisher came is there for who joins: last
// values of open and closed bookings to their participants, nothing of deleted
// ones, and "mine" is what is open.
func TestInitialPublication(t *testing.T) { eachShop(t, everywhere, initialPublication) }

func initialPublication(t *testing.T, shop option) {
	s := start(t, 3, shop, withoutPublisher())
	s.set(1, "completed")
	s.exec(`UPDATE bookings SET deleted_at = CURRENT_TIMESTAMP WHERE id = 'b_2'`)
	s.exec(`INSERT INTO bookings (id, user_id, service_id, status) VALUES ('orphan', NULL, NULL, 'pending')`)
	s.exec(`INSERT INTO notifications (user_id, type, title) VALUES ('carl', 'OLD', 'from before')`)
	s.publish()
	for range 2 {
		s.addEdge()
	}

	vendor := dial(t, s.edges[0].url)
	reply := vendor.connect(token(t, "vera"), "", room(0), room(1), room(2), "booking.orphan")
	for r, refused := range map[string]bool{room(0): false, room(1): false, room(2): true, "booking.orphan": true} {
		if f := reply.Rooms[r]; (f.Error != nil) != refused || refused && f.Error.Code != 103 {
			t.Errorf("%s: fate %+v, want refused %v", r, f, refused)
		}
	}
	for b, want := range []string{"pending", "completed"} {
		got := vendor.events(room(b))
		if len(got) != 1 || !got[0].Snapshot || statuses(got)[0] != want {
			t.Errorf("%s: %+v, want the last value %q", room(b), got, want)
		}
	}
	customer := dial(t, s.edges[1].url)
	reply = customer.connect(token(t, "carl"), "", "mine")
	if got := slices.Sorted(maps.Keys(reply.Rooms)); !slices.Contains(got, room(0)) || slices.Contains(got, room(1)) || slices.Contains(got, room(2)) {
		t.Errorf("mine is %v, want the open %s only", got, room(0))
	}
	// And from there on it is live.
	s.set(0, "confirmed")
	customer.wait("confirmed", func(f frame) bool {
		return f.Event != nil && !f.Event.Snapshot && slices.Contains(statuses([]event{*f.Event}), "confirmed")
	})
	for _, e := range customer.events("user.carl") {
		if title := field(e, "title"); title == "from before" {
			t.Errorf("a notification from before the publisher was sent: %+v", e)
		}
	}
}

// The publisher stops, the shop goes on, and it starts again: everything is
// there, once and in order, and a customer changed meanwhile has lost access.
func TestPublisherAway(t *testing.T) { eachShop(t, databases, publisherAway) }

func publisherAway(t *testing.T, shop option) {
	s := start(t, 2, shop)
	vendor, customer := dial(t, s.edges[0].url), dial(t, s.edges[1].url)
	vendor.connect(token(t, "vera"), "", room(0), room(1))
	customer.connect(token(t, "carl"), "", room(0), room(1))
	if err := s.pub.stop(); err != nil {
		t.Fatal(err)
	}
	want := []string{"pending"}
	for _, status := range []string{"confirmed", "in_progress", "completed", "pending"} {
		s.set(0, status)
		want = append(want, status)
	}
	s.exec(`UPDATE bookings SET user_id = 'cora' WHERE id = 'b_1'`)
	s.set(1, "confirmed")
	s.publish()
	s.settleAfter(1, "confirmed")

	for name, c := range map[string]*client{"vendor": vendor, "customer": customer} {
		s.await(name+"'s last event", func() bool { return len(c.events(room(0))) >= len(want) })
		if got := statuses(c.events(room(0))); !slices.Equal(got, want) {
			t.Errorf("%s got %v, want %v", name, got, want)
		}
		inOrder(t, c.events(""))
	}
	customer.wait("revoked", func(f frame) bool { return f.Revoked != nil && f.Revoked.Room == room(1) })
	if got := statuses(customer.events(room(1))); !slices.Equal(got, []string{"pending"}) {
		t.Errorf("the former customer got %v", got)
	}
}
