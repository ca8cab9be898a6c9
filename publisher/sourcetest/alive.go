package sourcetest

import (
	"testing"
	"time"

	"github.com/petpro/fabric/publisher"
)

// late is what the machine of a test may add to publisher.Pulse.
const late = time.Second

// testPulse leaves a source alone and times its signs of life: two in a row, so
// that the first is not only that of the start.
func testPulse(t *testing.T, h *Harness) {
	src := h.opened(t)
	r := start(t, src, begin(t, src))
	h.Write("a")
	r.take(1)
	for i := range 2 {
		began := time.Now()
		select {
		case e := <-r.entries:
			if took := time.Since(began); took > publisher.Pulse+late {
				t.Errorf("sign of life %d after %v, want one within %v", i, took, publisher.Pulse)
			}
			if changed(e) {
				t.Errorf("an idle store gives %+v", e)
			}
		case err := <-r.ended:
			r.done = true
			t.Fatalf("Run ended: %v", err)
		case <-time.After(patience):
			t.Fatalf("no sign of life within %v, want one within %v", patience, publisher.Pulse)
		}
	}
}
