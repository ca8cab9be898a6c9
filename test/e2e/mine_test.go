package e2e_test

import (
	"slices"
	"testing"
)

// "mine" joins what is open, follows what opens and closes, and after an
// absence brings the bookings that closed meanwhile up to their end.
func TestMine(t *testing.T) { eachShop(t, databases, mine) }

func mine(t *testing.T, shop option) {
	s := start(t, 3, shop)
	c := dial(t, s.edges[0].url)
	reply := c.connect(token(t, "vera"), "", "mine")
	for i := range 3 {
		if _, ok := reply.Rooms[room(i)]; !ok {
			t.Errorf("%s is not in the reply: %+v", room(i), reply.Rooms)
		}
	}
	if _, ok := reply.Rooms["mine"]; ok {
		t.Error("the reply names mine itself")
	}

	s.exec(`INSERT INTO bookings (id, user_id, service_id, status) VALUES ('new', 'carl', 's_1', 'pending')`)
	c.wait("joined", func(f frame) bool { return f.Joined != nil && f.Joined.Room == "booking.new" })
	first := c.wait("its first event", func(f frame) bool { return f.Event != nil && f.Event.Room == "booking.new" })
	if first.Event.Snapshot {
		t.Error("the first event of a new booking came as a snapshot")
	}
	s.set(0, "completed")
	c.wait("left", func(f frame) bool { return f.Left != nil && f.Left.Room == room(0) && f.Left.Reason == "closed" })
	if got := statuses(c.events(room(0))); !slices.Equal(got, []string{"pending", "completed"}) {
		t.Errorf("%s: %v, want the final status before left", room(0), got)
	}

	c.reply(c.send("ping", map[string]any{}))
	cursor := c.position()
	c.close()
	s.set(1, "cancelled")
	s.set(2, "confirmed")
	s.exec(`INSERT INTO bookings (id, user_id, service_id, status) VALUES ('later', 'carl', 's_1', 'pending')`)
	s.settleAfter(2, "confirmed")

	c = dial(t, s.edges[1].url)
	reply = c.connect(token(t, "vera"), cursor, "mine")
	if !reply.Recovered {
		t.Errorf("not recovered: %+v", reply)
	}
	if got := statuses(c.events(room(1))); !slices.Equal(got, []string{"cancelled"}) {
		t.Errorf("the booking that closed: %v", got)
	}
	c.wait("left", func(f frame) bool { return f.Left != nil && f.Left.Room == room(1) })
	if got := statuses(c.events(room(2))); !slices.Equal(got, []string{"confirmed"}) {
		t.Errorf("the booking that stayed: %v", got)
	}
	if got := statuses(c.events("booking.later")); !slices.Equal(got, []string{"pending"}) {
		t.Errorf("the booking that opened: %v", got)
	}
	inOrder(t, c.events(""))
}

// A booking that gets another vendor appears for the new one with its last
// value, and is taken from the old one.
func TestMineFollowsParticipants(t *testing.T) { eachShop(t, databases, mineFollowsParticipants) }

func mineFollowsParticipants(t *testing.T, shop option) {
	s := start(t, 1, shop)
	s.exec(`INSERT INTO services VALUES ('s_9', 'victor')`)
	old, next := dial(t, s.edges[0].url), dial(t, s.edges[1].url)
	old.connect(token(t, "vera"), "", "mine")
	next.connect(token(t, "victor"), "", "mine")
	s.exec(`UPDATE bookings SET service_id = 's_9' WHERE id = 'b_0'`)
	old.wait("revoked", func(f frame) bool { return f.Revoked != nil && f.Revoked.Room == room(0) })
	next.wait("joined", func(f frame) bool { return f.Joined != nil && f.Joined.Room == room(0) })
	f := next.wait("the last value", func(f frame) bool { return f.Event != nil && f.Event.Room == room(0) })
	if !f.Event.Snapshot {
		t.Errorf("the value from before it appeared is no snapshot: %+v", f.Event)
	}
}
