package feed

import (
	"context"
	"fmt"
	"sync"

	"github.com/petpro/fabric/edge/hub"
)

// question lets many callers share the answers to one question to the leader.
// Nobody is given an answer that was asked for before they came: it might miss
// what they know already.
type question struct {
	// turn is held by the caller who asks.
	turn chan struct{}

	mu   sync.Mutex
	next *flight // callers who wait to be asked for, nil if there are none
}

// flight is one question and those who wait for it.
type flight struct {
	done chan struct{}
	last uint64
	err  error
	// abandoned: the one who asked gave up before there was an answer.
	abandoned bool
}

func newQuestion() *question { return &question{turn: make(chan struct{}, 1)} }

// ask answers with the result of an ask that began after this call. It returns
// ctx's error if that ends first; others who wait are not harmed by that.
func (q *question) ask(ctx context.Context, ask func(context.Context) (uint64, error)) (uint64, error) {
	for {
		f := q.join()
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-f.done:
		case q.turn <- struct{}{}:
			if q.depart(f) {
				f.last, f.err = ask(ctx)
				f.abandoned = ctx.Err() != nil
				close(f.done)
			}
			<-q.turn
			<-f.done // another one departed with it just before our turn
		}
		if !f.abandoned || ctx.Err() != nil {
			return f.last, f.err
		}
	}
}

func (q *question) join() *flight {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.next == nil {
		q.next = &flight{done: make(chan struct{})}
	}
	return q.next
}

// depart closes the flight to newcomers. It reports whether it was still open.
func (q *question) depart(f *flight) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.next != f {
		return false
	}
	q.next = nil
	return true
}

// End implements hub.Feed.
func (f *Feed) End(ctx context.Context, gen uint64) (uint64, error) {
	if f.window.look().Gen != gen {
		return 0, hub.ErrGeneration
	}
	last, err := f.end.ask(ctx, f.askEnd)
	switch {
	case f.window.look().Gen != gen:
		return 0, hub.ErrGeneration
	case err != nil:
		return 0, fmt.Errorf("ask for the end of stream %s: %w: %w", f.cfg.Stream, hub.ErrUnavailable, err)
	}
	// A leader that has just been deposed may know less than we have read.
	return max(last, f.window.mark().last), nil
}

func (f *Feed) askEnd(ctx context.Context) (uint64, error) {
	if err := f.reachable(); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	state, err := f.leader.State(ctx)
	return state.Last, err
}
