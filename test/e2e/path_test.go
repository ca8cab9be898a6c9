package e2e_test

import (
	"slices"
	"testing"
)

// An outside writer's row reaches both participants, each on another edge.
func TestRowReachesBothEdges(t *testing.T) { eachShop(t, everywhere, rowReachesBothEdges) }

func rowReachesBothEdges(t *testing.T, shop option) {
	s := start(t, 3, shop)
	vendor, customer := dial(t, s.edges[0].url), dial(t, s.edges[1].url)
	vendor.connect(token(t, "vera"), "", room(0), room(1))
	customer.connect(token(t, "carl"), "", room(0))

	s.set(0, "confirmed")
	for name, c := range map[string]*client{"vendor": vendor, "customer": customer} {
		f := c.wait(name+"'s event", func(f frame) bool {
			return f.Event != nil && f.Event.Room == room(0) && !f.Event.Snapshot
		})
		if got := statuses([]event{*f.Event}); !slices.Equal(got, []string{"confirmed"}) {
			t.Errorf("%s got %v", name, got)
		}
	}
}

// A client that was away resumes on the other edge with exactly what it
// missed: from the ring, and with a ring too small from history.
func TestResumeOnOtherEdge(t *testing.T) { eachShop(t, databases, resumeOnOtherEdge) }

func resumeOnOtherEdge(t *testing.T, shop option) {
	for _, tt := range []struct {
		name string
		ring int
	}{{"ring", 16 << 20}, {"history", 64 << 10}} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, 40, withRing(tt.ring), shop)
			c := dial(t, s.edges[0].url)
			c.connect(token(t, "carl"), "", room(0), room(1))
			s.set(0, "confirmed")
			c.wait("event", func(f frame) bool { return f.Event != nil && !f.Event.Snapshot })
			cursor := c.position()
			c.close()

			var want []string
			for i := range 3 {
				for b := range 40 {
					status := []string{"in_progress", "completed", "confirmed"}[i%3]
					s.set(b, status)
					if b == 0 {
						want = append(want, status)
					}
				}
			}
			s.settleAfter(39, "confirmed")

			c = dial(t, s.edges[1].url)
			reply := c.connect(token(t, "carl"), cursor, room(0), room(1))
			if !reply.Recovered {
				t.Errorf("recovered is false: %+v", reply)
			}
			inOrder(t, c.events(""))
			for _, b := range []int{0, 1} {
				if got := statuses(c.events(room(b))); !slices.Equal(got, want) {
					t.Errorf("%s: got %v, want %v", room(b), got, want)
				}
			}
			if g := c.gaps(); len(g) > 0 {
				t.Errorf("gaps: %+v", g)
			}
		})
	}
}
