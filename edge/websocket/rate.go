package websocket

import "time"

// bucket is a token bucket that may go into debt: refused commands are charged
// too, so that a client which goes on regardless is told apart from one that
// was merely quick. The zero value is full.
type bucket struct {
	used float32       // 0 = full, burst = empty, beyond = debt
	last time.Duration // of the handler's clock
}

// take charges one command. after is how long to wait before the next one will
// be let through, 0 if this one was; flood tells that the debt is a whole burst.
func (b *bucket) take(now time.Duration, perSecond float64, burst int) (after time.Duration, flood bool) {
	b.used -= float32((now - b.last).Seconds() * perSecond)
	b.used, b.last = max(0, b.used)+1, now
	over := float64(b.used) - float64(burst)
	if over <= 0 {
		return 0, false
	}
	return time.Duration((over + 1) / perSecond * float64(time.Second)), over >= float64(burst)
}
