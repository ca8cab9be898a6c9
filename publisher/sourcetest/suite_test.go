package sourcetest_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestWithoutRows runs the suite on the smallest source there is: messages in
// memory, as of a service that publishes itself.
func TestWithoutRows(t *testing.T) {
	sourcetest.Test(t, func(t *testing.T) *sourcetest.Harness {
		q := &queue{written: make(chan struct{})}
		return &sourcetest.Harness{
			Open:   func() publisher.Source { return &source{q: q} },
			Write:  q.write,
			ID:     func(e publisher.Entry) string { return e.Direct.Subject },
			Prune:  q.prune,
			Kill:   func(src publisher.Source) { q.sever(src.(*source)) },
			Future: "1000000",
			Memory: 64 << 10,
		}
	})
}

// queue of messages, numbered from 1.
type queue struct {
	mu       sync.Mutex
	subjects []string
	pruned   int
	written  chan struct{} // closed by the next write
	holder   *hold
	freed    chan struct{} // closed when the holder lets go
}

func (q *queue) write(ids ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.subjects = append(q.subjects, ids...)
	close(q.written)
	q.written = make(chan struct{})
}

func (q *queue) prune(place string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pruned = max(q.pruned, number(place))
}

// at returns message n, or what to wait for.
func (q *queue) at(n int) (subject string, written <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n > len(q.subjects) {
		return "", q.written
	}
	return q.subjects[n-1], nil
}

func (q *queue) lost(from int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return from < q.pruned || from > len(q.subjects)
}

type source struct{ q *queue }

func (*source) Name() string                          { return "queue" }
func (*source) Check(context.Context) error           { return nil }
func (*source) Confirm(context.Context, string) error { return nil }
func (*source) Compare(a, b string) int               { return number(a) - number(b) }

// hold of the queue by one source.
type hold struct {
	by   *source
	lost chan struct{}
}

func (h *hold) Lost() <-chan struct{} { return h.lost }
func (h *hold) Release()              { h.by.q.free(h) }

func (q *queue) free(h *hold) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.holder == h {
		q.holder = nil
		close(q.freed)
	}
}

// sever is what the queue sees of the death of a source.
func (q *queue) sever(by *source) {
	q.mu.Lock()
	h := q.holder
	q.mu.Unlock()
	if h != nil && h.by == by {
		close(h.lost)
		q.free(h)
	}
}

func (s *source) Acquire(ctx context.Context, waiting func(holder string)) (publisher.Hold, error) {
	for {
		s.q.mu.Lock()
		taken, freed := s.q.holder != nil, s.q.freed
		h := &hold{by: s, lost: make(chan struct{})}
		if !taken {
			s.q.holder, s.q.freed = h, make(chan struct{})
		}
		s.q.mu.Unlock()
		if !taken {
			return h, nil
		}
		waiting("another source")
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

var _ publisher.Exclusive = (*source)(nil)

func (*source) Snapshot(context.Context, func(publisher.Entry) error) (string, error) {
	return "0", nil // everything is behind it
}

func (s *source) Run(ctx context.Context, from string, emit func(publisher.Entry) error) error {
	n := number(from)
	if s.q.lost(n) {
		return fmt.Errorf("run from %s: %w", from, publisher.ErrLost)
	}
	for n = max(n, 1); ; {
		subject, written := s.q.at(n)
		if written == nil {
			if err := emit(publisher.Entry{Place: strconv.Itoa(n), Direct: &publisher.Message{Subject: subject}}); err != nil {
				return err
			}
			n++
			continue
		}
		select {
		case <-written:
		case <-time.After(time.Second):
			if err := emit(publisher.Entry{}); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func number(place string) int {
	n, err := strconv.Atoi(place)
	if err != nil {
		panic(err)
	}
	return n
}
