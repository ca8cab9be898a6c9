package hub_test

import (
	"strings"
	"testing"

	"github.com/petpro/fabric/edge/hub"
)

func TestHistoryVerb(t *testing.T) {
	for _, ring := range []int{1000, 1} {
		inWorld(t, options{ring: ring}, func(w *world) {
			w.Access("1", "ann")
			w.Access("2", "bob")
			for range 5 {
				w.Status("1", "a")
			}
			w.Publish("booking.1.note", "hello") // 10
			c := w.connect(hub.ConnectAsk{})
			c.Read()
			for _, ask := range []struct {
				room   string
				before uint64
				limit  int
				want   string
			}{
				{"1", 0, 3, "history 9 booking.1 #8 #9 #10 more=true"},
				{"1", 8, 2, "history 9 booking.1 #6 #7 more=true"},
				{"1", 6, 2, "history 9 booking.1 #5 more=false"},
				{"1", 5, 2, "history 9 booking.1 more=false"},
				{"1", 0, 0, "history 9 booking.1 #5 #6 #7 #8 #9 #10 more=false"},
				{"1", 0, 1 << 30, "history 9 booking.1 #5 #6 #7 #8 #9 #10 more=false"},
				{"2", 0, 3, "failed 9 103"},
				{"3", 0, 3, "failed 9 103"},
			} {
				c.Session.History(9, booking(ask.room), ask.before, ask.limit)
				w.expect(c, ask.want)
			}
			c.Session.History(9, "user.ann", 0, 3)
			c.Session.History(9, "user.bob", 0, 3)
			w.expect(c, "failed 9 103", "history 9 user.ann more=false")
		})
	}
}

// Whoever loses access while a page is being read is not given it; what is
// ahead of the tail comes live.
func TestHistoryVerbAtTheWatermark(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		w.Access("1", "ann")
		w.Status("1", "a")
		c := w.connect(fresh("1"))
		c.Read()
		w.edge.Lag(true)
		w.Status("1", "b")
		c.Session.History(2, booking("1"), 0, 10)
		w.expect(c, "history 2 booking.1 #4 more=false")
		w.edge.Lag(false)
		w.expect(c, "event booking.1 status #5")
		release := w.edge.Hold()
		c.Session.History(3, booking("1"), 0, 10)
		w.wait()
		w.Access("1")
		w.wait()
		release()
		w.expect(c, "revoked booking.1", "failed 3 103")
	})
}

// A page is cut at 32 KiB; the newest events are those that stay.
func TestHistoryVerbIsCut(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		w.Access("1", "ann")
		for _, size := range []int{100, 10_000, 10_000, 10_000} {
			w.Publish("booking.1.note", strings.Repeat("x", size))
		}
		c := w.connect(fresh())
		c.Read()
		c.Session.History(2, booking("1"), 0, 10)
		w.expect(c, "history 2 booking.1 #4 #5 #6 #7 more=false")
		w.Publish("booking.1.note", strings.Repeat("x", 10_000))
		c.Session.History(3, booking("1"), 0, 10)
		w.expect(c, "history 3 booking.1 #6 #7 #8 more=true")
		w.Publish("booking.1.note", strings.Repeat("x", 33_000))
		c.Session.History(4, booking("1"), 0, 10)
		w.expect(c, "history 4 booking.1 #9 more=true")
	})
}
