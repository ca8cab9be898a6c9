package e2e_test

import (
	"fmt"
	"testing"
	"time"
)

// A resume of 5 000 missed events over 100 rooms by a client that reads
// 50 KiB/s: all of them, in order, once, while others are served.
func TestLongResumeBySlowReader(t *testing.T) {
	t.Parallel()
	const rooms, each = 100, 50
	for _, tt := range []struct {
		name string
		ring int
	}{{"ring", 32 << 20}, {"history", 256 << 10}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, rooms, withRing(tt.ring))
			names := make([]any, rooms)
			for i := range names {
				names[i] = room(i)
			}
			c := dial(t, s.edges[0].url)
			c.connect(token(t, "vera"), "", names...)
			cursor := c.position()
			c.close()
			for i := range each {
				s.exec(`UPDATE bookings SET status = ?`, fmt.Sprintf("s%d", i))
			}
			s.quiet()
			s.settle()

			c = dial(t, s.edges[1].url, slowly(50<<10))
			healthy := dial(t, s.edges[1].url)
			healthy.connect(token(t, "carl"), "", room(0))
			id := c.send("connect", map[string]any{"token": token(t, "vera"), "cursor": cursor, "rooms": names})
			reply := c.waitFor(3*time.Minute, "reply", func(f frame) bool { return f.ID == id }).Connect
			if reply == nil || !reply.Recovered {
				t.Fatalf("reply %+v", reply)
			}
			s.set(0, "meanwhile")
			healthy.wait("a live event meanwhile", func(f frame) bool { return f.Event != nil && !f.Event.Snapshot })
			c.waitFor(3*time.Minute, "live", func(f frame) bool { return f.Live != nil })
			got := c.events("")
			if want := rooms*each + 1; len(got) != want {
				t.Errorf("%d events, want %d; the last of %s: %v", len(got), want, room(0), statuses(c.events(room(0)))[each-2:])
			}
			inOrder(t, got)
			if g := c.gaps(); len(g) > 0 {
				t.Errorf("gaps %+v", g)
			}
		})
	}
}

// A client that does not keep up with live events is closed with 3008, and
// resumes.
func TestSlowClientIsClosedAndResumes(t *testing.T) {
	t.Parallel()
	s := start(t, 50)
	names := make([]any, 50)
	for i := range names {
		names[i] = room(i)
	}
	c := dial(t, s.edges[0].url, slowly(2<<10))
	c.connect(token(t, "vera"), "")
	for _, n := range names {
		c.reply(c.send("join", map[string]any{"room": n}))
	}
	healthy := dial(t, s.edges[0].url)
	healthy.connect(token(t, "carl"), "", names...)
	const rounds = 60
	for i := range rounds {
		s.exec(`UPDATE bookings SET status = ?`, fmt.Sprintf("s%d", i))
		// The healthy one keeps up, so only the slow one falls behind.
		s.await("the round at the healthy client", func() bool { return healthy.statusCount() >= 50*(i+1) })
	}
	if code := c.endedWithin(3 * time.Minute); code != 3008 && code != 0 {
		t.Errorf("closed with %d, want 3008 (or no close frame, if it could not be sent)", code)
	}

	cursor := c.position()
	before := c.statusCount()
	again := dial(t, s.edges[1].url)
	if r := again.connect(token(t, "vera"), cursor, names...); !r.Recovered {
		t.Errorf("reply %+v, want recovered", r)
	}
	// The client rule drops what was handled of a room before the close.
	handled := map[string]uint64{}
	for _, e := range c.events("") {
		if e.Type == "status" && !e.Snapshot {
			handled[e.Room] = max(handled[e.Room], e.Seq)
		}
	}
	after := 0
	for _, e := range again.events("") {
		if e.Type == "status" && !e.Snapshot && e.Seq > handled[e.Room] {
			after++
		}
	}
	if before+after != 50*rounds {
		t.Errorf("%d events before and %d after the close, want %d in all", before, after, 50*rounds)
	}
}
