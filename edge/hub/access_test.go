package hub_test

import (
	"slices"
	"testing"

	"time"

	"github.com/petpro/fabric/edge/access"
	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/edge/hub/hubtest"
	"github.com/petpro/fabric/edge/protocol"
)

func TestWhoMayJoin(t *testing.T) {
	claim := token("ann")
	claim.Rooms = []string{"booking.7"}
	every := token("ann")
	every.Rooms = []string{"booking.*"}
	admin := token("ann")
	admin.Roles = []string{"customer", "admin"}
	for _, tt := range []struct {
		name     string
		who      access.Identity
		room     string
		entitled bool
	}{
		{"a participant", token("ann"), "1", true},
		{"a stranger", token("ann"), "2", false},
		{"no participants left", token("ann"), "3", false},
		{"a record that is garbage", token("ann"), "4", false},
		{"an unknown room", token("ann"), "7", false},
		{"an unknown room, claimed", claim, "7", true},
		{"another room than the claimed one", claim, "2", false},
		{"any room by claim", every, "2", true},
		{"an admin", admin, "2", true},
		{"an admin in an unknown room", admin, "7", true},
	} {
		t.Run(tt.name, func(t *testing.T) { mayJoin(t, tt.who, tt.room, tt.entitled) })
	}
}

// mayJoin has who name a room in a connect, and join it later.
func mayJoin(t *testing.T, who access.Identity, room string, entitled bool) {
	for _, ring := range []int{1000, 1} {
		inWorld(t, options{ring: ring}, func(w *world) {
			w.Access("1", "bob", "ann")
			w.Access("2", "ann")
			w.Access("2", "bob")
			w.Access("3")
			w.Publish("booking.4.access", "garbage")
			who.Expires = time.Now().Add(time.Hour)
			named := w.connectAs(who, fresh(room))
			late := w.connectAs(who, hub.ConnectAsk{})
			late.Read()
			late.Session.Join(2, booking(room), protocol.Cursor{})
			if entitled {
				w.expect(named, "connected 1 recovered=false booking."+room+" user.ann", "live #7")
				w.expect(late, "joined 2 booking."+room, "live booking."+room+" #7")
			} else {
				w.expect(named, "connected 1 recovered=false booking."+room+"!103 user.ann", "live #7")
				w.expect(late, "failed 2 103")
			}
		})
	}
}

// Until an epoch has settled, a record that is not there may still come.
func TestMissingRecordBeforeTheEpochHasSettled(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		w.Access("1", "bob")
		w.NewEpoch("e2", 10)
		c := w.connect(fresh("1"))
		w.expect(c, "connected 1 recovered=false booking.1!103 user.ann", "live #4") // a denying record counts
		c.Session.Join(2, booking("2"), protocol.Cursor{})
		c.Session.Join(3, booking("3"), protocol.Cursor{})
		c.Session.History(4, booking("3"), 0, 1)
		w.expect(c, "failed 4 108")
		w.Access("2", "ann")
		w.expect(c, "joined 2 booking.2", "live booking.2 #5")
		w.Settle()
		w.expect(c, "failed 3 103")
	})
}

// Access is cut in the step of its record, before any later event.
func TestAccessCut(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		w.Access("1", "ann", "bob")
		ann, bob := w.connect(fresh("1")), w.connectAs(token("bob"), fresh("1"))
		w.expect(ann, "connected 1 recovered=false booking.1 user.ann", "live #3")
		w.expect(bob, "connected 1 recovered=false booking.1 user.bob", "live #3")
		w.edge.Lag(true) // so that all of it comes at once
		w.Status("1", "a")
		w.Access("1", "bob")
		w.Status("1", "b")
		w.edge.Lag(false)
		w.expect(ann, "event booking.1 status #4", "revoked booking.1")
		w.expect(bob, "event booking.1 status #4", "event booking.1 status #6")
		w.Access("1", "ann")
		w.expect(bob, "revoked booking.1")
		ann.Session.Join(2, booking("1"), protocol.Cursor{})
		w.expect(ann, "joined 2 booking.1", "snapshot booking.1 status #6", "live booking.1 #7")
	})
}

func TestAccessLostWhileAway(t *testing.T) {
	for _, ring := range []int{1000, 1} {
		inWorld(t, options{ring: ring}, func(w *world) {
			w.Access("1", "ann")
			since := w.Status("1", "a")
			w.Status("1", "b")
			w.Access("1", "bob")
			w.Status("1", "c")
			w.expect(w.connect(resume(w.cursor(since), "1")),
				"connected 1 recovered=true booking.1!103 user.ann+", "live #7")
		})
	}
}

// A replica that has not seen the last record is corrected by the ring.
func TestRecordOfALaggingReplica(t *testing.T) {
	inWorld(t, options{ring: 3}, func(w *world) {
		w.Access("1", "ann")
		w.Status("1", "a")
		w.Status("1", "b")
		w.Access("1", "bob")
		w.Status("1", "secret")
		w.edge.Answer(hubtest.Behind(2), nil)
		w.expect(w.connect(fresh("1")), "connected 1 recovered=false booking.1!103 user.ann", "live #7")
	})
}

// A replica that has seen a later record says nothing about now.
func TestRecordOfALeadingReplica(t *testing.T) {
	inWorld(t, options{ring: 1}, func(w *world) {
		w.Access("1", "bob")
		w.Status("1", "a")
		w.edge.Lag(true)
		w.Status("1", "b")
		w.Access("1", "ann")
		w.edge.Answer(nil, nil)
		w.edge.UpTo(5)
		c := w.connect(fresh("1"))
		w.expect(c)
		w.edge.Follow(1)
		w.expect(c)
		w.edge.Follow(1)
		w.expect(c, "connected 1 recovered=false booking.1 user.ann", "snapshot booking.1 status #5", "live #6")
	})
}

func TestAccessChangesDuringReplay(t *testing.T) {
	inWorld(t, options{keep: 100}, func(w *world) {
		w.Access("1", "ann")
		w.Access("2", "ann")
		since := w.Status("1", "a")
		for range 20 {
			w.Status("1", "b")
			w.Status("2", "b")
		}
		c := w.slow(8)
		c.Session.Connect(1, token("ann"), resume(w.cursor(since), "1", "2"))
		w.wait()
		c.Take(4)
		w.wait()
		cut := w.Access("1", "bob")
		w.Status("1", "secret")
		w.Status("2", "b")
		w.wait()
		queued := c.Queued()
		c.Stall(false)
		w.wait()
		frames := c.Read()
		at := slices.IndexFunc(frames, func(f hubtest.Frame) bool { return f.String() == "revoked booking.1" })
		if at < 0 || at > 4+queued {
			t.Fatalf("revoked came as frame %d, want one of the first %d", at, 4+queued)
		}
		for _, f := range frames[at:] {
			if f.Event != nil && f.Event.Name.Room == booking("1") {
				t.Errorf("%s came after access was cut at #%d", f, cut)
			}
		}
		if last := frames[len(frames)-1].String(); last != "live #48" {
			t.Errorf("the last frame is %q", last)
		}
	})
}

func TestLogout(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		before := token("ann")
		time.Sleep(time.Second)
		c := w.connectAs(before, hub.ConnectAsk{})
		newer := token("ann")
		newer.IssuedAt = newer.IssuedAt.Add(time.Minute)
		stays := w.connectAs(newer, hub.ConnectAsk{})
		bob := w.connectAs(token("bob"), hub.ConnectAsk{})
		w.Logout("ann", time.Now())
		w.Publish("user.ann.notification", "secret")
		w.expect(c, "connected 1 recovered=false user.ann", "live #2")
		w.closed(c, 3503)
		w.closed(stays, 0)
		w.closed(bob, 0)
		for _, ask := range []hub.ConnectAsk{{}, resume(w.cursor(2))} {
			late := w.connectAs(before, ask)
			w.expect(late, "failed 1 101")
			w.closed(late, 3503)
		}
		w.closed(w.connectAs(token("ann"), hub.ConnectAsk{}), 0) // of the same second
	})
}

func TestExpiry(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		who := token("ann")
		c := w.connectAs(who, hub.ConnectAsk{})
		time.Sleep(time.Until(who.Expires) - time.Second)
		w.closed(c, 0)
		renewed := token("ann")
		c.Session.Refresh(2, renewed)
		time.Sleep(2 * time.Second)
		w.closed(c, 0)
		w.expect(c, "connected 1 recovered=false user.ann", "live #2", "refreshed 2")
		sleepUntil(renewed.Expires.Add(time.Second))
		w.closed(c, 3005)
		late := w.connectAs(renewed, hub.ConnectAsk{})
		w.expect(late, "failed 1 109")
		w.closed(late, 3005)
	})
}

func TestReview(t *testing.T) {
	inWorld(t, options{config: func(c *hub.Config) { c.Shards = 2 }}, func(w *world) {
		a, b := token("ann"), token("ann")
		a.Key, b.Key = "old", "new"
		ca, cb := w.connectAs(a, hub.ConnectAsk{}), w.connectAs(b, hub.ConnectAsk{})
		w.hub.Review(func(id access.Identity) bool { return id.Key != "old" })
		w.closed(ca, 3500)
		w.closed(cb, 0)
	})
}

// claims is a token of ann that opens every booking.
func claims() access.Identity {
	who := token("ann")
	who.Rooms = []string{"booking.*"}
	return who
}

func TestRefreshOfAnotherUser(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		c := w.connect(hub.ConnectAsk{})
		c.Session.Refresh(2, token("bob"))
		w.expect(c, "connected 1 recovered=false user.ann", "live #2", "failed 2 101")
	})
}

func TestRefreshWithATokenFromBeforeALogout(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		old := token("ann")
		time.Sleep(time.Minute)
		w.Logout("ann", time.Now())
		c := w.connect(hub.ConnectAsk{})
		c.Session.Refresh(2, old)
		w.expect(c, "connected 1 recovered=false user.ann", "live #3", "failed 2 101")
	})
}

func TestRefreshWithdrawsAClaim(t *testing.T) {
	inWorld(t, options{ring: 2}, func(w *world) {
		w.Access("1", "ann")
		w.Access("2", "bob")
		w.Status("2", "a")
		c := w.connectAs(claims(), fresh("1", "2", "3"))
		w.expect(c, "connected 1 recovered=false booking.1 booking.2 booking.3 user.ann", "snapshot booking.2 status #5", "live #5")
		c.Session.Refresh(2, token("ann"))
		w.expect(c, "refreshed 2", "revoked booking.2", "revoked booking.3")
		w.Status("2", "secret")
		w.Status("1", "b")
		w.expect(c, "event booking.1 status #7")
	})
}

func TestRefreshKeepsWhatItCovers(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		c := w.connectAs(claims(), fresh("1"))
		c.Session.Refresh(2, claims())
		w.Status("1", "a")
		w.expect(c, "connected 1 recovered=false booking.1 user.ann", "live #2", "refreshed 2", "event booking.1 status #3")
	})
}

func TestRefreshBeforeTheConnectReply(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		release := w.edge.Hold()
		c := w.connectAs(claims(), fresh("1"))
		c.Session.Refresh(2, token("ann"))
		release()
		w.expect(c, "refreshed 2", "connected 1 recovered=false booking.1!103 user.ann", "live #2")
	})
}

// A claim withdrawn while records are not known: nothing of the room is given
// before they are, and nothing of the other rooms is lost meanwhile.
func TestRefreshWaitsForRecords(t *testing.T) {
	inWorld(t, options{ring: 3}, func(w *world) {
		w.Access("1", "ann")
		w.Access("2", "bob")
		for range 3 {
			w.Status("1", "a") // the ring forgets the records
		}
		who := token("ann")
		who.Roles = []string{"admin"}
		c := w.connectAs(who, hub.ConnectAsk{})
		c.Session.Join(2, booking("1"), w.cursor(w.Last()))
		c.Session.Join(3, booking("2"), w.cursor(w.Last()))
		w.wait()
		c.Read()
		before := w.cursor(w.Last())
		release := w.edge.Hold()
		c.Session.Refresh(4, token("ann"))
		w.Status("2", "secret")
		w.Status("1", "b")
		c.Session.Ping()
		w.expect(c, "refreshed 4", "ping "+before.String())
		release()
		w.wait()
		w.expect(c, "revoked booking.2", "event booking.1 status #9", "live #9")
	})
}

func TestRefreshDuringReplay(t *testing.T) {
	inWorld(t, options{keep: 100}, func(w *world) {
		w.Access("1", "ann")
		w.Access("2", "bob")
		since := w.Last()
		for range 20 {
			w.Status("1", "a")
			w.Status("2", "a")
		}
		who := token("ann")
		who.Roles = []string{"admin"}
		c := w.slow(8)
		c.Session.Connect(1, who, resume(w.cursor(since), "1", "2"))
		w.wait()
		queued := c.Queued()
		c.Session.Refresh(2, token("ann"))
		w.wait()
		c.Stall(false)
		w.wait()
		frames := c.Read()
		for _, f := range frames[queued:] {
			if f.Event != nil && f.Event.Name.Room == booking("2") {
				t.Errorf("%s came after the claim was withdrawn", f)
			}
		}
		if last := frames[len(frames)-1].String(); last != "live #44" {
			t.Errorf("the last frame is %q", last)
		}
	})
}
