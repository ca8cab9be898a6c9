package hub_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/edge/hub/hubtest"
)

// A replica ahead of the tail: its answer waits for the tail, or what is
// between would come twice.
func TestLeadingReplica(t *testing.T) {
	inWorld(t, options{ring: 1}, func(w *world) {
		w.Access("1", "ann")
		since := w.Status("1", "a")
		w.Status("1", "b")
		w.edge.Lag(true)
		w.Status("1", "c")
		w.Status("1", "d")
		c := w.connect(resume(w.cursor(since), "1"))
		w.expect(c)
		w.edge.Follow(1)
		w.expect(c)
		w.edge.Follow(1)
		w.expect(c,
			"connected 1 recovered=true booking.1+ user.ann+",
			"event booking.1 status #5", "event booking.1 status #6", "event booking.1 status #7", "live #7")
	})
}

// Last values from one replica, newer messages from another one that is ahead:
// what it has lost by then counts, what is behind the first's end is left to
// the ring.
func TestReplicasThatDiffer(t *testing.T) {
	for _, tt := range []struct {
		name  string
		since uint64
		want  []string
	}{
		{"nothing lost", 6, []string{
			"connected 1 recovered=true booking.1+ user.ann+",
			"event booking.1 status #7", "event booking.1 status #8", "live #8"}},
		{"as many as are kept", 5, []string{
			"connected 1 recovered=false booking.1- user.ann+",
			"gap booking.1 status 5..6 trimmed",
			"snapshot booking.1 status #6", "event booking.1 status #7", "event booking.1 status #8", "live #8"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, options{keep: 3, ring: 2}, func(w *world) {
				w.Access("1", "ann")
				for w.Last() < 8 {
					w.Status("1", "a")
				}
				w.edge.Answer(hubtest.Behind(2), nil)
				w.expect(w.connect(resume(w.cursor(tt.since), "1")), tt.want...)
			})
		})
	}
}

// An answer from before the ring begins is of no use: it is asked for again.
func TestStaleReplica(t *testing.T) {
	inWorld(t, options{ring: 2}, func(w *world) {
		w.Access("1", "ann")
		since := w.Status("1", "a")
		for range 5 {
			w.Status("1", "b")
		}
		w.edge.Answer(hubtest.Behind(3), hubtest.Behind(3))
		c := w.connect(resume(w.cursor(since), "1"))
		w.expect(c)
		w.edge.Answer(nil, nil)
		tick()
		w.expect(c, "connected 1 recovered=true booking.1+ user.ann+",
			"event booking.1 status #5", "event booking.1 status #6", "event booking.1 status #7",
			"event booking.1 status #8", "event booking.1 status #9", "live #9")
	})
}

// A replica that is behind the client's own position is no reason to give it
// anything twice.
func TestReplicaBehindThePosition(t *testing.T) {
	inWorld(t, options{ring: 3}, func(w *world) {
		w.Access("1", "ann") // out of the ring in the end: history is asked
		w.Status("1", "a")
		since := w.Status("1", "b")
		w.Status("1", "c")
		w.edge.Answer(hubtest.Behind(3), nil)
		w.expect(w.connect(resume(w.cursor(since), "1")),
			"connected 1 recovered=true booking.1+ user.ann+", "event booking.1 status #6", "live #6")
	})
}

// A client may give another cursor for its own room than for the rest.
func TestOwnRoomsOwnCursor(t *testing.T) {
	inWorld(t, options{}, func(w *world) {
		older := w.Settle()
		w.Publish("user.ann.notification", "hello")
		ask := hub.ConnectAsk{Cursor: w.cursor(w.Last()), Rooms: []hub.RoomAsk{{Name: "user.ann", Room: "user.ann", Cursor: w.cursor(older)}}}
		w.expect(w.connect(ask), "connected 1 recovered=true user.ann+", "event user.ann notification #4", "live #4")
	})
}

// The ring may run past what was read between any two looks at it.
func TestRingRunsOnBetweenLooks(t *testing.T) {
	for look := 1; look <= 15; look++ {
		for _, behind := range []int{0, 1} {
			t.Run(fmt.Sprintf("disturbed at look %d, replica behind by %d", look, behind), func(t *testing.T) {
				inWorld(t, options{ring: 6, keep: 100}, func(w *world) {
					w.Access("1", "ann")
					since := w.Status("1", "a")
					w.Status("1", "b")
					w.edge.Answer(hubtest.Behind(behind), nil)
					w.rush(look)
					c := w.connect(resume(w.cursor(since), "1"))
					w.edge.Answer(nil, nil)
					tick()
					w.inOrder(c.Read(), since)
				})
				inWorld(t, options{ring: 3, keep: 100}, func(w *world) {
					w.Access("1", "ann")
					w.Status("1", "a")
					w.Status("1", "b")
					w.Access("1", "bob")
					w.edge.Answer(hubtest.Behind(behind), nil)
					w.rush(look)
					c := w.connect(fresh("1"))
					w.edge.Answer(nil, nil)
					tick()
					for _, f := range c.Read() {
						if f.Event != nil {
							t.Errorf("%s was given to ann, who lost access before", f)
						}
					}
				})
			})
		}
	}
}

// rush publishes much when the hub looks into the ring for the given time.
func (w *world) rush(look int) {
	looks := 0
	w.edge.Disturb(func() {
		if looks++; looks == look {
			for range 8 {
				w.Status("1", "c")
			}
		}
	})
}

// The ring may run past what was read while it is read.
func TestRingRunsPastTheHandOver(t *testing.T) {
	inWorld(t, options{ring: 4}, func(w *world) {
		w.Access("1", "ann")
		since := w.Status("1", "a")
		w.Status("1", "b")
		looks := 0
		w.edge.Disturb(func() {
			if looks++; looks < 12 {
				w.Status("1", "c")
			}
		})
		c := w.connect(resume(w.cursor(since), "1"))
		tick()
		synctest.Wait()
		next := since
		for _, f := range c.Read() {
			if f.Event == nil {
				continue
			}
			if next++; f.Event.Seq != next {
				t.Fatalf("after #%d came %s", next-1, f)
			}
		}
		if next != w.Last() {
			t.Errorf("the client has everything up to #%d, the stream ends at #%d", next, w.Last())
		}
	})
}
