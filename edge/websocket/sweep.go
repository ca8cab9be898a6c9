package websocket

import (
	"context"
	"sync"
	"time"

	"github.com/petpro/fabric/edge/protocol"
)

// registry knows every connection, in as many slices as there are sweeps in a
// ping interval, so that each sweep visits one slice.
type registry struct {
	mu     sync.Mutex
	slices [][]*conn
	next   int
	closed bool // nothing may be added
}

// enter counts a goroutine in wg unless the handler has ended.
func (r *registry) enter(wg *sync.WaitGroup) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		wg.Add(1)
	}
	return !r.closed
}

// add puts a connection into a slice; false if the handler has ended.
func (r *registry) add(c *conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	c.slice = r.next
	r.next = (r.next + 1) % len(r.slices)
	c.place = len(r.slices[c.slice])
	r.slices[c.slice] = append(r.slices[c.slice], c)
	return true
}

func (r *registry) remove(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.slices[c.slice]
	if c.place >= len(s) || s[c.place] != c {
		return // it came too late to be added
	}
	last := len(s) - 1
	s[c.place] = s[last]
	s[c.place].place = c.place
	s[last] = nil
	r.slices[c.slice] = s[:last]
}

// collect appends one slice to buf.
func (r *registry) collect(slice int, buf []*conn) []*conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(buf, r.slices[slice]...)
}

// all returns every connection; with close set none can be added any more.
func (r *registry) all(close bool) []*conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = r.closed || close
	var all []*conn
	for _, s := range r.slices {
		all = append(all, s...)
	}
	return all
}

// sweep visits each connection once in a ping interval until ctx ends.
func (h *Handler) sweep(ctx context.Context) {
	n := len(h.conns.slices)
	t := time.NewTicker(h.cfg.Ping / time.Duration(n))
	defer t.Stop()
	var conns []*conn
	for i := 0; ; i = (i + 1) % n {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		conns = h.conns.collect(i, conns[:0])
		for _, c := range conns {
			c.visit()
		}
		clear(conns)
	}
}

// visit pings a connection, or ends it if it has said nothing for two pings.
// One that has not connected yet has its deadline in the read goroutine.
func (c *conn) visit() {
	if !c.connected.Load() {
		return
	}
	// Unsigned arithmetic: right also when the clock of 32 bits has wrapped.
	silence := time.Duration(c.h.millis()-c.seen.Load()) * time.Millisecond
	if silence > 2*c.h.cfg.Ping {
		c.Close(protocol.CloseNoPong)
		return
	}
	c.session.Ping()
}
