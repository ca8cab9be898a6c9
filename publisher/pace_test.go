package publisher

import (
	"testing"
	"time"
)

func TestPaceFollowsWhatUnitsCost(t *testing.T) {
	const µs, ms = time.Microsecond, time.Millisecond
	for _, tt := range []struct {
		name          string
		single, batch time.Duration
		least, most   int
	}{
		{"three replicas", 250 * µs, 300 * µs, fewest, fewest},
		{"one node, synced", 300 * µs, 3 * ms, 8, 12},
		{"one node, not synced", 30 * µs, 2500 * µs, 70, 90},
		{"busy disk", 40 * µs, 17 * ms, most, most},
	} {
		p := newPace()
		for range 100 {
			p.observe(1, tt.single)
			p.observe(10, tt.batch+10*perMember)
			p.observe(1000, tt.batch+1000*perMember)
		}
		if n := p.singles(); n < tt.least || n > tt.most {
			t.Errorf("%s: singles = %d, want %d to %d", tt.name, n, tt.least, tt.most)
		}
		before := p.singles()
		p.observe(1, 2*time.Second)
		if n := p.singles(); n < before/2 {
			t.Errorf("%s: one slow message moves singles from %d to %d", tt.name, before, n)
		}
	}
}
