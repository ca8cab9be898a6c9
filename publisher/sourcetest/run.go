package sourcetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/petpro/fabric/publisher"
)

// patience is how long the suite waits for what must come.
const patience = 30 * time.Second

// run is one Run of a source in a goroutine of its own.
type run struct {
	t       *testing.T
	cancel  context.CancelFunc
	entries chan publisher.Entry
	ended   chan error
	done    bool
}

// start runs src. Its entries are taken one by one with next; until one is
// taken, emit blocks.
func start(t *testing.T, src publisher.Source, from string) *run {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &run{t: t, cancel: cancel, entries: make(chan publisher.Entry), ended: make(chan error, 1)}
	go func() {
		r.ended <- src.Run(ctx, from, func(e publisher.Entry) error {
			select {
			case r.entries <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	t.Cleanup(r.stop)
	return r
}

// next entry, news of a place included, signs of life not.
func (r *run) next() publisher.Entry {
	r.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case e := <-r.entries:
			if e != (publisher.Entry{}) {
				return e
			}
		case err := <-r.ended:
			r.done = true
			r.t.Fatalf("Run ended: %v", err)
		case <-deadline:
			r.t.Fatalf("no entry within %v", patience)
		}
	}
}

// take n entries that carry something, Load apart.
func (r *run) take(n int) []publisher.Entry {
	r.t.Helper()
	entries := make([]publisher.Entry, 0, n)
	for len(entries) < n {
		if e := r.next(); changed(e) {
			entries = append(entries, e)
		}
	}
	return entries
}

// changed is false for Load and for the mere news of a place.
func changed(e publisher.Entry) bool {
	return e.Direct != nil || e.Change != nil && e.Change.Op != publisher.Load
}

// err waits for Run to end by itself.
func (r *run) err() error {
	r.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case <-r.entries:
		case err := <-r.ended:
			r.done = true
			return err
		case <-deadline:
			r.t.Fatalf("Run does not end")
		}
	}
}

// stop ends Run by its context and checks that it does so promptly.
func (r *run) stop() {
	r.t.Helper()
	if r.done {
		return
	}
	r.done = true
	r.cancel()
	select {
	case err := <-r.ended:
		if err != nil && !errors.Is(err, context.Canceled) {
			r.t.Errorf("Run = %v after its context ended, want nil or context.Canceled", err)
		}
	case <-time.After(patience):
		r.t.Errorf("Run goes on after its context ended")
	}
}

// snapshot takes one and sorts what it emits.
func snapshot(t *testing.T, src publisher.Source, during func(publisher.Entry)) (loads, rows []publisher.Entry, place string) {
	t.Helper()
	place, err := src.Snapshot(t.Context(), func(e publisher.Entry) error {
		switch {
		case e.Change == nil:
			t.Errorf("Snapshot emits %+v, which is no row", e)
		case e.Change.Op == publisher.Load && len(rows) > 0:
			t.Errorf("Snapshot emits Load of %s after a row", e.Change.Table)
		case e.Change.Op == publisher.Load:
			loads = append(loads, e)
		case e.Change.Op == publisher.Snapshot:
			rows = append(rows, e)
		default:
			t.Errorf("Snapshot emits operation %d", e.Change.Op)
		}
		if during != nil {
			during(e)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("Snapshot: %v", err)
	}
	return loads, rows, place
}
