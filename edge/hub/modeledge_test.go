package hub_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing/synctest"
	"time"

	"github.com/petpro/fabric/edge/access"
	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/edge/hub/hubtest"
)

// modelEdge is an edge and what the test knows about its watermark.
type modelEdge struct {
	*hubtest.Edge
	hub  *hub.Hub
	away bool

	mu      sync.Mutex
	rnd     *rand.Rand
	gen, lo uint64 // its watermark has been there
}

// edge starts one more edge, which runs until the test ends.
func (m *model) edge(policy access.Policy) *modelEdge {
	e := &modelEdge{Edge: m.stream.Edge(m.shape.ring), rnd: rand.New(rand.NewPCG(m.rnd.Uint64(), 0))}
	cfg := hub.DefaultConfig()
	cfg.Shards, cfg.Policy, cfg.HistoryConcurrency = 1, policy, 4
	e.hub = hub.New(cfg, e, e, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = e.hub.Run(ctx)
	}()
	m.t.Cleanup(func() {
		cancel()
		<-done
	})
	e.Start()
	if !m.shape.calm {
		e.Answer(e.replica, e.replica)
		e.AnswerEnd(func(last uint64) uint64 {
			time.Sleep(time.Duration(e.roll(2)*e.roll(1000)) * time.Millisecond)
			return last
		})
		e.Disturb(func() {
			if e.roll(10) == 0 {
				e.Follow(1 + e.roll(3))
			}
		})
	}
	return e
}

// roll is a die that any goroutine may throw.
func (e *modelEdge) roll(n int) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rnd.IntN(n)
}

// replica is up to date, or not.
func (e *modelEdge) replica(newest int) int {
	if e.roll(3) > 0 {
		return newest
	}
	return newest - e.roll(12)
}

// open gives a client a session on an edge; each frame is tagged with what is
// known of the watermark under which it was queued.
func (m *model) open(edge int) *hubtest.Client {
	e := m.edges[edge]
	frames := 256
	if m.rnd.IntN(3) == 0 {
		frames = 16
	}
	c := hubtest.Open(e.hub, frames, 64<<10)
	c.Tag = func() any {
		v, end := e.View(), m.stream.Last()
		e.mu.Lock()
		defer e.mu.Unlock()
		t := tag{hi: v.Last, stamp: v.LastStamp, epoch: v.Epoch, end: end}
		if e.gen == v.Gen {
			t.lo = e.lo
		}
		return t
	}
	return c
}

// calmed waits until nobody has anything to do, and takes note of the
// watermarks, which are then those of the feeds.
func (m *model) calmed() {
	synctest.Wait()
	for _, e := range m.edges {
		v := e.View()
		e.mu.Lock()
		e.gen, e.lo = v.Gen, v.Last
		e.mu.Unlock()
	}
}

// disturb does something to an edge.
func (m *model) disturb(e *modelEdge) {
	switch n := m.rnd.IntN(100); {
	case m.shape.calm:
		if n < 5 {
			e.SetAway(true)
			time.Sleep(time.Second)
			e.SetAway(false)
		}
	case n < 20:
		e.Lag(true)
	case n < 40:
		e.Lag(false)
	case n < 75:
		e.Follow(1 + m.rnd.IntN(8))
	case n < 80 || e.away:
		e.away = !e.away
		e.SetAway(e.away)
	case n < 90:
		e.Delay(time.Duration(m.rnd.IntN(3)*m.rnd.IntN(300)) * time.Millisecond)
	case n < 94:
		e.Over(m.rnd.IntN(2)*20, 0)
	default:
		e.UpToBehind(m.rnd.IntN(6))
	}
}
