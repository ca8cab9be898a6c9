package hub_test

import (
	"testing"
	"time"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/edge/hub/hubtest"
	"github.com/petpro/fabric/edge/protocol"
)

// What was missed comes the same from the ring, from history, and from both.
func TestResume(t *testing.T) {
	for _, ring := range []int{1000, 6, 1} {
		inWorld(t, options{ring: ring}, func(w *world) {
			w.Access("1", "ann")
			w.Access("2", "ann")
			since := w.Status("1", "a")
			w.Status("2", "a")
			w.Status("3", "a")
			w.Status("1", "b")
			w.Publish("user.ann.notification", "hello")
			w.Status("2", "b")
			w.expect(w.connect(resume(w.cursor(since), "1", "2")),
				"connected 1 recovered=true booking.1+ booking.2+ user.ann+",
				"event booking.2 status #6",
				"event booking.1 status #8",
				"event user.ann notification #9",
				"event booking.2 status #10",
				"live #10")
		})
	}
}

func TestResumeAtTheWatermark(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		w.Access("1", "ann")
		last := w.Status("1", "pending")
		w.expect(w.connect(resume(w.cursor(last), "1")),
			"connected 1 recovered=true booking.1+ user.ann+", "live #4")
	})
}

// With keep 3, two missed are surely all; of three the oldest may have been
// the fourth, and nobody can tell.
func TestKeep(t *testing.T) {
	for _, tt := range []struct {
		name   string
		missed int
		want   []string
	}{
		{"keep-1", 2, []string{
			"connected 1 recovered=true booking.1+ user.ann+",
			"event booking.1 status #6", "event booking.1 status #8", "event booking.1 note #9", "live #9"}},
		{"keep", 3, []string{
			"connected 1 recovered=false booking.1- user.ann+",
			"gap booking.1 status 4..10 trimmed",
			"snapshot booking.1 status #10", "event booking.1 note #11", "live #11"}},
		{"more", 5, []string{
			"connected 1 recovered=false booking.1- user.ann+",
			"gap booking.1 status 4..14 trimmed",
			"snapshot booking.1 status #14", "event booking.1 note #15", "live #15"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, options{keep: 3, ring: 1}, func(w *world) {
				w.Access("1", "ann")
				since := w.Status("1", "a")
				for range tt.missed {
					w.Status("2", "filler")
					w.Status("1", "b")
				}
				w.Publish("booking.1.note", "hello")
				w.expect(w.connect(resume(w.cursor(since), "1")), tt.want...)
			})
		})
	}
}

// Events that are no state are not made good by the last value: those that are
// stored follow the gap.
func TestKeepOfEvents(t *testing.T) {
	inWorld(t, options{keep: 2, ring: 1}, func(w *world) {
		since := w.Settle()
		for range 3 {
			w.Publish("user.ann.notification", "hello")
		}
		w.expect(w.connect(resume(w.cursor(since))),
			"connected 1 recovered=false user.ann-",
			"gap user.ann notification 3..5 trimmed",
			"event user.ann notification #5", "event user.ann notification #6", "live #6")
	})
}

// The ring of an edge that has just started holds what was stored, and that
// may be less than was published.
func TestWarmRing(t *testing.T) {
	for _, tt := range []struct {
		name   string
		missed int
		want   []string
	}{
		{"keep-1", 2, []string{
			"connected 1 recovered=true booking.1+ user.ann+",
			"event booking.1 status #5", "event booking.1 status #6", "live #6"}},
		{"keep", 3, []string{
			"connected 1 recovered=false booking.1- user.ann+",
			"gap booking.1 status 4..7 trimmed", "snapshot booking.1 status #7", "live #7"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var since uint64
			inWorld(t, options{keep: 3, before: func(s *hubtest.Stream) {
				s.Access("1", "ann")
				since = s.Status("1", "a")
				for range tt.missed {
					s.Status("1", "b")
				}
			}}, func(w *world) {
				w.expect(w.connect(resume(w.cursor(since), "1")), tt.want...)
			})
		})
	}
}

// A booking may be retired once the position is older than the retention; only
// a ring that reaches back still knows what it said.
func TestRetention(t *testing.T) {
	for _, tt := range []struct {
		ring int
		want []string
	}{
		{1, []string{
			"connected 1 recovered=false booking.1- user.ann-",
			"gap user.ann * 4..8 retired", "gap booking.1 * 4..8 retired",
			"snapshot booking.1 status #7", "live #7"}},
		{1000, []string{
			"connected 1 recovered=true booking.1+ user.ann+",
			"event booking.1 status #5", "event booking.1 status #7", "live #7"}},
	} {
		inWorld(t, options{ring: tt.ring, retention: time.Hour}, func(w *world) {
			w.connect(hub.ConnectAsk{})
			w.Access("1", "ann")
			since := w.cursor(w.Status("1", "a"))
			w.Status("1", "done")
			time.Sleep(59 * time.Minute)
			keep := w.connectAs(token("ann"), hub.ConnectAsk{}) // the record of ann's own room stays known
			time.Sleep(2 * time.Minute)
			keep.Read()
			w.Retire(booking("1"))
			w.Access("1", "ann")
			w.Status("1", "reopened")
			w.expect(w.connect(resume(since, "1")), tt.want...)
		})
	}
}

func TestEpochDiffers(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		w.Access("1", "ann")
		w.Status("1", "a")
		c := protocol.Cursor{Epoch: "e0", Seq: 99, Time: 1}
		w.expect(w.connect(resume(c, "1")),
			"connected 1 recovered=false booking.1- user.ann-",
			"gap user.ann * 99..5 epoch", "gap booking.1 * 99..5 epoch",
			"snapshot booking.1 status #4", "live #4")
	})
}

// A sequence that was given away twice is found out by its time.
func TestCursorOfALogThatWasCutAndGrewAgain(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		w.Access("1", "ann")
		w.Status("1", "a")
		lost := w.cursor(w.Status("1", "lost"))
		w.Truncate(4)
		w.Status("1", "other")
		w.Status("1", "another")
		w.expect(w.connect(resume(lost, "1")),
			"connected 1 recovered=false booking.1- user.ann-",
			"gap user.ann * 5..7 epoch", "gap booking.1 * 5..7 epoch",
			"snapshot booking.1 status #6", "live #6")
	})
}

func TestAheadOfTheEdge(t *testing.T) {
	t.Run("the edge lags", func(t *testing.T) {
		inWorld(t, options{}, func(w *world) {
			w.Access("1", "ann")
			w.Status("1", "a")
			w.edge.Lag(true)
			since := w.Status("1", "b")
			w.Status("1", "c")
			w.edge.Answer(hubtest.Behind(1), nil)
			c := w.connect(resume(w.cursor(since), "1"))
			w.expect(c)
			w.edge.Follow(1)
			w.expect(c, "connected 1 recovered=true booking.1+ user.ann+", "live #5")
			w.edge.CatchUp()
			w.expect(c, "event booking.1 status #6")
		})
	})
	t.Run("the log was cut", func(t *testing.T) {
		inWorld(t, options{}, func(w *world) {
			w.Access("1", "ann")
			w.Status("1", "a")
			c := w.cursor(4)
			c.Seq = 1000
			w.expect(w.connect(resume(c, "1")),
				"connected 1 recovered=false booking.1- user.ann-",
				"gap user.ann * 1000..5 epoch", "gap booking.1 * 1000..5 epoch",
				"snapshot booking.1 status #4", "live #4")
		})
	})
	t.Run("the leader does not answer", func(t *testing.T) {
		inWorld(t, options{}, func(w *world) {
			w.Access("1", "ann")
			w.edge.Lag(true)
			since := w.Status("1", "a")
			release := w.edge.Hold()
			c := w.connect(resume(w.cursor(since), "1"))
			time.Sleep(time.Minute)
			w.expect(c)
			release()
			tick()
			w.expect(c)
			w.edge.CatchUp()
			w.expect(c, "connected 1 recovered=true booking.1+ user.ann+", "live #4")
		})
	})
}

// An answer to a question that was asked before a client came says nothing
// about that client's position.
func TestAheadOfAnOlderAnswer(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		w.Access("1", "ann")
		w.edge.Lag(true)
		w.edge.AnswerEnd(func(now uint64) uint64 { time.Sleep(time.Second); return now })
		first := w.connect(resume(w.cursor(w.Status("1", "a")), "1"))
		second := w.connect(resume(w.cursor(w.Status("1", "b")), "1"))
		time.Sleep(5 * time.Second)
		w.expect(first)
		w.expect(second)
		w.edge.CatchUp()
		w.expect(first, "connected 1 recovered=true booking.1+ user.ann+", "event booking.1 status #5", "live #5")
		w.expect(second, "connected 1 recovered=true booking.1+ user.ann+", "live #5")
	})
}

func TestReplayLimit(t *testing.T) {
	for _, tt := range []struct {
		name   string
		ring   int
		config func(*hub.Config)
		over   int
	}{
		{"events from the ring", 1000, func(c *hub.Config) { c.ReplayEvents = 5 }, 0},
		{"events from history", 1, func(c *hub.Config) { c.ReplayEvents = 5 }, 0},
		{"bytes", 1, func(c *hub.Config) { c.ReplayBytes = 1000 }, 0},
		{"already in history", 1, nil, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, options{ring: tt.ring, config: tt.config}, func(w *world) {
				w.Access("1", "ann")
				since := w.Status("1", "a")
				for range 6 {
					w.Status("1", "b")
				}
				w.edge.Over(tt.over, 0)
				c := w.connect(resume(w.cursor(since), "1"))
				lines := c.Lines()
				if want := "gap booking.1 * 4..11 limit"; !contains(lines, want) {
					t.Errorf("the client read %q, no %q among it", lines, want)
				}
				if want := "snapshot booking.1 status #10"; !contains(lines, want) {
					t.Errorf("the client read %q, no %q among it", lines, want)
				}
			})
		})
	}
}

func TestTornHistoryIsAGap(t *testing.T) {
	inWorld(t, options{ring: 1}, func(w *world) {
		w.Access("1", "ann")
		since := w.Status("1", "a")
		w.Status("1", "b")
		w.edge.Tear(true)
		w.expect(w.connect(resume(w.cursor(since), "1")),
			"connected 1 recovered=false booking.1- user.ann-",
			"gap user.ann * 4..6 trimmed", "gap booking.1 * 4..6 trimmed",
			"snapshot booking.1 status #5", "live #5")
	})
}

// Many who missed the same are served by one question.
func TestOneQuestionForMany(t *testing.T) {
	inWorld(t, options{ring: 1}, func(w *world) {
		w.Access("1", "ann")
		since := w.cursor(w.Status("1", "a"))
		w.Status("1", "b")
		release := w.edge.Hold()
		before, _ := w.edge.Asked()
		for range 10 {
			w.connect(resume(since, "1"))
		}
		if n, _ := w.edge.Asked(); n != before+1 {
			t.Errorf("%d questions were asked, want 1", n-before)
		}
		release()
	})
}

func TestBrokerAway(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		w.Access("1", "ann")
		w.Access("2", "ann")
		since := w.cursor(w.Status("1", "a"))
		w.Status("1", "b")
		known := w.connect(resume(since, "1"))
		w.expect(known, "connected 1 recovered=true booking.1+ user.ann+", "event booking.1 status #6", "live #6")
		w.edge.SetAway(true)
		w.expect(known, "stale=true")

		// What the ring can serve is served; of what it cannot, a join is told
		// and a connect waits.
		c := w.connect(resume(since, "1"))
		w.expect(c, "stale=true", "connected 1 recovered=true booking.1+ user.ann+", "event booking.1 status #6", "live #6")
		c.Session.Join(2, booking("2"), protocol.Cursor{})
		w.expect(c, "failed 2 108")
		c.Session.JoinMine(3)
		w.expect(c, "failed 3 108")
		c.Session.History(4, booking("1"), 0, 10)
		w.expect(c, "failed 4 108")
		parked := w.connectAs(token("bob"), fresh("1"))
		w.expect(parked, "stale=true")

		w.edge.SetAway(false)
		tick()
		w.expect(parked, "stale=false", "connected 1 recovered=false booking.1!103 user.bob", "live #6")
		w.expect(c, "stale=false")
	})
}

func TestParkedTooLong(t *testing.T) {
	inWorld(t, options{cold: true}, func(w *world) {
		who := token("ann")
		c := w.connectAs(who, fresh("1"))
		time.Sleep(9 * time.Minute)
		late := w.connectAs(who, fresh("1"))
		w.closed(c, 0)
		time.Sleep(time.Minute + time.Second)
		w.closed(c, 3014)
		w.edge.Start()
		w.expect(late, "connected 1 recovered=false booking.1!103 user.ann", "live #2")
	})
}
