// Package feedtest holds every pair of hub.Feed and hub.History to their
// contract: the one on JetStream and the one in memory that the hub is tested
// with.
//
//	func TestFeed(t *testing.T) { feedtest.Test(t, setup) }
//
// Each case gets a stream of its own from setup. Nothing is assumed about when
// a message arrives, only about order and completeness.
package feedtest

import (
	"context"
	"testing"
	"time"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/subjects"
)

// Limits of one case.
type Limits struct {
	// Keep is how many messages the stream keeps per subject.
	Keep int
	// RingBytes bounds the ring, counted by Message.Size.
	RingBytes int
	// ReplayEvents and ReplayBytes bound one Fetch.
	ReplayEvents, ReplayBytes int
}

// Setup makes a feed of kind "booking" on a new stream that holds one message,
// its fabric.epoch. The feed does not run yet.
type Setup func(t *testing.T, l Limits) *Harness

// Harness is a feed and what happens around it.
type Harness struct {
	Feed    hub.Feed
	History hub.History
	// Retention that the epoch announces.
	Retention time.Duration
	// Start runs the feed until the test ends. It is called once, after Attach.
	Start func()
	// Publish appends a message to the stream and returns its sequence. at is
	// the time of the change; zero leaves it out.
	Publish func(subject, data string, at time.Time) uint64
	// NewEpoch appends a fabric.epoch with a new identity and the old limits.
	NewEpoch func() (epoch string, seq uint64)
}

// Test runs all cases.
func Test(t *testing.T, setup Setup) {
	for name, test := range map[string]func(*testing.T, Setup){
		"Start":            testStart,
		"Messages":         testMessages,
		"ReadInOrder":      testReadInOrder,
		"ReadWhilePublish": testReadWhilePublish,
		"Room":             testRoom,
		"RingRunsPast":     testRingRunsPast,
		"Agrees":           testAgrees,
		"Epoch":            testEpoch,
		"Settled":          testSettled,
		"End":              testEnd,
		"FetchLastValues":  testFetchLastValues,
		"FetchNewer":       testFetchNewer,
		"FetchCounts":      testFetchCounts,
		"FetchManyRooms":   testFetchManyRooms,
		"FetchOver":        testFetchOver,
		"Index":            testIndex,
		"Stored":           testStored,
	} {
		t.Run(name, func(t *testing.T) { test(t, setup) })
	}
}

// patience is how long a condition may take on a busy machine under -race.
const patience = 30 * time.Second

// roomy limits are in nobody's way.
var roomy = Limits{Keep: 32, RingBytes: 1 << 20, ReplayEvents: 10_000, ReplayBytes: 8 << 20}

// rig is a running harness.
type rig struct {
	*Harness
	t     *testing.T
	ctx   context.Context
	wakes chan struct{}
}

func start(t *testing.T, setup Setup, l Limits) *rig {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	r := &rig{Harness: setup(t, l), t: t, ctx: ctx, wakes: make(chan struct{}, 1)}
	r.Feed.Attach(func() {
		select {
		case r.wakes <- struct{}{}:
		default:
		}
	})
	r.Start()
	r.await("ready", func(v hub.View) bool { return v.Ready })
	return r
}

// await waits for a view, looking only when woken, as a shard does.
func (r *rig) await(what string, ok func(hub.View) bool) hub.View {
	r.t.Helper()
	timeout := time.After(patience)
	for {
		v := r.Feed.View()
		if ok(v) {
			return v
		}
		select {
		case <-r.wakes:
		case <-timeout:
			r.t.Fatalf("not %s after %s, the view is %+v", what, patience, v)
		}
	}
}

// reach waits until the watermark is at seq.
func (r *rig) reach(seq uint64) hub.View {
	r.t.Helper()
	return r.await("at the end of the stream", func(v hub.View) bool { return v.Ready && v.Last >= seq })
}

// publish appends messages without data of interest, one for each subject, and
// returns the sequence of the last.
func (r *rig) publish(subjects ...string) (seq uint64) {
	for _, s := range subjects {
		seq = r.Publish(s, `{}`, time.Time{})
	}
	return seq
}

func (r *rig) fetch(asks ...hub.Ask) hub.Answer {
	r.t.Helper()
	a, err := r.History.Fetch(r.ctx, r.Feed.View().Gen, asks)
	if err != nil {
		r.t.Fatalf("Fetch(%v) = %v", asks, err)
	}
	if len(a.Rooms) != len(asks) {
		r.t.Fatalf("Fetch of %d rooms answers for %d", len(asks), len(a.Rooms))
	}
	for i, f := range a.Rooms {
		if f.Room != asks[i].Room {
			r.t.Fatalf("Fetch(%v): answer %d is for %s", asks, i, f.Room)
		}
	}
	return a
}

// seqs are the sequences of messages.
func seqs(msgs []*hub.Message) []uint64 {
	s := make([]uint64, 0, len(msgs))
	for _, m := range msgs {
		s = append(s, m.Seq)
	}
	return s
}

// Rooms of the cases.
const (
	room42 = subjects.Room("booking.42")
	room77 = subjects.Room("booking.77")
	user7  = subjects.Room("user.u_7")
)
