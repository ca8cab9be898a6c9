package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/petpro/fabric/publisher"
)

// Test runs the suite. open makes an empty store for each part of it; what it
// needs is closed by t.Cleanup.
func Test(t *testing.T, open func(t *testing.T) *Harness) {
	parts := []struct {
		name string
		test func(*testing.T, opener)
		// needs is false if the store cannot do what the part asks for.
		needs func(*Harness) bool
	}{
		// These mostly wait, and do so beside each other, when the others are done.
		{"Pulse", aside(testPulse), nil},
		{"Exclusive", aside(testExclusive), exclusive},
		{"HolderDies", aside(testHolderDies), func(h *Harness) bool { return h.Kill != nil && exclusive(h) }},
		{"Check", alone(testCheck), nil},
		{"Order", alone(testOrder), nil},
		{"Live", alone(testLive), nil},
		{"RestartAtEveryPlace", alone(testRestart), nil},
		{"SnapshotBoundary", alone(testBoundary), nil},
		{"WritesDuringSnapshot", alone(testDuring), nil},
		{"BackPressure", alone(testBackPressure), nil},
		{"EmitError", alone(testEmitError), nil},
		{"ContextEnd", alone(testContextEnd), nil},
		{"ConfirmAndRestart", alone(testConfirm), nil},
		{"ConfirmWhileRunning", alone(testConfirmWhileRunning), nil},
		{"Compare", alone(testCompare), nil},
		{"LargeTransaction", alone(testLarge), nil},
		{"Rollback", alone(testRollback), func(h *Harness) bool { return h.Rollback != nil }},
		{"LostBehind", alone(testLostBehind), func(h *Harness) bool { return h.Prune != nil }},
		{"LostAhead", alone(testLostAhead), func(h *Harness) bool { return h.Future != "" }},
		{"Followed", alone(testFollowed), func(h *Harness) bool { return h.Follow != nil }},
	}
	probe := open(t)
	for _, p := range parts {
		if p.needs == nil || p.needs(probe) {
			t.Run(p.name, func(t *testing.T) { p.test(t, open) })
		}
	}
}

type opener func(*testing.T) *Harness

// alone and aside open a store for a part that runs by itself, or beside others.
func alone(test func(*testing.T, *Harness)) func(*testing.T, opener) {
	return func(t *testing.T, open opener) { test(t, open(t)) }
}

func aside(test func(*testing.T, *Harness)) func(*testing.T, opener) {
	return func(t *testing.T, open opener) {
		t.Parallel()
		test(t, open(t))
	}
}

// names makes n ids that are in no order of text or number.
func names(prefix string, n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s-%x-%d", prefix, i*7919%9973, i)
	}
	return ids
}

// begin is the place of a snapshot of the empty store.
func begin(t *testing.T, src publisher.Source) string {
	t.Helper()
	_, rows, place := snapshot(t, src, nil)
	if len(rows) > 0 {
		t.Fatalf("Snapshot of an empty store emits %d rows", len(rows))
	}
	return place
}

// written writes transactions of several sizes and returns the ids and the
// entries of a Run from the beginning.
func written(t *testing.T, h *Harness, src publisher.Source) (ids []string, entries []publisher.Entry) {
	t.Helper()
	from := begin(t, src)
	for i, n := range []int{1, 3, 1, 7, 1, 1} {
		part := names(fmt.Sprintf("t%d", i), n)
		h.Write(part...)
		ids = append(ids, part...)
	}
	r := start(t, src, from)
	entries = r.take(len(ids))
	r.stop()
	return ids, entries
}

func wantIDs(t *testing.T, what string, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	t.Fatalf("%s: %d ids, want %d; the first difference is at %d: got %q, want %q",
		what, len(got), len(want), i, got[i:min(i+3, len(got))], want[i:min(i+3, len(want))])
}

func testCheck(t *testing.T, h *Harness) {
	src := h.Open()
	if src.Name() == "" {
		t.Error("Name is empty")
	}
	for i := range 3 {
		if err := src.Check(t.Context()); err != nil {
			t.Fatalf("Check %d: %v", i, err)
		}
	}
	from := begin(t, src)
	h.Write("a")
	h.opened(t) // a second publisher, on stand-by
	h.Write("b")
	wantIDs(t, "Run", h.ids(start(t, src, from).take(2)), []string{"a", "b"})
}

func testOrder(t *testing.T, h *Harness) {
	src := h.opened(t)
	ids, entries := written(t, h, src)
	wantIDs(t, "Run", h.ids(entries), ids)
	for i, e := range entries {
		if e.Change != nil && e.Change.Op != publisher.Insert {
			t.Errorf("entry %d has operation %d, want Insert", i, e.Change.Op)
		}
		if age := time.Since(e.Time); !e.Time.IsZero() && (age < -time.Minute || age > time.Hour) {
			t.Errorf("entry %d has the time %v", i, e.Time)
		}
		if i > 0 && src.Compare(entries[i-1].Place, e.Place) >= 0 {
			t.Errorf("place %q is followed by %q, which is not behind it", entries[i-1].Place, e.Place)
		}
	}
}

func testLive(t *testing.T, h *Harness) {
	src := h.opened(t)
	r := start(t, src, begin(t, src))
	for i := range 20 {
		ids := names(fmt.Sprintf("live%d", i), 1+i%3)
		h.Write(ids...)
		wantIDs(t, "Run", h.ids(r.take(len(ids))), ids)
	}
}

// testRestart is also the restart in the middle of a transaction.
func testRestart(t *testing.T, h *Harness) {
	ids, entries := written(t, h, h.opened(t))
	for i, e := range entries {
		r := start(t, h.opened(t), e.Place)
		again := r.take(len(entries) - i)
		r.stop()
		wantIDs(t, "Run from "+e.Place, h.ids(again), ids[i:])
		if !reflect.DeepEqual(again, entries[i:]) {
			t.Fatalf("Run from %q emits other entries than before:\n%+v\nwant\n%+v", e.Place, again, entries[i:])
		}
	}
}

func testBoundary(t *testing.T, h *Harness) {
	src := h.opened(t)
	before, after := names("before", 5), names("after", 5)
	h.Write(before...)
	_, rows, place := snapshot(t, src, nil)
	h.Write(after...)
	want := after
	if len(rows) == 0 { // a source without rows
		want = slices.Concat(before, after)
	} else {
		got := h.ids(rows)
		slices.Sort(got)
		wantIDs(t, "Snapshot", got, slices.Sorted(slices.Values(before)))
	}
	for _, src := range []publisher.Source{src, h.opened(t)} {
		r := start(t, src, place)
		wantIDs(t, "Run from the snapshot", h.ids(r.take(len(want))), want)
		r.stop()
	}
}

// testDuring writes from within emit and from another goroutine all the while,
// and looks for each id once in the snapshot and the Run behind it.
func testDuring(t *testing.T, h *Harness) {
	src := h.opened(t)
	h.Write(names("before", 200)...)
	ids := names("before", 200)
	var mu sync.Mutex
	write := func(more ...string) {
		mu.Lock()
		defer mu.Unlock()
		h.Write(more...)
		ids = append(ids, more...)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; i < 300 && ctx.Err() == nil; i++ {
			write(fmt.Sprintf("aside%d", i))
		}
	})
	count := 0
	_, rows, place := snapshot(t, src, func(publisher.Entry) {
		if count++; count%50 == 0 {
			write(fmt.Sprintf("within%d-a", count), fmt.Sprintf("within%d-b", count))
		}
	})
	cancel()
	writer.Wait()
	got := h.ids(rows)
	got = append(got, h.ids(start(t, src, place).take(len(ids)-len(got)))...)
	slices.Sort(got)
	slices.Sort(ids)
	wantIDs(t, "Snapshot and Run, sorted", got, ids)
}

func testBackPressure(t *testing.T, h *Harness) {
	src := h.opened(t)
	r := start(t, src, begin(t, src))
	h.Write("first")
	wantIDs(t, "Run", h.ids(r.take(1)), []string{"first"})
	// Nobody takes entries now: emit blocks at the next, and writers do not care.
	var ids []string
	for i := range 50 {
		more := names(fmt.Sprintf("held%d", i), 10)
		h.Write(more...)
		ids = append(ids, more...)
	}
	wantIDs(t, "Run", h.ids(r.take(len(ids))), ids)
}

func testEmitError(t *testing.T, h *Harness) {
	src := h.opened(t)
	ids, entries := written(t, h, src)
	refused := errors.New("refused")
	for _, n := range []int{1, 4, len(ids)} {
		count := 0
		err := src.Run(t.Context(), entries[0].Place, func(e publisher.Entry) error {
			if !changed(e) {
				return nil
			}
			if count++; count == n {
				return refused
			}
			return nil
		})
		if !errors.Is(err, refused) || count != n {
			t.Errorf("Run = %v after %d entries, want the error of emit after %d", err, count, n)
		}
	}
}

func testContextEnd(t *testing.T, h *Harness) {
	src := h.opened(t)
	from := begin(t, src)
	t.Run("idle", func(t *testing.T) {
		r := start(t, src, from)
		r.stop()
	})
	h.Write(names("many", 1500)...)
	t.Run("busy", func(t *testing.T) {
		r := start(t, src, from)
		r.take(5)
		begin := time.Now()
		r.stop()
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("Run took %v to end", took)
		}
	})
	t.Run("before it begins", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := src.Run(ctx, from, func(publisher.Entry) error { return nil })
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v, want nil or context.Canceled", err)
		}
	})
	wantIDs(t, "Run", h.ids(start(t, src, from).take(1500)), names("many", 1500))
}

func testConfirm(t *testing.T, h *Harness) {
	src := h.opened(t)
	ids, entries := written(t, h, src)
	for i, e := range entries {
		if err := src.Confirm(t.Context(), e.Place); err != nil {
			t.Fatalf("Confirm(%q): %v", e.Place, err)
		}
		r := start(t, h.opened(t), e.Place)
		wantIDs(t, "Run from the confirmed place "+e.Place, h.ids(r.take(len(ids)-i)), ids[i:])
		r.stop()
	}
	// An older place, as after a restart that read an older position.
	if err := src.Confirm(t.Context(), entries[0].Place); err != nil {
		t.Errorf("Confirm of an older place: %v", err)
	}
	h.Write("more")
	r := start(t, src, entries[len(entries)-1].Place)
	wantIDs(t, "Run", h.ids(r.take(2)), []string{ids[len(ids)-1], "more"})
}

func testConfirmWhileRunning(t *testing.T, h *Harness) {
	src := h.opened(t)
	r := start(t, src, begin(t, src))
	var ids, got []string
	var confirms sync.WaitGroup
	for i := range 30 {
		more := names(fmt.Sprintf("c%d", i), 20)
		h.Write(more...)
		ids = append(ids, more...)
		entries := r.take(len(more))
		got = append(got, h.ids(entries)...)
		confirms.Wait() // one at a time
		confirms.Go(func() {
			if err := src.Confirm(t.Context(), entries[len(entries)/2].Place); err != nil {
				t.Errorf("Confirm: %v", err)
			}
		})
	}
	confirms.Wait()
	wantIDs(t, "Run", got, ids)
}

func testCompare(t *testing.T, h *Harness) {
	src := h.opened(t)
	from := begin(t, src)
	h.Write(names("p", 120)...)
	r := start(t, src, from)
	entries := r.take(120)
	r.stop()
	for i, a := range entries {
		for j, b := range entries {
			if got, want := src.Compare(a.Place, b.Place), i-j; (got < 0) != (want < 0) || (got > 0) != (want > 0) {
				t.Fatalf("Compare(%q, %q) = %d, want the sign of %d", a.Place, b.Place, got, want)
			}
		}
		if src.Compare(from, a.Place) >= 0 {
			t.Fatalf("Compare(%q, %q) >= 0, but the first is the place of the snapshot before", from, a.Place)
		}
	}
	if _, _, after := snapshot(t, src, nil); h.Follow != nil && src.Compare(after, entries[len(entries)-1].Place) < 0 {
		t.Errorf("the snapshot's place %q is before %q, which it contains", after, entries[len(entries)-1].Place)
	}
}

func testRollback(t *testing.T, h *Harness) {
	src := h.opened(t)
	r := start(t, src, begin(t, src))
	h.Rollback(names("never", 5)...)
	h.Write("a")
	h.Rollback(names("nor", 500)...)
	h.Write("b", "c")
	wantIDs(t, "Run", h.ids(r.take(3)), []string{"a", "b", "c"})
	r.stop()
	_, rows, _ := snapshot(t, src, nil)
	if len(rows) != 3 {
		t.Errorf("Snapshot emits %d rows, want 3", len(rows))
	}
}

func testLostBehind(t *testing.T, h *Harness) {
	ids, entries := written(t, h, h.opened(t))
	h.Prune(entries[4].Place)
	for i, e := range entries[:4] {
		r := start(t, h.opened(t), e.Place)
		if err := r.err(); !errors.Is(err, publisher.ErrLost) {
			t.Errorf("Run from entry %d of 5 that are gone = %v, want ErrLost", i, err)
		}
	}
	// Behind entry 4 nothing is gone, only it itself.
	r := start(t, h.opened(t), entries[4].Place)
	got := h.ids(r.take(len(ids) - 5))
	if got[0] == ids[4] {
		got = append(got[1:], h.ids(r.take(1))...)
	}
	wantIDs(t, "Run from the last one that is gone", got, ids[5:])
}

func testLostAhead(t *testing.T, h *Harness) {
	src := h.opened(t)
	h.Write("a")
	r := start(t, src, h.Future)
	if err := r.err(); !errors.Is(err, publisher.ErrLost) {
		t.Errorf("Run from %q = %v, want ErrLost", h.Future, err)
	}
}
