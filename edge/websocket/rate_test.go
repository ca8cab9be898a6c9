package websocket

import (
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	const rate, burst = 10, 3
	type step struct {
		at    time.Duration
		after time.Duration
		flood bool
	}
	ms := time.Millisecond
	tests := []struct {
		name  string
		steps []step
	}{
		{"a burst, then what the rate allows", []step{
			{0, 0, false}, {0, 0, false}, {0, 0, false},
			{0, 200 * ms, false},
			// Charged for the refused one as well: two to make up for.
			{200 * ms, 0, false}, {200 * ms, 200 * ms, false},
		}},
		{"who waits as told is let through", []step{
			{0, 0, false}, {0, 0, false}, {0, 0, false}, {0, 200 * ms, false}, {200 * ms, 0, false},
		}},
		{"a whole burst in debt is a flood", []step{
			{0, 0, false}, {0, 0, false}, {0, 0, false},
			{0, 200 * ms, false}, {0, 300 * ms, false}, {0, 400 * ms, true},
		}},
		{"idle for long is one burst, not more", []step{
			{time.Hour, 0, false}, {time.Hour, 0, false}, {time.Hour, 0, false}, {time.Hour, 200 * ms, false},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bucket
			for i, s := range tt.steps {
				after, flood := b.take(s.at, rate, burst)
				if after.Round(ms) != s.after || flood != s.flood {
					t.Errorf("step %d: take at %s = %s, %t, want %s, %t", i, s.at, after, flood, s.after, s.flood)
				}
			}
		})
	}
}
