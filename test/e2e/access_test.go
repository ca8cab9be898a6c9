package e2e_test

import (
	"slices"
	"testing"
	"time"
)

// Nobody but participants gets in, whether the booking exists or not; a
// token's claim and an admin role do.
func TestStrangerIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t, 2)
	c := dial(t, s.edges[0].url)
	reply := c.connect(token(t, "sam"), "", room(0), "booking.nowhere")
	for _, r := range []string{room(0), "booking.nowhere"} {
		if f := reply.Rooms[r]; f.Error == nil || f.Error.Code != 103 {
			t.Errorf("%s: fate %+v, want error 103", r, f)
		}
	}
	if f := c.reply(c.send("join", map[string]any{"room": room(1)})); f.Error == nil || f.Error.Code != 103 {
		t.Errorf("join: %+v, want error 103", f)
	}
	if f := c.reply(c.send("join", map[string]any{"room": "user.carl"})); f.Error == nil || f.Error.Code != 103 {
		t.Errorf("join of another user's room: %+v, want error 103", f)
	}
	if f := c.reply(c.send("history", map[string]any{"room": room(1), "limit": 5})); f.Error == nil || f.Error.Code != 103 {
		t.Errorf("history: %+v, want error 103", f)
	}
	s.set(0, "confirmed")
	s.set(1, "confirmed")
	s.published(1, "confirmed")
	s.settle()
	c.reply(c.send("ping", map[string]any{}))
	if got := c.events(""); len(got) > 0 {
		t.Errorf("a stranger got %+v", got)
	}

	claim := dial(t, s.edges[1].url)
	if r := claim.connect(tokenFor(t, "sam", nil, []string{room(0)}, time.Hour), "", room(0), room(1)); r.Rooms[room(0)].Error != nil || r.Rooms[room(1)].Error == nil {
		t.Errorf("rooms claim: %+v", r.Rooms)
	}
	admin := dial(t, s.edges[1].url)
	if r := admin.connect(tokenFor(t, "ada", []string{"admin"}, nil, time.Hour), "", room(0), "booking.nowhere"); r.Rooms[room(0)].Error != nil || r.Rooms["booking.nowhere"].Error != nil {
		t.Errorf("admin: %+v", r.Rooms)
	}
}

// Who loses access while connected gets nothing that comes after.
func TestAccessLostWhileConnected(t *testing.T) { eachShop(t, databases, accessLostWhileConnected) }

func accessLostWhileConnected(t *testing.T, shop option) {
	s := start(t, 1, shop)
	vendor, customer := dial(t, s.edges[0].url), dial(t, s.edges[1].url)
	vendor.connect(token(t, "vera"), "", room(0))
	customer.connect(token(t, "carl"), "", room(0))

	s.exec(`UPDATE bookings SET user_id = 'cora', status = 'confirmed' WHERE id = 'b_0'`)
	customer.wait("revoked", func(f frame) bool { return f.Revoked != nil && f.Revoked.Room == room(0) })
	vendor.wait("confirmed", func(f frame) bool {
		return f.Event != nil && slices.Contains(statuses([]event{*f.Event}), "confirmed")
	})
	s.set(0, "completed")
	vendor.wait("completed", func(f frame) bool {
		return f.Event != nil && slices.Contains(statuses([]event{*f.Event}), "completed")
	})
	s.settle()
	customer.reply(customer.send("ping", map[string]any{}))
	if got := statuses(customer.events(room(0))); slices.Contains(got, "confirmed") || slices.Contains(got, "completed") {
		t.Errorf("the former customer got %v", got)
	}
	if f := customer.reply(customer.send("join", map[string]any{"room": room(0)})); f.Error == nil || f.Error.Code != 103 {
		t.Errorf("join by the former customer: %+v", f)
	}
	heir := dial(t, s.edges[0].url)
	if r := heir.connect(token(t, "cora"), "", room(0)); r.Rooms[room(0)].Error != nil {
		t.Errorf("the new customer is refused: %+v", r.Rooms)
	}
}

// A followed row that changes takes its bookings along.
func TestServiceGetsAnotherProvider(t *testing.T) { eachShop(t, databases, serviceGetsAnotherProvider) }

func serviceGetsAnotherProvider(t *testing.T, shop option) {
	s := start(t, 2, shop)
	vendor := dial(t, s.edges[0].url)
	vendor.connect(token(t, "vera"), "", room(0), room(1))
	s.exec(`UPDATE services SET provider_id = 'victor' WHERE id = 's_1'`)
	for i := range 2 {
		vendor.wait("revoked", func(f frame) bool { return f.Revoked != nil && f.Revoked.Room == room(i) })
	}
	next := dial(t, s.edges[1].url)
	if r := next.connect(token(t, "victor"), "", room(0), room(1)); r.Rooms[room(0)].Error != nil || r.Rooms[room(1)].Error != nil {
		t.Errorf("the new provider: %+v", r.Rooms)
	}
}

// Who lost access while away is told so, and gets nothing of the meantime.
func TestAccessLostWhileAway(t *testing.T) { eachShop(t, databases, accessLostWhileAway) }

func accessLostWhileAway(t *testing.T, shop option) {
	for _, tt := range []struct {
		name string
		ring int
	}{{"ring", 16 << 20}, {"history", 64 << 10}} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, 200, withRing(tt.ring), shop)
			c := dial(t, s.edges[0].url)
			c.connect(token(t, "carl"), "", room(0), room(1))
			c.close()
			cursor := c.position()
			s.set(0, "confirmed")
			s.exec(`UPDATE bookings SET user_id = 'cora' WHERE id = 'b_0'`)
			s.set(0, "in_progress")
			s.exec(`UPDATE bookings SET status = 'confirmed' WHERE id <> 'b_0' AND id <> 'b_1'`)
			s.set(1, "cancelled")
			s.published(1, "cancelled")
			s.settle()

			c = dial(t, s.edges[1].url)
			reply := c.connect(token(t, "carl"), cursor, room(0), room(1))
			if f := reply.Rooms[room(0)]; f.Error == nil || f.Error.Code != 103 {
				t.Errorf("fate of the lost room: %+v, want error 103", f)
			}
			if got := c.events(room(0)); len(got) > 0 {
				t.Errorf("events of a room that was lost: %+v", got)
			}
			if got := statuses(c.events(room(1))); !slices.Equal(got, []string{"cancelled"}) {
				t.Errorf("the other room: %v, want [cancelled]", got)
			}
		})
	}
}

// A change of participants cuts a replay that is under way.
func TestAccessLostDuringReplay(t *testing.T) {
	t.Parallel()
	s := start(t, 1)
	warm := dial(t, s.edges[1].url)
	warm.connect(token(t, "carl"), "", room(0))
	cursor := warm.position()
	warm.close()
	for i := range 100 {
		s.exec(`UPDATE bookings SET status = ?, updated_at = ? WHERE id = 'b_0'`, []string{"confirmed", "in_progress"}[i%2], padding(6000))
	}
	s.settle()

	c := dial(t, s.edges[1].url, slowly(100<<10))
	c.send("connect", map[string]any{"token": token(t, "carl"), "cursor": cursor, "rooms": []any{room(0)}})
	c.wait("the replay under way", func(f frame) bool { return f.Event != nil })
	s.exec(`UPDATE bookings SET user_id = 'cora', status = 'completed' WHERE id = 'b_0'`)
	c.wait("revoked", func(f frame) bool { return f.Revoked != nil })
	c.wait("live", func(f frame) bool { return f.Live != nil })
	cut, after := false, 0
	c.mu.Lock()
	for _, f := range c.frames {
		cut = cut || f.Revoked != nil
		if cut && f.Event != nil && f.Event.Room == room(0) {
			after++
		}
	}
	c.mu.Unlock()
	if after > 0 {
		t.Errorf("%d events after the cut", after)
	}
	if got := statuses(c.events(room(0))); len(got) == 100 || slices.Contains(got, "completed") {
		t.Errorf("the replay was not cut: %d events", len(got))
	}
}

// A booking that is deleted by a mark, or for good, is nobody's; taking the mark
// back gives it back.
func TestDeletedBooking(t *testing.T) { eachShop(t, databases, deletedBooking) }

func deletedBooking(t *testing.T, shop option) {
	s := start(t, 2, shop)
	c := dial(t, s.edges[0].url)
	c.connect(token(t, "vera"), "", room(0), room(1))
	s.exec(`UPDATE bookings SET deleted_at = CURRENT_TIMESTAMP WHERE id = 'b_0'`)
	s.exec(`DELETE FROM bookings WHERE id = 'b_1'`)
	for i := range 2 {
		c.wait("revoked", func(f frame) bool { return f.Revoked != nil && f.Revoked.Room == room(i) })
		if f := c.reply(c.send("join", map[string]any{"room": room(i)})); f.Error == nil || f.Error.Code != 103 {
			t.Errorf("join of the deleted %s: %+v", room(i), f)
		}
	}
	s.set(0, "confirmed") // nobody sees what becomes of it
	s.exec(`UPDATE bookings SET deleted_at = NULL WHERE id = 'b_0'`)
	s.quiet()
	s.settle()
	if f := c.reply(c.send("join", map[string]any{"room": room(0)})); f.Error != nil {
		t.Errorf("join after it was taken back: %+v", f.Error)
	}
	got := c.wait("the last value", func(f frame) bool {
		return f.Event != nil && f.Event.Room == room(0) && slices.Contains(statuses([]event{*f.Event}), "confirmed")
	})
	if !got.Event.Snapshot {
		t.Errorf("a change from while it was deleted came live: %+v", got.Event)
	}
}

// padding is a text of n bytes, to make events large.
func padding(n int) string { return string(slices.Repeat([]byte{'x'}, n)) }
