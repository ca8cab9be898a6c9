package hub_test

import (
	"testing"
	"time"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/edge/hub/hubtest"
	"github.com/petpro/fabric/edge/protocol"
)

// hole makes the tail miss messages of booking 9, and then read on to the end.
func hole(w *world, between func()) {
	w.edge.Lag(true)
	between()
	for range 20 {
		w.Status("9", "noise")
	}
	w.edge.Lag(false)
}

// Behind a hole every room resumes from the old watermark, in one order and
// without a word if nothing was lost.
func TestHole(t *testing.T) {
	inWorld(t, options{keep: 3}, func(w *world) {
		w.Access("1", "ann", "bob")
		w.Access("2", "ann")
		w.Access("3", "ann")
		ann, bob := w.connect(fresh("1", "2", "3")), w.connectAs(token("bob"), fresh("1"))
		ann.Read()
		bob.Read()
		asked, rooms := w.edge.Asked()
		hole(w, func() {
			w.Status("1", "a") // 6
			w.Status("2", "a")
			w.Status("1", "b") // 8
			for range 4 {
				w.Status("3", "a") // 9 to 12
			}
			w.Access("2", "bob")
			w.Status("2", "secret")
		})
		w.expect(ann, "revoked booking.2", "gap booking.3 status 5..12 trimmed",
			"event booking.1 status #6", "event booking.1 status #8", "snapshot booking.3 status #12", "live #34")
		w.expect(bob, "event booking.1 status #6", "event booking.1 status #8", "live #34")
		// The ring still knows of rooms 1 and 2 that nothing is missing.
		if n, r := w.edge.Asked(); n > asked+2 || r != rooms+3 {
			t.Errorf("%d questions for %d rooms were asked, want 2 for 3: users ann and bob, booking.3", n-asked, r-rooms)
		}
		w.Status("1", "c")
		w.expect(ann, "event booking.1 status #35")
		w.expect(bob, "event booking.1 status #35")
	})
}

// Everybody in a room missed the same: it is read once.
func TestHoleIsReadOnce(t *testing.T) {
	inWorld(t, options{keep: 3}, func(w *world) {
		w.Access("1", "u1", "u2", "u3", "u4")
		var clients []*hubtest.Client
		for _, user := range []string{"u1", "u2", "u3", "u4"} {
			c := w.connectAs(token(user), fresh("1"))
			c.Read()
			clients = append(clients, c)
		}
		_, before := w.edge.Asked()
		release := w.edge.Hold()
		hole(w, func() {
			for range 4 {
				w.Status("1", "a")
			}
		})
		w.wait()
		release()
		for _, c := range clients {
			w.expect(c, "gap booking.1 status 3..7 trimmed", "snapshot booking.1 status #7", "live #27")
		}
		if _, after := w.edge.Asked(); after-before != 5 {
			t.Errorf("history was asked for %d rooms, want 5: the booking and each user's own", after-before)
		}
	})
}

// What is on its way when a hole comes begins again; a fresh join stays fresh.
func TestHoleDuringAJoin(t *testing.T) {
	inWorld(t, options{keep: 3}, func(w *world) {
		w.Access("1", "ann", "bob")
		since := w.Status("1", "a")
		c := w.connect(hub.ConnectAsk{})
		c.Read()
		release := w.edge.Hold()
		c.Session.Join(2, booking("1"), protocol.Cursor{})
		w.wait()
		late := w.connectAs(token("bob"), resume(w.cursor(since), "1"))
		hole(w, func() { w.Status("1", "b") })
		w.wait()
		release()
		tick()
		w.expectAnyhow(c, "joined 2 booking.1", "snapshot booking.1 status #5", "live booking.1 #25", "live #25")
		w.expect(late, "connected 1 recovered=true booking.1+ user.bob+", "event booking.1 status #5", "live #25")
	})
}

// A room that is replaying goes on from the last event it was handed, and is
// given nothing before its access has been judged again.
func TestHoleDuringReplay(t *testing.T) {
	for _, lost := range []bool{false, true} {
		inWorld(t, options{keep: 30}, func(w *world) {
			w.Access("1", "ann")
			since := w.Status("1", "a")
			for range 20 {
				w.Status("1", "b")
			}
			c := w.slow(8)
			c.Session.Connect(1, token("ann"), resume(w.cursor(since), "1"))
			w.wait()
			queued := c.Queued()
			w.edge.Lag(true)
			w.Status("1", "c")
			if lost {
				w.Access("1", "bob")
			}
			for range 40 {
				w.Status("9", "noise")
			}
			w.edge.Lag(false)
			w.wait()
			c.Stall(false)
			tick()
			frames := c.Read()
			if !lost {
				w.inOrder(frames, since)
				return
			}
			for _, f := range frames[queued:] {
				if f.Event != nil {
					t.Errorf("%s came after access was lost", f)
				}
			}
		})
	}
}

// While rooms are repaired pings repeat the cursor from before the hole, and a
// room joined meanwhile does not become live before them: its events would
// carry cursors that the repaired rooms have not reached.
func TestCursorDuringRepair(t *testing.T) {
	inWorld(t, options{keep: 3, ring: 1000}, func(w *world) {
		w.Access("1", "ann")
		w.Access("2", "ann")
		w.Status("2", "a")
		c := w.connect(fresh("1"))
		c.Read()
		old := w.cursor(w.Last())
		release := w.edge.Hold()
		hole(w, func() { w.Status("1", "b") })
		w.wait()
		c.Session.Ping()
		c.Session.Join(2, booking("2"), old)
		w.Status("2", "b")
		w.expect(c, "ping "+old.String(), "joined 2 booking.2+")
		release()
		tick()
		w.expect(c, "event booking.1 status #6", "event booking.2 status #27", "live booking.2 #27", "live #27")
	})
}

// What a shard remembers of rooms that nobody is in is void behind a hole too.
func TestHoleInAnEmptyRoom(t *testing.T) {
	inWorld(t, options{keep: 3}, func(w *world) {
		w.Access("1", "ann")
		c := w.connect(fresh("1"))
		c.Session.Leave(2, booking("1"))
		w.wait()
		c.Read()
		hole(w, func() { w.Access("1", "bob") })
		w.wait()
		c.Session.Join(3, booking("1"), protocol.Cursor{})
		w.expect(c, "live #24", "failed 3 103")
	})
}

// An epoch that begins while the ring overtakes a replay is told once.
func TestEpochIsToldOnce(t *testing.T) {
	inWorld(t, options{keep: 1000, ring: 30}, func(w *world) {
		w.Access("1", "ann")
		w.Status("1", "a")
		c := w.slow(8)
		c.Session.Connect(1, token("ann"), fresh("1"))
		w.wait()
		c.Take(8)
		w.wait()
		release := w.edge.Hold()
		epoch := w.NewEpoch("e2", 1000)
		w.Settle()
		for range 10 {
			w.Status("1", "b")
		}
		w.edge.UpTo(epoch)
		release()
		w.wait()
		for range 50 {
			w.Status("1", "c")
		}
		w.wait()
		w.edge.UpTo(0)
		c.Stall(false)
		tick()
		frames := c.Read()
		gaps := 0
		for _, f := range frames {
			if g, ok := f.Out.(*protocol.Gap); ok && g.Room == "booking.1" {
				gaps++
			}
		}
		if gaps != 1 {
			t.Errorf("%d gaps of booking.1 were told, want 1", gaps)
		}
		w.inOrder(frames, epoch)
	})
}

func TestNewEpoch(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		w.Access("1", "ann")
		w.Status("1", "a")
		c := w.connect(fresh("1"))
		c.Read()
		old := w.cursor(w.Last())
		release := w.edge.Hold()
		w.Status("1", "b")
		w.wait()
		epoch := w.NewEpoch("e2", 10)
		w.Settle()
		w.Status("1", "c")
		w.wait()
		c.Session.Ping()
		held := old
		held.Seq, held.Time = 5, held.Time+1
		w.expect(c, "event booking.1 status #5", "ping "+held.String())
		release()
		w.expect(c, "gap user.ann * 5..9 epoch", "gap booking.1 * 5..9 epoch", "snapshot booking.1 status #8", "live #8")
		w.expect(w.connect(resume(old, "1")),
			"connected 1 recovered=false booking.1- user.ann-",
			"gap user.ann * 4..9 epoch", "gap booking.1 * 4..9 epoch", "snapshot booking.1 status #8", "live #8")
		w.expect(w.connect(resume(w.cursor(epoch), "1")),
			"connected 1 recovered=true booking.1+ user.ann+", "event booking.1 status #8", "live #8")
	})
}

// The log loses its end: everybody is told, whether live, replaying or on the
// way.
func TestTruncatedLog(t *testing.T) {
	inWorld(t, options{keep: 100, ring: 18}, func(w *world) {
		w.Access("2", "ann")
		w.Access("1", "ann")
		since := w.Last()
		for range 20 {
			w.Status("1", "a")
		}
		live := w.connect(fresh("1"))
		live.Read()
		slow := w.slow(8)
		slow.Session.Connect(1, token("ann"), resume(w.cursor(since), "1"))
		w.wait()
		way := w.connect(hub.ConnectAsk{})
		release := w.edge.Hold()
		way.Session.Join(2, booking("2"), w.cursor(20))
		w.wait()
		way.Read()
		w.Truncate(10)
		w.Status("1", "other") // 11
		w.wait()
		release()
		tick()
		w.expect(live, "gap user.ann * 24..12 epoch", "gap booking.1 * 24..12 epoch", "snapshot booking.1 status #11", "live #11")
		slow.Stall(false)
		w.wait()
		lines := slow.Lines()
		if want := "gap booking.1 * 24..12 epoch"; !contains(lines, want) || lines[len(lines)-1] != "live #11" {
			t.Errorf("the slow client read %q, want %q and live #11 at the end", lines, want)
		}
		got := way.Lines()
		if want := "gap booking.2 * 20..12 epoch"; !contains(got, want) {
			t.Errorf("the joining client read %q, no %q among it", got, want)
		}
		w.Status("1", "b")
		w.expect(live, "event booking.1 status #12")
	})
}

// Old answers are void in a new history.
func TestAnswersOfAnotherHistory(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		w.Access("1", "ann")
		w.Status("1", "a")
		c := w.connect(hub.ConnectAsk{})
		c.Read()
		w.edge.Delay(2 * time.Second)
		c.Session.Join(2, booking("1"), protocol.Cursor{})
		c.Session.History(3, booking("1"), 0, 10)
		time.Sleep(time.Second)
		w.NewEpoch("e2", 10)
		w.Settle()
		time.Sleep(10 * time.Second)
		w.expectAnyhow(c, "failed 3 108",
			"joined 2 booking.1", "snapshot booking.1 status #4",
			"gap user.ann * 4..7 epoch", "live booking.1 #6", "live #6")
	})
}

// An edge that has lost its stream altogether waits, and so do its sessions.
func TestColdEdge(t *testing.T) {
	inWorld(t, options{cold: true, before: func(s *hubtest.Stream) { s.Access("1", "ann"); s.Status("1", "a") }}, func(w *world) {
		c := w.connect(resume(w.cursor(3), "1"))
		c.Session.Ping()
		tick()
		w.expect(c, "ping "+w.cursor(3).String())
		w.edge.Start()
		w.expect(c, "connected 1 recovered=true booking.1+ user.ann+", "event booking.1 status #4", "live #4")
	})
}
