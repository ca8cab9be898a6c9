package publisher

import (
	"sync"
	"time"
)

// vitals tell whether a source is alive while it runs.
type vitals struct {
	mu      sync.Mutex
	running bool      // guarded by mu
	last    time.Time // guarded by mu; when it was heard of
	entered time.Time // guarded by mu; when the emit under way was called; zero outside
}

func (v *vitals) begin() { v.set(true) }
func (v *vitals) end()   { v.set(false) }

func (v *vitals) set(running bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.running, v.last, v.entered = running, time.Now(), time.Time{}
}

// heard notes a sign of life.
func (v *vitals) heard() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last = time.Now()
}

// enter notes that emit was called, leave that it returns. What passes in
// between is not the source's silence.
func (v *vitals) enter() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.entered = time.Now()
	return v.entered
}

func (v *vitals) leave() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last, v.entered = time.Now(), time.Time{}
}

// silence is for how long a running source has not been heard of.
func (v *vitals) silence() time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.running || !v.entered.IsZero() {
		return 0
	}
	return time.Since(v.last)
}

// held is for how long emit has not returned.
func (v *vitals) held() time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.entered.IsZero() {
		return 0
	}
	return time.Since(v.entered)
}
