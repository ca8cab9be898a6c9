package publisher

import (
	"context"
	"sync"
	"time"
)

// flight counts what the sources of a session have handed over and the stream
// has not acknowledged.
type flight struct {
	mu sync.Mutex
	// handed and acked count messages of sources.
	handed, acked uint64
	// since is when the oldest message under way was emitted, or a moment
	// before; meaningless while there is none.
	since time.Time
	// moved is closed and replaced when acked grows.
	moved chan struct{}
}

func newFlight() *flight { return &flight{moved: make(chan struct{})} }

// add counts n messages that were emitted at a time.
func (f *flight) add(n int, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.handed == f.acked {
		f.since = at
	}
	f.handed += uint64(n)
}

// done counts n messages as acknowledged, the newest of which was emitted at a
// time. What is still under way was emitted later by its source.
func (f *flight) done(n int, newest time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acked += uint64(n)
	f.since = newest
	close(f.moved)
	f.moved = make(chan struct{})
}

// waiting is how long the oldest message has been under way; 0 if none is.
func (f *flight) waiting() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.handed == f.acked {
		return 0
	}
	return time.Since(f.since)
}

// landed waits until all that was handed over before is acknowledged.
func (f *flight) landed(ctx context.Context) error {
	f.mu.Lock()
	target := f.handed
	f.mu.Unlock()
	for {
		f.mu.Lock()
		acked, moved := f.acked, f.moved
		f.mu.Unlock()
		if acked >= target {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
