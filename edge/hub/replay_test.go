package hub_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/edge/hub/hubtest"
	"github.com/petpro/fabric/edge/protocol"
)

// A replaying session is given at most half its queue at a time; live events
// of its other rooms have the other half.
func TestReplayIsPaced(t *testing.T) {
	inWorld(t, options{keep: 100}, func(w *world) {
		w.Access("1", "ann")
		w.Access("2", "ann")
		since := w.Status("1", "a")
		for range 50 {
			w.Status("1", "b")
		}
		c := w.connect(fresh("2"))
		c.Stall(true)
		c.Session.Drained() // one too many does no harm
		slow := w.slow(20)
		slow.Session.Connect(1, token("ann"), fresh("2"))
		w.wait()
		slow.Take(20)
		slow.Read()
		slow.Session.Join(2, booking("1"), w.cursor(since))
		w.wait()
		if n := slow.Queued(); n < 9 || n > 11 {
			t.Fatalf("%d of 20 frames are queued, want about half", n)
		}
		for range 8 {
			w.Status("2", "live")
			w.Status("1", "live")
		}
		w.closed(slow, 0)
		for rounds := 0; slow.Queued() > 0; rounds++ {
			if n := slow.Queued(); n > 19 {
				t.Fatalf("%d frames are queued, with half a queue of replay and 8 live ones", n)
			}
			if slow.Take(20); rounds > 20 {
				t.Fatal("replay does not end")
			}
			w.wait()
		}
		w.inOrder(slow.Read(), since)
	})
}

// inOrder checks that room booking.1 came without a hole from since on, up to
// the end of the stream, in order, with one live behind its replay.
func (w *world) inOrder(frames []hubtest.Frame, since uint64) {
	w.t.Helper()
	want := w.Sequences("booking.1.status", since)
	var got []uint64
	for _, f := range frames {
		if f.Event != nil && f.Event.Name.Room == booking("1") && !f.Snapshot {
			got = append(got, f.Event.Seq)
		}
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("events of booking.1: %v, want %v", got, want)
	}
}

// One event larger than half the queue must not stop a replay.
func TestReplayOfLargeEvents(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		w.Access("1", "ann")
		since := w.Status("1", "a")
		for range 5 {
			w.Publish("booking.1.status", string(make([]byte, 5000)))
		}
		c := hubtest.Open(w.hub, 256, 64<<10)
		c.Session.Connect(1, token("ann"), resume(w.cursor(since), "1"))
		w.wait()
		w.inOrder(c.Read(), since)
	})
}

// The ring runs past a slow replay: it goes back to history, and if more than
// keep is missing by then, the gap is told although recovered was.
func TestRingOvertakesReplay(t *testing.T) {
	for _, tt := range []struct {
		keep int
		gap  bool
	}{{1000, false}, {20, true}} {
		t.Run(fmt.Sprint("keep ", tt.keep), func(t *testing.T) {
			inWorld(t, options{keep: tt.keep, ring: 30}, func(w *world) {
				w.Access("1", "ann")
				since := w.Status("1", "a")
				for range 15 {
					w.Status("1", "b")
				}
				c := w.slow(8)
				c.Session.Connect(1, token("ann"), resume(w.cursor(since), "1"))
				w.wait()
				for range 50 {
					w.Status("1", "c")
				}
				w.wait()
				c.Stall(false)
				w.wait()
				frames := c.Read()
				if got := frames[0].String(); got != "connected 1 recovered=true booking.1+ user.ann+" {
					t.Errorf("the first frame is %q", got)
				}
				if last := frames[len(frames)-1].String(); last != "live #69" {
					t.Errorf("the last frame is %q", last)
				}
				gap := slices.ContainsFunc(frames, func(f hubtest.Frame) bool { return f.String() == "gap booking.1 status 19..69 trimmed" })
				if gap != tt.gap {
					t.Errorf("gap told: %t, want %t, in %v", gap, tt.gap, frames)
				}
				if !tt.gap {
					w.inOrder(frames, since)
				}
			})
		})
	}
}

// A room that is left during its replay and joined again begins anew: nothing
// of the old replay comes after the new reply.
func TestLeaveDuringReplay(t *testing.T) {
	inWorld(t, options{keep: 100}, func(w *world) {
		w.Access("1", "ann")
		since := w.Status("1", "a")
		for range 20 {
			w.Status("1", "b")
		}
		c := w.slow(12)
		c.Session.Connect(1, token("ann"), resume(w.cursor(since), "1"))
		w.wait()
		c.Session.Leave(2, booking("1"))
		c.Session.Join(3, booking("1"), protocol.Cursor{})
		w.wait()
		c.Stall(false)
		w.wait()
		lines := c.Lines()
		at := slices.Index(lines, "left 2 booking.1")
		want := []string{"left 2 booking.1", "joined 3 booking.1", "snapshot booking.1 status #24", "live booking.1 #24", "live #24"}
		if at < 0 || !slices.Equal(lines[at:], want) {
			t.Errorf("the client read %q at the end, want %q", lines[max(at, 0):], want)
		}
	})
}

// "Live" without a room stands for all that the client was told of: it waits
// for a join that is still being replayed.
func TestLiveWaitsForJoins(t *testing.T) {
	inWorld(t, options{keep: 100}, func(w *world) {
		w.Access("1", "ann")
		since := w.Last()
		for range 6 {
			w.Publish("user.ann.notification", "hello")
		}
		for range 40 {
			w.Status("1", "a")
		}
		c := w.slow(8)
		c.Session.Connect(1, token("ann"), resume(w.cursor(since)))
		w.wait()
		c.Session.Join(2, booking("1"), w.cursor(since))
		w.wait()
		c.Stall(false)
		w.wait()
		lines := c.Lines()
		if n := len(lines); !slices.Equal(lines[n-2:], []string{"live booking.1 #49", "live #49"}) {
			t.Errorf("the client read %q at the end", lines[n-2:])
		}
	})
}

// Two joins replay side by side, each room in its own order.
func TestJoinsReplaySideBySide(t *testing.T) {
	inWorld(t, options{keep: 100}, func(w *world) {
		w.Access("1", "ann")
		w.Access("2", "ann")
		since := w.Last()
		for range 30 {
			w.Status("1", "b")
			w.Status("2", "b")
		}
		c := w.slow(16)
		c.Session.Connect(1, token("ann"), hub.ConnectAsk{})
		c.Session.Join(2, booking("1"), w.cursor(since))
		c.Session.Join(3, booking("2"), w.cursor(since))
		w.wait()
		c.Stall(false)
		w.wait()
		frames := c.Read()
		w.inOrder(frames, since)
		for _, want := range []string{"live booking.1 #64", "live booking.2 #64"} {
			if !slices.ContainsFunc(frames, func(f hubtest.Frame) bool { return f.String() == want }) {
				t.Errorf("no %q among %v", want, frames)
			}
		}
	})
}

// The ring may hold less than what one look at it finds: nothing is lost
// between two looks.
func TestReplayInManySteps(t *testing.T) {
	inWorld(t, options{keep: 5000, ring: 5000}, func(w *world) {
		w.Access("1", "ann")
		since := w.Status("1", "a")
		w.Status("1", "b")
		c := w.slow(64)
		c.Session.Connect(1, token("ann"), resume(w.cursor(since), "1"))
		w.wait()
		c.Read()
		for range 2000 {
			w.Status("1", "c")
		}
		for range 10_000 {
			if c.Take(64) == 0 {
				break
			}
			time.Sleep(time.Millisecond)
			w.wait()
		}
		w.closed(c, 3008) // it was live
	})
}
