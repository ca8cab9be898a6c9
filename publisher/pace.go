package publisher

import "time"

const (
	// fewest and most bound up to how many waiting messages go one by one.
	fewest, most = 4, 128
	// perMember is what one more message adds to a batch.
	perMember = 15 * time.Microsecond
)

// pace decides whether waiting messages go one by one or as a batch, from what
// either has cost lately. A batch costs the server a fixed effort whatever its
// size, and that differs widely: about as much as one message on three
// replicas, ten on a single node with sync_always, a hundred on one without, or
// on a busy disk. One by one, the first message, which clients wait for, is
// there at once; so a batch is taken only when it is done sooner as a whole.
type pace struct {
	single time.Duration // one message alone, smoothed
	batch  time.Duration // the fixed effort of a batch, smoothed
}

// newPace begins with what was measured on a single node with sync_always.
func newPace() pace { return pace{single: 300 * time.Microsecond, batch: 3 * time.Millisecond} }

// singles is up to how many waiting messages go one by one.
func (p *pace) singles() int { return min(max(int(p.batch/p.single), fewest), most) }

// observe takes note of a unit of n messages.
func (p *pace) observe(n int, took time.Duration) {
	if n == 1 {
		p.single = smooth(p.single, took)
		return
	}
	p.batch = smooth(p.batch, took-time.Duration(n)*perMember)
}

// smooth is a moving average in which one sample out of the ordinary (a pause
// of the server) counts for little.
func smooth(avg, sample time.Duration) time.Duration {
	sample = min(max(sample, 10*time.Microsecond), 4*avg)
	return avg + (sample-avg)/8
}
