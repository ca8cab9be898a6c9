package sourcetest

import (
	"errors"
	"runtime"
	"testing"

	"github.com/petpro/fabric/publisher"
)

// large is the size of a transaction whose rows, with Filler, take 10 MiB.
const large = 5000

// errEnough ends a Run from within emit.
var errEnough = errors.New("enough")

// testLarge looks at the heap several times while a large transaction is
// emitted.
func testLarge(t *testing.T, h *Harness) {
	limit := h.Memory
	if limit == 0 {
		limit = 4 << 20
	}
	src := h.opened(t)
	from := begin(t, src)
	ids := names("large", large)
	h.Write(ids...)

	before := heap()
	n, most := 0, uint64(0)
	err := src.Run(t.Context(), from, func(e publisher.Entry) error {
		if !changed(e) {
			return nil
		}
		if id := h.ID(e); id != ids[n] {
			t.Errorf("entry %d is %q, want %q", n, id, ids[n])
			return errEnough
		}
		if n++; n%500 == 1 {
			most = max(most, heap())
		}
		if n == large {
			return errEnough
		}
		return nil
	})
	if n != large {
		t.Fatalf("Run emits %d entries of %d: %v", n, large, err)
	}
	if most > before+limit {
		t.Errorf("Run holds up to %d KiB of a transaction of %d KiB, want %d at most", (most-before)>>10, large*len(Filler)>>10, limit>>10)
	}
}

// heap is the number of bytes in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
