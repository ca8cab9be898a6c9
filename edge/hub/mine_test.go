package hub_test

import (
	"testing"
	"time"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/edge/hub/hubtest"
	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/subjects"
)

// book publishes what a new booking of ann is, in the publisher's order.
func book(w *hubtest.Stream, id string) {
	w.Access(id, "ann")
	w.Index("ann", id, true)
	w.Status(id, "pending")
}

var everything = hub.ConnectAsk{Mine: true}

func TestMineJoinsWhatIsOpen(t *testing.T) {
	for _, ring := range []int{1000, 1} {
		inWorld(t, options{ring: ring}, func(w *world) {
			book(w.Stream, "1") // 3, 4, 5
			book(w.Stream, "2") // 6, 7, 8
			book(w.Stream, "3")
			w.Index("ann", "3", false) // 12
			w.Access("4", "bob")
			w.Index("bob", "4", true)
			w.Unindex("ann", "2") // 15, but still a participant
			w.Index("ann", "2", true)
			c := w.connect(everything)
			w.expect(c, "connected 1 recovered=false booking.1 booking.2 user.ann",
				"snapshot booking.1 status #5", "snapshot booking.2 status #8", "live #16")
			late := w.connect(hub.ConnectAsk{})
			late.Read()
			late.Session.JoinMine(2)
			w.expect(late, "joined 2 mine booking.1 booking.2",
				"snapshot booking.1 status #5", "snapshot booking.2 status #8",
				"live booking.2 #16", "live booking.1 #16") // the newest comes first
		})
	}
}

// A booking that is created while its vendor is connected appears before its
// first event, which is no snapshot; when it closes the final event comes
// before the end.
func TestMineFollowsTheIndex(t *testing.T) {
	for _, release := range []bool{false, true} {
		inWorld(t, options{}, func(w *world) {
			c := w.connect(everything)
			w.expect(c, "connected 1 recovered=false user.ann", "live #2")
			free := func() {}
			if release { // history answers only after the first events
				free = w.edge.Hold()
			}
			w.together(func() {
				book(w.Stream, "1")
				w.Status("1", "confirmed")
			})
			free()
			w.expect(c, "in booking.1", "event booking.1 status #5", "event booking.1 status #6", "live booking.1 #6")
			w.Status("1", "completed")
			w.Index("ann", "1", false)
			w.Status("1", "archived")
			w.expect(c, "event booking.1 status #7", "out booking.1 closed")
			w.Index("ann", "1", true)
			w.expect(c, "in booking.1", "snapshot booking.1 status #9", "live booking.1 #10")
		})
	}
}

// A booking that opens and closes while its history is still being read.
func TestMineClosesOnTheWay(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		c := w.connect(everything)
		release := w.edge.Hold()
		book(w.Stream, "1")
		w.Status("1", "completed")
		w.Index("ann", "1", false)
		w.Status("1", "archived")
		release()
		w.expect(c, "connected 1 recovered=false user.ann", "live #2",
			"in booking.1", "event booking.1 status #5", "event booking.1 status #6", "out booking.1 closed")
	})
}

func TestMineResumes(t *testing.T) {
	for _, ring := range []int{1000, 1} {
		inWorld(t, options{ring: ring}, func(w *world) {
			book(w.Stream, "1")
			book(w.Stream, "2")
			book(w.Stream, "3")
			book(w.Stream, "4")
			w.Index("ann", "4", false)
			since := w.Last() // 15
			w.Status("1", "confirmed")
			w.Status("2", "completed")
			w.Index("ann", "2", false) // 18
			w.Status("2", "archived")
			w.Access("3", "bob")
			w.Unindex("ann", "3")
			w.Status("3", "secret")
			book(w.Stream, "5") // 23, 24, 25
			w.Status("4", "refunded")
			c := w.connect(hub.ConnectAsk{Cursor: w.cursor(since), Mine: true})
			w.expect(c,
				"connected 1 recovered=true booking.1+ booking.2+ booking.5+ user.ann+",
				"revoked booking.3",
				"event booking.1 status #16", "event booking.2 status #17", "event booking.5 status #25",
				"out booking.2 closed", "live #26")
		})
	}
}

// Index records of closed bookings are kept for a day: a cursor older than that
// cannot know all of them.
func TestMineWithAnOldCursor(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		book(w.Stream, "1")
		since := w.cursor(w.Last())
		time.Sleep(25 * time.Hour)
		w.Status("1", "confirmed")
		w.expect(w.connect(hub.ConnectAsk{Cursor: since, Mine: true}),
			"connected 1 recovered=false booking.1+ user.ann+", "event booking.1 status #6", "live #6")
	})
}

// A room joined by name is not left when its booking closes, and nothing of it
// is lost.
func TestMineAndByName(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		book(w.Stream, "1")
		c := w.connect(hub.ConnectAsk{Mine: true, Rooms: fresh("1").Rooms})
		w.Index("ann", "1", false)
		w.Status("1", "refunded")
		w.expect(c, "connected 1 recovered=false booking.1 user.ann", "snapshot booking.1 status #5", "live #5",
			"event booking.1 status #7")
	})
}

func TestMineAndByNameInReplay(t *testing.T) {
	inWorld(t, options{keep: 100}, func(w *world) {
		c, since := w.replaying(fresh("1").Rooms)
		w.Index("ann", "1", false)
		w.wait()
		w.Status("1", "refunded")
		c.Stall(false)
		w.wait()
		frames := c.Read()
		w.inOrder(frames, since)
		if contains(lines(frames), "out booking.1 closed") {
			t.Error("the room was left, though it was named")
		}
	})
}

// A join that comes when the booking is about to be left waits for that.
func TestNamedAfterMineHasClosed(t *testing.T) {
	inWorld(t, options{keep: 100}, func(w *world) {
		c, _ := w.replaying(nil)
		w.Index("ann", "1", false)
		w.wait()
		c.Session.Join(2, booking("1"), protocol.Cursor{})
		w.wait()
		w.Status("1", "refunded")
		c.Stall(false)
		w.wait()
		w.endsWith(c, "event booking.1 status #15", "out booking.1 closed", "live #17",
			"joined 2 booking.1", "snapshot booking.1 status #17", "live booking.1 #17")
	})
}

func TestNamedAfterMineHasClosedAndLeft(t *testing.T) {
	inWorld(t, options{keep: 100}, func(w *world) {
		c, _ := w.replaying(nil)
		w.Index("ann", "1", false)
		w.wait()
		c.Session.Join(2, booking("1"), protocol.Cursor{})
		c.Session.Leave(3, booking("1"))
		w.wait()
		c.Stall(false)
		w.wait()
		w.endsWith(c, "failed 2 107", "left 3 booking.1", "live #16")
	})
}

func TestNamedAfterMineHasClosedAndRevoked(t *testing.T) {
	inWorld(t, options{keep: 100}, func(w *world) {
		c, _ := w.replaying(nil)
		w.Index("ann", "1", false)
		w.wait()
		c.Session.Join(2, booking("1"), protocol.Cursor{})
		w.Access("1", "bob")
		w.wait()
		c.Stall(false)
		w.wait()
		w.endsWith(c, "revoked booking.1", "failed 2 103", "live #17")
	})
}

// replaying connects ann, who does not read, with mine and some rooms, in the
// middle of the replay of booking 1, and tells since when.
func (w *world) replaying(rooms []hub.RoomAsk) (*hubtest.Client, uint64) {
	book(w.Stream, "1")
	since := w.Last()
	for range 10 {
		w.Status("1", "a")
	}
	c := w.slow(8)
	c.Session.Connect(1, token("ann"), hub.ConnectAsk{Cursor: w.cursor(since), Mine: true, Rooms: rooms})
	w.wait()
	return c, since
}

// A booking that closes and opens again during its replay is left and joined,
// as it would be live: the replay of other rooms may be past that already.
func TestMineReopensDuringReplay(t *testing.T) {
	inWorld(t, options{keep: 100}, func(w *world) {
		book(w.Stream, "1")
		book(w.Stream, "2")
		since := w.Last()
		for range 10 {
			w.Status("1", "a")
			w.Status("2", "a")
		}
		c := w.slow(8)
		c.Session.Connect(1, token("ann"), hub.ConnectAsk{Cursor: w.cursor(since), Mine: true})
		w.wait()
		w.Index("ann", "1", false) // 29
		w.Status("1", "between")   // 30
		for range 40 {
			w.Status("2", "b")
		}
		for range 8 { // until the replay has read on behind the closing
			c.Take(8)
			w.wait()
		}
		w.Index("ann", "1", true)
		w.Status("1", "reopened")
		c.Stall(false)
		w.wait()
		w.endsWith(c, "event booking.2 status #70", "out booking.1 closed", "live #72",
			"in booking.1", "event booking.1 status #72", "live booking.1 #72")
	})
}

// Access withdrawn and given back before the reply: the room is in it, and not
// revoked.
func TestMineWithdrawnAndBack(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		book(w.Stream, "1")
		since := w.cursor(w.Last())
		w.Access("1", "bob")
		w.Unindex("ann", "1")
		w.edge.Delay(time.Second)
		c := w.connect(hub.ConnectAsk{Cursor: since, Mine: true})
		time.Sleep(1500 * time.Millisecond) // the index was read, the rooms were not
		w.Access("1", "ann")
		w.Index("ann", "1", true)
		time.Sleep(10 * time.Second)
		w.expect(c, "connected 1 recovered=true booking.1+ user.ann+", "snapshot booking.1 status #5", "live #9")
	})
}

// A booking that was given to the user while away begins with its last value,
// though that is older than the cursor.
func TestMineAppearedWhileAway(t *testing.T) {
	for _, ring := range []int{1000, 1} {
		inWorld(t, options{ring: ring}, func(w *world) {
			w.Access("1", "bob")
			w.Index("bob", "1", true)
			w.Status("1", "pending") // 5
			since := w.cursor(w.Last())
			w.Unindex("bob", "1")
			w.Access("1", "ann")
			w.Index("ann", "1", true)
			c := w.connect(hub.ConnectAsk{Cursor: since, Mine: true})
			w.expect(c, "connected 1 recovered=true booking.1+ user.ann+",
				"snapshot booking.1 status #5", "live #8")
			w.Status("1", "confirmed")
			w.expect(c, "event booking.1 status #9")
		})
	}
}

func TestLeaveMine(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		book(w.Stream, "1")
		book(w.Stream, "2")
		c := w.connect(hub.ConnectAsk{Mine: true, Rooms: fresh("2").Rooms})
		c.Read()
		c.Session.Leave(2, protocol.Mine)
		w.wait()
		book(w.Stream, "3")
		w.Status("1", "a")
		w.Status("2", "a")
		w.expect(c, "left 2 mine", "event booking.2 status #13")

		release := w.edge.Hold()
		c.Session.JoinMine(3)
		w.wait()
		c.Session.Leave(4, protocol.Mine)
		release()
		w.expect(c, "joined 3 mine", "left 4 mine")
		book(w.Stream, "5")
		w.expect(c)
	})
}

func TestMineLimit(t *testing.T) {
	inWorld(t, options{config: func(c *hub.Config) { c.MineMax = 2 }}, func(w *world) {
		for _, id := range []string{"1", "2", "3"} {
			book(w.Stream, id)
			time.Sleep(time.Second)
		}
		c := w.connect(everything)
		w.expect(c, "connected 1 recovered=false booking.2 booking.3 user.ann",
			"snapshot booking.2 status #8", "snapshot booking.3 status #11", "live #11")
		w.together(func() {
			book(w.Stream, "4")
			w.Index("ann", "2", false)
			book(w.Stream, "5")
		})
		w.expect(c, "out booking.2 closed", "in booking.5", "event booking.5 status #18", "live booking.5 #18")
	})
}

// What the index said in a hole of the tail is read again.
func TestMineAfterAHole(t *testing.T) {
	inWorld(t, options{keep: 2}, func(w *world) {
		book(w.Stream, "1")
		book(w.Stream, "2")
		c := w.connect(everything)
		c.Read()
		w.edge.Lag(true)
		book(w.Stream, "3") // 9, 10, 11
		w.Status("1", "completed")
		w.Index("ann", "1", false) // 13
		for range 3 {
			w.Status("2", "a")
		}
		w.edge.Lag(false)
		w.wait()
		got := c.Lines()
		for _, want := range []string{"in booking.3", "snapshot booking.3 status #11", "event booking.1 status #12", "out booking.1 closed", "gap booking.2 status 8..16 trimmed"} {
			if !contains(got, want) {
				t.Errorf("the client read %q, no %q among it", got, want)
			}
		}
	})
}

// An epoch does not end the index.
func TestMineAfterAnEpoch(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		book(w.Stream, "1")
		book(w.Stream, "2")
		c := w.connect(everything)
		c.Read()
		w.edge.Lag(true)
		w.Index("ann", "1", false)
		book(w.Stream, "3")
		w.NewEpoch("e2", 10)
		w.Settle()
		w.edge.Lag(false)
		w.wait()
		got := c.Lines()
		for _, want := range []string{"in booking.3", "snapshot booking.3 status #12", "out booking.1 closed", "gap booking.2 * 8..15 epoch"} {
			if !contains(got, want) {
				t.Errorf("the client read %q, no %q among it", got, want)
			}
		}
		w.Publish(string(subjects.Room("booking.3").Subject("status")), "x")
		w.expect(c, "event booking.3 status #15")
	})
}
