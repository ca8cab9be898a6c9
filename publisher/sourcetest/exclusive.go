package sourcetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/petpro/fabric/publisher"
)

const (
	// handOver is how long a standby may take after a release: it polls.
	handOver = 5 * time.Second
	// takeOver is how long it may take after the death of the holder.
	takeOver = 15 * time.Second
)

// exclusive says whether only one publisher at a time may read the source.
func exclusive(h *Harness) bool {
	_, ok := h.Open().(publisher.Exclusive)
	return ok
}

// acquiring is an Acquire under way.
type acquiring struct {
	t       *testing.T
	cancel  context.CancelFunc
	waiting chan string // holders told of
	hold    chan publisher.Hold
	ended   chan error
}

func acquire(t *testing.T, src publisher.Source) *acquiring {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	a := &acquiring{t: t, cancel: cancel, waiting: make(chan string, 100), hold: make(chan publisher.Hold, 1), ended: make(chan error, 1)}
	go func() {
		hold, err := src.(publisher.Exclusive).Acquire(ctx, func(holder string) { a.waiting <- holder })
		if err != nil {
			a.ended <- err
			return
		}
		a.hold <- hold
	}()
	t.Cleanup(cancel)
	return a
}

// got waits for the hold.
func (a *acquiring) got(within time.Duration) publisher.Hold {
	a.t.Helper()
	select {
	case hold := <-a.hold:
		return hold
	case err := <-a.ended:
		a.t.Fatalf("Acquire = %v", err)
	case <-time.After(within):
		a.t.Fatalf("the source is not acquired within %v", within)
	}
	panic("unreachable")
}

// waits for the word that another has the source.
func (a *acquiring) waits() {
	a.t.Helper()
	select {
	case holder := <-a.waiting:
		if holder == "" {
			a.t.Error("Acquire tells of a holder without a name")
		}
	case hold := <-a.hold:
		hold.Release()
		a.t.Fatal("a second instance acquires a source that another has")
	case err := <-a.ended:
		a.t.Fatalf("Acquire = %v", err)
	case <-time.After(patience):
		a.t.Fatalf("Acquire does not tell within %v that it waits", patience)
	}
}

// held fails if the hold is lost.
func held(t *testing.T, hold publisher.Hold) {
	t.Helper()
	select {
	case <-hold.Lost():
		t.Error("the source is lost without a reason")
	default:
	}
}

// testExclusive hands a source from one instance to the next, and reads from it
// meanwhile.
func testExclusive(t *testing.T, h *Harness) {
	first, second := h.opened(t), h.opened(t)
	hold := acquire(t, first).got(handOver)
	from := begin(t, first)
	r := start(t, first, from)
	standby := acquire(t, second)
	standby.waits()
	h.Write("a")
	wantIDs(t, "Run of the holder", h.ids(r.take(1)), []string{"a"})
	held(t, hold)

	// Who ceases to wait does not get it.
	third := acquire(t, h.opened(t))
	third.waits()
	third.cancel()
	select {
	case err := <-third.ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Acquire = %v after its context ended, want context.Canceled", err)
		}
	case <-third.hold:
		t.Fatal("two instances have the source")
	case <-time.After(patience):
		t.Fatal("Acquire goes on after its context ended")
	}

	r.stop()
	hold.Release()
	hold = standby.got(handOver)
	r = start(t, second, from)
	h.Write("b")
	wantIDs(t, "Run of the next holder", h.ids(r.take(2)), []string{"a", "b"})
	held(t, hold)
	r.stop()
	hold.Release()
	// The first has let go of it for good, and may have it again.
	acquire(t, first).got(handOver).Release()
}

// testHolderDies takes the source from an instance that is gone, or cut off.
func testHolderDies(t *testing.T, h *Harness) {
	first, second := h.opened(t), h.opened(t)
	hold := acquire(t, first).got(handOver)
	standby := acquire(t, second)
	standby.waits()
	h.Kill(first)
	next := standby.got(takeOver)
	select {
	case <-hold.Lost():
	case <-time.After(takeOver):
		t.Errorf("who lost the source does not know within %v", takeOver)
	}
	hold.Release() // does not touch the hold of the next
	third := acquire(t, h.opened(t))
	third.waits()
	held(t, next)
	next.Release()
	third.got(handOver).Release()
}
