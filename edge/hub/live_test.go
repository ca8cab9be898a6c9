package hub_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/edge/hub/hubtest"
	"github.com/petpro/fabric/edge/protocol"
)

func TestFreshConnect(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		w.Access("1", "ann")
		w.Status("1", "pending")
		w.Publish("booking.1.note", "hello")
		w.Status("1", "confirmed")
		w.Publish("user.ann.notification", "an event, no state")
		c := w.connect(fresh("1"))
		w.expect(c,
			"connected 1 recovered=false booking.1 user.ann",
			"snapshot booking.1 note #5",
			"snapshot booking.1 status #6",
			"live #7")
		w.Status("1", "completed")
		w.Status("2", "pending")
		w.Publish("user.ann.notification", "hello")
		w.expect(c, "event booking.1 status #8", "event user.ann notification #10")
	})
}

func TestOneConnectAnswersEachRoomByItself(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		w.Access("1", "ann")
		w.Access("2", "ann")
		w.Access("3", "bob")
		since := w.Status("1", "pending")
		w.Status("2", "pending")
		w.Status("1", "confirmed")
		ask := resume(w.cursor(since), "1", "3", "1")
		ask.Rooms = append(ask.Rooms,
			hub.RoomAsk{Name: "booking.2", Room: booking("2"), Fresh: true},
			hub.RoomAsk{Name: "booking.*", Err: &protocol.Error{Code: protocol.CodeRoom}},
			hub.RoomAsk{Name: "user.bob", Room: "user.bob"})
		w.expect(w.connect(ask),
			"connected 1 recovered=true booking.*!102 booking.1+ booking.2 booking.3!103 user.ann+ user.bob!103",
			"snapshot booking.2 status #7",
			"event booking.1 status #8",
			"live #8")
	})
}

func TestARoomsOwnCursor(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		w.Access("1", "ann")
		w.Access("2", "ann")
		older := w.Status("1", "a")
		w.Status("2", "a")
		w.Status("1", "b")
		newer := w.Status("2", "b")
		w.Status("1", "c")
		ask := resume(w.cursor(newer), "2")
		ask.Rooms = append(ask.Rooms, hub.RoomAsk{Name: "booking.1", Room: booking("1"), Cursor: w.cursor(older)})
		w.expect(w.connect(ask),
			"connected 1 recovered=true booking.1+ booking.2+ user.ann+",
			"event booking.1 status #7", "event booking.1 status #9", "live #9")
	})
}

func TestJoinAndLeave(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		w.Access("1", "ann")
		since := w.Status("1", "pending")
		w.Status("1", "confirmed")
		c := w.connect(hub.ConnectAsk{})
		w.expect(c, "connected 1 recovered=false user.ann", "live #5")

		c.Session.Join(2, booking("1"), protocol.Cursor{})
		w.expect(c, "joined 2 booking.1", "snapshot booking.1 status #5", "live booking.1 #5")
		c.Session.Join(3, booking("1"), protocol.Cursor{})
		w.expect(c, "joined 3 booking.1")
		c.Session.Leave(4, booking("1"))
		c.Session.Leave(5, booking("1"))
		w.Status("1", "completed")
		w.expect(c, "left 4 booking.1", "left 5 booking.1")
		c.Session.Join(6, booking("1"), w.cursor(since))
		w.expect(c, "joined 6 booking.1+", "event booking.1 status #5", "event booking.1 status #6", "live booking.1 #6")
		w.Status("1", "refunded")
		w.expect(c, "event booking.1 status #7")
	})
}

func TestJoinsOfARoomOnItsWay(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		w.Access("1", "ann")
		w.Status("1", "pending")
		c := w.connect(hub.ConnectAsk{})
		w.expect(c, "connected 1 recovered=false user.ann", "live #4")
		release := w.edge.Hold()
		c.Session.Join(2, booking("1"), protocol.Cursor{})
		c.Session.Join(3, booking("1"), protocol.Cursor{})
		w.expect(c)
		release()
		w.expect(c, "joined 2 booking.1", "joined 3 booking.1", "snapshot booking.1 status #4", "live booking.1 #4")

		release = w.edge.Hold()
		c.Session.Leave(4, booking("1"))
		c.Session.Join(5, booking("1"), protocol.Cursor{})
		c.Session.Join(6, booking("1"), protocol.Cursor{})
		c.Session.Leave(7, booking("1"))
		c.Session.Join(8, booking("1"), protocol.Cursor{})
		w.expect(c, "left 4 booking.1", "failed 6 107", "failed 5 107", "left 7 booking.1")
		release()
		w.expect(c, "joined 8 booking.1", "snapshot booking.1 status #4", "live booking.1 #4")
	})
}

func TestLeaveBeforeTheConnectReply(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		w.Access("1", "ann")
		w.Access("2", "ann")
		release := w.edge.Hold()
		c := w.connect(fresh("1", "2"))
		c.Session.Join(2, booking("1"), protocol.Cursor{})
		c.Session.Leave(3, booking("1"))
		c.Session.Ping()
		w.expect(c, "failed 2 107", "left 3 booking.1", "ping ")
		release()
		w.expect(c, "connected 1 recovered=false booking.2 user.ann", "live #4")
	})
}

func TestNobodyLeavesTheirOwnRoom(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		c := w.connect(hub.ConnectAsk{})
		c.Session.Leave(2, "user.ann")
		w.Publish("user.ann.notification", "hello")
		w.expect(c, "connected 1 recovered=false user.ann", "live #2", "left 2 user.ann", "event user.ann notification #3")
	})
}

func TestCommandsNeedAConnect(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		c := w.open()
		c.Session.Join(1, booking("1"), protocol.Cursor{})
		c.Session.JoinMine(2)
		c.Session.Leave(3, booking("1"))
		c.Session.History(4, booking("1"), 0, 1)
		c.Session.Refresh(5, token("ann"))
		c.Session.Probe(6)
		w.expect(c, "failed 1 107", "failed 2 107", "failed 3 107", "failed 4 107", "failed 5 107", "pong 6 ")
		c.Session.Connect(7, token("ann"), hub.ConnectAsk{})
		w.expect(c, "connected 7 recovered=false user.ann", "live #2")
		c.Session.Connect(8, token("ann"), hub.ConnectAsk{})
		w.expect(c, "failed 8 107")
	})
}

func TestLimits(t *testing.T) {
	few := func(c *hub.Config) { c.RoomsPerSession, c.SessionsPerUser = 2, 2 }
	inWorld(t, options{config: few}, func(w *world) {
		for _, id := range []string{"1", "2", "3"} {
			w.Access(id, "ann")
		}
		c := w.connect(fresh("1", "2", "3"))
		w.expect(c, "connected 1 recovered=false booking.1 booking.2 booking.3!106 user.ann", "live #5")
		c.Session.Join(2, booking("3"), protocol.Cursor{})
		c.Session.Leave(3, booking("1"))
		c.Session.Join(4, booking("3"), protocol.Cursor{})
		w.expect(c, "failed 2 106", "left 3 booking.1", "joined 4 booking.3", "live booking.3 #5")

		w.closed(w.connect(hub.ConnectAsk{}), 0)
		third := w.connect(hub.ConnectAsk{})
		w.closed(third, 3504)
		w.expect(third, "failed 1 106")
		w.closed(w.connectAs(token("bob"), hub.ConnectAsk{}), 0)
		c.Hang()
		w.closed(w.connect(hub.ConnectAsk{}), 0)
	})
}

// Pings carry a cursor that the client may resume from: until the rooms of a
// connect are live that is the one it came with.
func TestPings(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		w.Access("1", "ann")
		since := w.cursor(w.Status("1", "a"))
		w.Status("1", "b")
		last := w.cursor(w.Status("1", "c"))
		c := w.open()
		c.Session.Ping()
		c.Stall(true)
		release := w.edge.Hold()
		w.edge.Lag(true)
		c.Session.Connect(1, token("ann"), resume(since, "1"))
		c.Session.Ping()
		c.Session.Probe(2)
		release()
		c.Stall(false)
		w.expect(c,
			"ping ",
			"ping "+since.String(),
			"pong 2 "+since.String(),
			"connected 1 recovered=true booking.1+ user.ann+",
			"event booking.1 status #5",
			"event booking.1 status #6",
			"live #6")
		c.Session.Ping()
		w.expect(c, "ping "+last.String())
		next := w.cursor(w.Status("9", "elsewhere"))
		w.edge.Lag(false)
		synctest.Wait()
		c.Session.Probe(3)
		w.expect(c, "pong 3 "+next.String())
	})
}

func TestStale(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		c := w.connect(hub.ConnectAsk{})
		w.edge.SetStale(true)
		w.expect(c, "connected 1 recovered=false user.ann", "live #2", "stale=true")
		late := w.connectAs(token("bob"), hub.ConnectAsk{})
		w.expect(late, "stale=true", "connected 1 recovered=false user.bob", "live #2")
		w.edge.SetStale(false)
		w.expect(c, "stale=false")
		w.expect(late, "stale=false")
	})
}

func TestSlowClient(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		w.Access("1", "ann")
		c := hubtest.Open(w.hub, 4, 64<<10)
		c.Session.Connect(1, token("ann"), fresh("1"))
		w.expect(c, "connected 1 recovered=false booking.1 user.ann", "live #3")
		c.Stall(true)
		for range 5 {
			w.Status("1", "again")
		}
		w.closed(c, 3008)
		if n := w.hub.Stats().Members.Load(); n != 0 {
			t.Errorf("%d members are left behind", n)
		}
	})
}

func TestDrainSpreadsOverItsWindow(t *testing.T) {
	inWorld(t, options{config: func(c *hub.Config) { c.Shards = 3 }}, func(w *world) {
		clients := []*hubtest.Client{}
		for range 10 {
			clients = append(clients, w.connect(hub.ConnectAsk{}))
		}
		begun := time.Now()
		go w.hub.Drain(w.t.Context(), 10*time.Second)
		for i := range clients {
			sleepUntil(begun.Add(time.Duration(i)*time.Second + time.Millisecond))
			closed := 0
			for _, c := range clients {
				if end := c.Closed(); end != nil && end.Code == 3001 && end.After < time.Second {
					closed++
				}
			}
			if closed != i+1 {
				t.Fatalf("after %d s %d of 10 sessions were told to go, want %d", i, closed, i+1)
			}
		}
	})
}
