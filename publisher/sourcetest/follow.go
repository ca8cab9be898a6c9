package sourcetest

import (
	"maps"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/petpro/fabric/publisher"
)

// testFollowed changes the followed table at random among other changes, and
// then compares what Run loads at every place with a model of that moment.
func testFollowed(t *testing.T, h *Harness) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	h.Follow.Set("kept", "before all")
	src := h.opened(t)
	model := map[string]string{"kept": "before all"}
	loads, _, from := snapshot(t, src, nil)
	h.wantLoads(t, from, loads, model)

	for i := range 40 {
		key := "k" + strconv.Itoa(random.IntN(6))
		switch random.IntN(4) {
		case 0:
			h.Write("row" + strconv.Itoa(i))
		case 1:
			h.Follow.Delete(key)
		default:
			h.Follow.Set(key, "v"+strconv.Itoa(i))
		}
	}
	h.Write("last")

	r := start(t, src, from)
	h.wantLoads(t, from, r.loads(len(model)), model)
	var entries []publisher.Entry
	for last := false; !last; {
		e := r.next()
		entries = append(entries, e)
		last = h.own(e) && e.Change.Op == publisher.Insert && h.ID(e) == "last"
	}
	r.stop() // a source is read by one at a time
	for _, e := range entries {
		again := start(t, h.opened(t), e.Place)
		h.wantLoads(t, e.Place, again.loads(len(model)), model)
		if first := again.next(); first.Place != e.Place {
			t.Fatalf("Run from %q emits %q first", e.Place, first.Place)
		}
		again.stop()
		if !h.own(e) {
			h.Follow.apply(model, e.Change)
		}
	}
}

// loads takes n entries.
func (r *run) loads(n int) []publisher.Entry {
	r.t.Helper()
	entries := make([]publisher.Entry, n)
	for i := range entries {
		entries[i] = r.next()
	}
	return entries
}

func (f *Follow) apply(model map[string]string, c *publisher.Change) {
	if c == nil {
		return
	}
	if c.Old != nil {
		key, _ := f.Row(c.Old)
		delete(model, key)
	}
	if c.New != nil {
		key, value := f.Row(c.New)
		model[key] = value
	}
}

func (h *Harness) wantLoads(t *testing.T, place string, loads []publisher.Entry, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for _, e := range loads {
		if e.Change == nil || e.Change.Op != publisher.Load || e.Change.Table != h.Follow.Table {
			t.Fatalf("Run from %q emits %+v among the rows of %s", place, e, h.Follow.Table)
		}
		key, value := h.Follow.Row(e.Change.New)
		got[key] = value
	}
	if !maps.Equal(got, want) {
		t.Fatalf("followed table at %q = %v, want %v", place, got, want)
	}
}
