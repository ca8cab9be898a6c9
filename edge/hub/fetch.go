package hub

import (
	"context"
	"sync"
	"time"

	"github.com/petpro/fabric/subjects"
)

// fetchTimeout bounds one read of history; whoever asked tries again.
const fetchTimeout = 5 * time.Second

// fetcher reads history for the shards: at most HistoryConcurrency reads are
// under way at once, and a room that several want from the same position is
// read once.
type fetcher struct {
	hub *Hub
	ctx context.Context

	mu      sync.Mutex
	calls   map[fetchKey]*fetchCall
	queue   []func()
	workers int
	wg      sync.WaitGroup
}

type fetchKey struct {
	gen uint64
	ask Ask
}

// fetchCall is one room being read, and who waits for it.
type fetchCall struct {
	waiters []*fetchWait
}

// fetchWait gathers the answers for one who asked.
type fetchWait struct {
	shard   *shard
	done    func([]fetchResult)
	missing int
	results []fetchResult
}

type fetchResult struct {
	found *Found
	upTo  uint64
	err   error
}

func newFetcher(h *Hub) *fetcher {
	return &fetcher{hub: h, calls: map[fetchKey]*fetchCall{}}
}

func (f *fetcher) start(ctx context.Context) { f.ctx = ctx }

func (f *fetcher) wait() { f.wg.Wait() }

// get reads the asks; done is called in the shard's goroutine once all answers
// are there, in no particular order.
func (f *fetcher) get(sh *shard, asks []Ask, done func([]fetchResult)) {
	gen := sh.gen
	w := &fetchWait{shard: sh, done: done, missing: len(asks)}
	f.mu.Lock()
	defer f.mu.Unlock()
	var mine []Ask
	for _, a := range asks {
		if a.Fresh {
			a.Since = 0
		}
		key := fetchKey{gen, a}
		call := f.calls[key]
		if call == nil {
			call = &fetchCall{}
			f.calls[key] = call
			mine = append(mine, a)
		}
		call.waiters = append(call.waiters, w)
	}
	if len(mine) > 0 {
		f.enqueue(func() { f.read(gen, mine) })
	}
}

// index reads a user's reverse index for a unit.
func (f *fetcher) index(gen uint64, user string, u *unit, try int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.enqueue(func() {
		f.hub.stats.Fetches.Add(1)
		ctx, cancel := context.WithTimeout(f.ctx, fetchTimeout)
		defer cancel()
		ans, err := f.hub.history.Index(ctx, gen, user)
		u.s.shard.in.post(func() { u.indexed(try, ans, err) })
	})
}

// stored reads a page of history for a session.
func (f *fetcher) stored(gen uint64, room subjects.Room, before uint64, limit int, done func([]*Message, bool, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.enqueue(func() {
		f.hub.stats.Fetches.Add(1)
		ctx, cancel := context.WithTimeout(f.ctx, fetchTimeout)
		defer cancel()
		done(f.hub.history.Stored(ctx, gen, room, before, limit))
	})
}

// enqueue hands a job to a worker. Called with mu held. The queue is bounded
// by what sessions may have under way.
func (f *fetcher) enqueue(job func()) {
	f.queue = append(f.queue, job)
	if f.workers < f.hub.cfg.HistoryConcurrency {
		f.workers++
		f.wg.Go(f.work)
	}
}

func (f *fetcher) work() {
	for {
		f.mu.Lock()
		if len(f.queue) == 0 {
			f.workers--
			f.mu.Unlock()
			return
		}
		job := f.queue[0]
		f.queue = f.queue[1:]
		f.mu.Unlock()
		job()
	}
}

// read asks history and hands the answers out.
func (f *fetcher) read(gen uint64, asks []Ask) {
	f.hub.stats.Fetches.Add(1)
	ctx, cancel := context.WithTimeout(f.ctx, fetchTimeout)
	defer cancel()
	ans, err := f.hub.history.Fetch(ctx, gen, asks)

	f.mu.Lock()
	defer f.mu.Unlock()
	for i, a := range asks {
		r := fetchResult{err: err}
		if err == nil {
			r.found, r.upTo = &ans.Rooms[i], ans.UpTo
		}
		call := f.calls[fetchKey{gen, a}]
		delete(f.calls, fetchKey{gen, a})
		for _, w := range call.waiters {
			w.add(r)
		}
	}
}

// add is called with fetcher.mu held.
func (w *fetchWait) add(r fetchResult) {
	w.results = append(w.results, r)
	if w.missing--; w.missing == 0 {
		w.shard.in.post(func() { w.done(w.results) })
	}
}
