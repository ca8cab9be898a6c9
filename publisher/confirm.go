package publisher

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// confirmer tells the sources, confirmDelay after the stream acknowledged a
// position, that what precedes it may be forgotten.
//
// NATS acknowledges before it syncs to disk (sync_interval, 2 min). A confirmer
// lives as long as its session: when the connection is lost, a unit is refused
// or unanswered, what was not confirmed by then waits for the delay again, after
// the stream has been read back. An idle publisher notices a dead server at its
// next fabric.position, at most positionInterval + unitTimeout later, which the
// default delay of 150 s leaves room for.
type confirmer struct {
	sources []Source
	delay   time.Duration
	step    time.Duration
	log     *slog.Logger

	mu sync.Mutex
	// due holds what is to be confirmed, oldest first, one per step.
	due []confirmation
}

// confirmation of the positions acknowledged from first to last.
type confirmation struct {
	first, last time.Time
	positions   map[string]Position
}

// acked notes positions that the stream has acknowledged now. The map is not
// changed any more.
func (c *confirmer) acked(positions map[string]Position) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.due); n > 0 && now.Sub(c.due[n-1].first) < c.step {
		c.due[n-1].last, c.due[n-1].positions = now, positions
		return
	}
	c.due = append(c.due, confirmation{first: now, last: now, positions: positions})
}

// run confirms until ctx ends.
func (c *confirmer) run(ctx context.Context) error {
	ticker := time.NewTicker(c.step)
	defer ticker.Stop()
	failed := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case now := <-ticker.C:
			if positions := c.take(now); positions != nil {
				c.confirm(ctx, positions, failed)
			}
		}
	}
}

// take removes what is due and returns the newest of it.
func (c *confirmer) take(now time.Time) map[string]Position {
	c.mu.Lock()
	defer c.mu.Unlock()
	var positions map[string]Position
	for len(c.due) > 0 && now.Sub(c.due[0].last) >= c.delay {
		positions = c.due[0].positions
		c.due = c.due[1:]
	}
	return positions
}

// confirm tells each source. A failure costs nothing but space in the source:
// a later confirmation includes it, so it is logged once until one succeeds.
func (c *confirmer) confirm(ctx context.Context, positions map[string]Position, failed map[string]bool) {
	for _, src := range c.sources {
		pos, ok := positions[src.Name()]
		if !ok || pos.Place == InitPlace {
			continue
		}
		err := src.Confirm(ctx, pos.Place)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failed[src.Name()]:
			failed[src.Name()] = true
			c.log.Warn("source cannot be confirmed; what it keeps grows until this succeeds", "source", src.Name(), "place", pos.Place, "err", err)
		case err == nil:
			failed[src.Name()] = false
		}
	}
}
