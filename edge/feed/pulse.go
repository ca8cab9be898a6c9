package feed

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// pulse judges from signs of life whether the data may lag. Its methods may be
// called from any goroutine.
type pulse struct {
	staleAfter, positionAfter time.Duration

	mu sync.Mutex
	// heard is the last sign of the broker that the tail is at its end,
	// published the last message of the publisher.
	heard, published time.Time
	connected        bool
	// failed counts the questions to the leader that failed in a row.
	failed int
	now    vitals
}

// vitals is the part of a view that time changes.
type vitals struct {
	stale, away bool
	since       time.Time
}

// awayAfter is how many questions to the leader may fail before the broker
// counts as away. One fails at any change of leader.
const awayAfter = 2

func newPulse(cfg Config) *pulse {
	now := time.Now()
	return &pulse{staleAfter: cfg.StaleAfter, positionAfter: cfg.PositionAfter, heard: now, published: now, now: vitals{away: true}}
}

// message: the tail delivered something. Nobody but the publisher writes, and
// at the latest a fabric.position when it has nothing else to say.
func (p *pulse) message(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard, p.published = now, now
}

// beat: the tail is alive and had nothing to deliver.
func (p *pulse) beat(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard = now
}

// asked: the leader answered, or did not.
func (p *pulse) asked(ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ok {
		p.failed = 0
	} else {
		p.failed++
	}
}

// judge reports whether the vitals have changed.
func (p *pulse) judge(now time.Time, connected bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.connected = connected
	was := p.now
	p.now.away = !connected || p.failed >= awayAfter
	silent, unwritten := now.Sub(p.heard) > p.staleAfter, now.Sub(p.published) > p.positionAfter
	switch {
	case !silent && !unwritten:
		p.now.stale, p.now.since = false, time.Time{}
	case !p.now.stale && silent:
		p.now.stale, p.now.since = true, p.heard
	case !p.now.stale:
		p.now.stale, p.now.since = true, p.published
	}
	return p.now != was
}

func (p *pulse) look() vitals {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

// watch judges the pulse four times a second and whenever the connection
// changes, and wakes the readers if the verdict did.
func (f *Feed) watch(ctx context.Context) {
	changes := f.nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.CLOSED)
	defer f.nc.RemoveStatusListener(changes)
	t := time.NewTicker(min(250*time.Millisecond, f.cfg.StaleAfter/4, f.cfg.PositionAfter/4))
	defer t.Stop()
	for {
		connected := f.nc.IsConnected()
		if !connected {
			f.direct.abandon()
		}
		if f.pulse.judge(time.Now(), connected) {
			f.metrics.stale(f.pulse.look().stale)
			f.wake()
		}
		select {
		case <-ctx.Done():
			return
		case <-changes:
		case <-t.C:
		}
	}
}
