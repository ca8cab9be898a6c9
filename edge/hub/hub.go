package hub

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"log/slog"
	"maps"
	mathrand "math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/petpro/fabric/edge/access"
	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/subjects"
)

// Hub owns the shards. Make it with New, run it with Run.
type Hub struct {
	cfg     Config
	feed    Feed
	history History
	log     *slog.Logger
	node    string // prefix of session names, unlike other edges'
	shards  []*shard
	fetch   *fetcher
	users   userCounts
	stats   Stats

	nextShard   atomic.Uint64
	nextSession atomic.Uint64
}

// New makes a hub and attaches it to the feed, which must not run yet. The
// configuration must be valid.
func New(cfg Config, feed Feed, history History, log *slog.Logger) *Hub {
	h := &Hub{
		cfg: cfg, feed: feed, history: history, log: log,
		node:  randomName(4),
		users: userCounts{max: cfg.SessionsPerUser, n: map[string]int{}},
	}
	h.fetch = newFetcher(h)
	n := cfg.Shards
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	for range n {
		h.shards = append(h.shards, newShard(h))
	}
	feed.Attach(h.wake)
	return h
}

// wake is called by the feed. Shards without sessions are left asleep: waking a
// goroutine costs more than the messages it would read. They follow with each
// tick, and read on before a session of theirs is answered.
func (h *Hub) wake() {
	for _, sh := range h.shards {
		if sh.follows.Load() {
			sh.in.nudge()
		}
	}
}

// Run works until ctx ends, then returns when every goroutine of the hub is
// gone. Sessions are not closed by that: see Drain.
func (h *Hub) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	h.fetch.start(ctx)
	for _, sh := range h.shards {
		wg.Go(func() { sh.run(ctx) })
	}
	wg.Go(func() { h.tick(ctx) })
	wg.Wait()
	h.fetch.wait()
	return nil
}

// tick lets the shards look at what only time changes: tokens that end, units
// that wait for a broker.
func (h *Hub) tick(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			for _, sh := range h.shards {
				sh.in.post(sh.onTick)
			}
		}
	}
}

// Kinds of rooms that clients may name.
func (h *Hub) Kinds() subjects.Kinds { return h.cfg.Kinds }

// Stats counts what the hub did.
func (h *Hub) Stats() *Stats { return &h.stats }

// Open gives a new connection a session on one of the shards. The queue of c
// must be empty: its room now is taken as the whole of it.
func (h *Hub) Open(c Client) *Session {
	sh := h.shards[h.nextShard.Add(1)%uint64(len(h.shards))]
	frames, bytes := c.Room()
	return &Session{
		shard: sh, client: c,
		number: h.nextSession.Add(1),
		frames: frames, bytes: bytes,
	}
}

// Review ends every session whose identity keep refuses (its key was
// withdrawn). keep is called from the shards' goroutines and must not block.
func (h *Hub) Review(keep func(access.Identity) bool) {
	for _, sh := range h.shards {
		sh.in.post(func() {
			for s := range sh.sessions {
				if !keep(s.who) {
					s.close(protocol.CloseToken)
				}
			}
		})
	}
}

// Drain closes all sessions one by one, in random order, spread evenly over
// window, and tells each to come back at once: the others are still busy
// elsewhere. It returns when all have been told or ctx ends; sessions opened
// later are not closed.
func (h *Hub) Drain(ctx context.Context, window time.Duration) {
	all := h.all(ctx)
	mathrand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	start := time.Now()
	for i, s := range all {
		due := start.Add(window * time.Duration(i) / time.Duration(len(all)))
		if wait := time.Until(due); wait > time.Millisecond {
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
		}
		end := protocol.CloseDrain
		end.After = time.Duration(mathrand.Int64N(int64(500 * time.Millisecond)))
		s.shard.in.post(func() { s.close(end) })
	}
}

// all sessions of the shards, as they are when each shard answers; those known
// so far if ctx ends first.
func (h *Hub) all(ctx context.Context) []*Session {
	found := make(chan []*Session, len(h.shards))
	for _, sh := range h.shards {
		sh.in.post(func() { found <- slices.Collect(maps.Keys(sh.sessions)) })
	}
	var all []*Session
	for range h.shards {
		select {
		case <-ctx.Done():
			return all
		case some := <-found:
			all = append(all, some...)
		}
	}
	return all
}

// userCounts bounds the sessions of one user over all shards.
type userCounts struct {
	max int
	mu  sync.Mutex
	n   map[string]int
}

// add reports whether the user may have one more session, and counts it.
func (u *userCounts) add(user string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.n[user] >= u.max {
		return false
	}
	u.n[user]++
	return true
}

func (u *userCounts) remove(user string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.n[user]--; u.n[user] <= 0 {
		delete(u.n, user)
	}
}

func randomName(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b) // never fails, by its documentation
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
}
