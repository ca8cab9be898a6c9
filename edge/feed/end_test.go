package feed

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestQuestion: callers share answers, but never one that was asked for before
// they came.
func TestQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQuestion()
		asked := uint64(0)
		ask := func(context.Context) (uint64, error) {
			asked++
			n := asked
			time.Sleep(time.Second)
			return n, nil
		}
		var wg sync.WaitGroup
		call := func(want uint64) {
			wg.Go(func() {
				if got, err := q.ask(t.Context(), ask); err != nil || got != want {
					t.Errorf("answer = %d, %v, want that of question %d", got, err, want)
				}
			})
		}
		call(1)
		synctest.Wait()
		for range 10 {
			call(2) // the first question is under way
		}
		time.Sleep(1500 * time.Millisecond)
		for range 10 {
			call(3)
		}
		wg.Wait()
		if asked != 3 {
			t.Errorf("%d questions, want 3", asked)
		}
	})
}

// TestQuestionGivenUp: that one caller gives up, even the one who asks, does
// not concern the others.
func TestQuestionGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQuestion()
		ask := func(ctx context.Context) (uint64, error) {
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(time.Second):
				return 7, nil
			}
		}
		var wg sync.WaitGroup
		wg.Go(func() { // asks
			if _, err := q.ask(t.Context(), ask); err != nil {
				t.Errorf("first caller: %v", err)
			}
		})
		synctest.Wait()
		short, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		wg.Go(func() { // asks next, and gives up half-way
			if _, err := q.ask(short, ask); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("impatient caller: %v, want %v", err, context.DeadlineExceeded)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if got, err := q.ask(t.Context(), ask); err != nil || got != 7 {
				t.Errorf("patient caller = %d, %v, want 7", got, err)
			}
		})
		wg.Wait()
	})
}

func TestStuck(t *testing.T) {
	var s stuck
	for i, tt := range []struct {
		last, leader uint64
		want         bool
	}{
		{5, 9, false}, {5, 9, false}, {5, 9, false}, {5, 9, true}, // three times at the same place
		{5, 9, false}, {6, 9, false}, {6, 9, false}, {6, 6, false}, // it moves, it is there
		{6, 7, false}, {6, 7, false}, {6, 7, true},
	} {
		if got := s.at(mark{gen: 1, last: tt.last}, tt.leader); got != tt.want {
			t.Errorf("check %d at %d of %d: stuck = %v, want %v", i, tt.last, tt.leader, got, tt.want)
		}
	}
}
