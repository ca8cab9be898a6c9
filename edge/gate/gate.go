package gate

import (
	"container/list"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Gate is a net.Listener. Make it with New.
type Gate struct {
	cfg   Config
	inner net.Listener
	stats Stats
	wg    sync.WaitGroup

	mu      sync.Mutex
	changed sync.Cond // something Accept or accept may wait for has happened
	closed  bool
	failed  error                  // of the inner listener, for Accept to return
	silent  list.List              // of *Conn, the longest silent first
	ready   int                    // connections waiting for a slot
	sources map[netip.Addr]*source // of ready and handed connections
	turn    list.List              // of *source with a ready connection and below PerAddress
	slots   int                    // taken
}

// source is one address.
type source struct {
	addr    netip.Addr
	ready   list.List // of *Conn, oldest first
	held    int       // slots
	waiting *list.Element
}

// Stats count what the gate did.
type Stats struct {
	// Silent connections, which sent nothing in time; Crowded out by newer
	// ones; Slow ones, which did not finish their request in time.
	Silent, Crowded, Slow atomic.Uint64
}

// New puts a gate before a listener and begins to accept.
func New(inner net.Listener, cfg Config) *Gate {
	g := &Gate{cfg: cfg, inner: inner, sources: map[netip.Addr]*source{}}
	g.changed.L = &g.mu
	g.wg.Go(g.accept)
	return g
}

// Addr is the listener's.
func (g *Gate) Addr() net.Addr { return g.inner.Addr() }

// Stats count what the gate did.
func (g *Gate) Stats() *Stats { return &g.stats }

// Waiting returns how many connections are silent, ready and in a slot.
func (g *Gate) Waiting() (silent, ready, slots int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.silent.Len(), g.ready, g.slots
}

// Close closes the listener and every connection that was not handed over, and
// waits for the gate's goroutines.
func (g *Gate) Close() error {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return nil
	}
	g.closed = true
	for e := g.silent.Front(); e != nil; e = e.Next() {
		e.Value.(*Conn).Conn.Close()
	}
	for _, s := range g.sources {
		for e := s.ready.Front(); e != nil; e = e.Next() {
			e.Value.(*Conn).Conn.Close()
		}
		s.ready.Init()
	}
	g.ready = 0
	g.changed.Broadcast()
	g.mu.Unlock()
	err := g.inner.Close()
	g.wg.Wait()
	return err
}

// accept takes connections from the kernel while there is room for them.
func (g *Gate) accept() {
	for {
		c, err := g.inner.Accept()
		if err == nil {
			err = g.admit(c)
		}
		if err != nil && !g.report(err) {
			return
		}
	}
}

// report lets Accept return an error, and waits until it has: http.Server backs
// off after a temporary one, and so does the gate with it. It is false if the
// listener is finished.
func (g *Gate) report(err error) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failed = err
	g.changed.Broadcast()
	if errors.Is(err, net.ErrClosed) {
		return false
	}
	for g.failed != nil && !g.closed {
		g.changed.Wait()
	}
	return !g.closed
}

// admit begins to wait for the first byte of a connection, once there is room
// for it. It returns net.ErrClosed if the gate is closed.
func (g *Gate) admit(nc net.Conn) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.makeRoom()
	if g.closed {
		nc.Close()
		return net.ErrClosed
	}
	c := &Conn{Conn: nc, gate: g, addr: addressOf(nc), since: time.Now()}
	c.place = g.silent.PushBack(c)
	g.wg.Go(func() { g.wait(c) })
	return nil
}

// makeRoom pushes out a silent connection if it must. While none has been
// silent for long it waits: the kernel's backlog is the queue then.
func (g *Gate) makeRoom() {
	for !g.closed && g.silent.Len()+g.ready >= g.cfg.Pending {
		oldest := g.silent.Front()
		if oldest == nil {
			g.changed.Wait()
			continue
		}
		c := oldest.Value.(*Conn)
		if wait := hesitation - time.Since(c.since); wait > 0 {
			timer := time.AfterFunc(wait, g.wake)
			g.changed.Wait()
			timer.Stop()
			continue
		}
		g.stats.Crowded.Add(1)
		g.silent.Remove(oldest)
		c.place = nil
		c.Conn.Close()
	}
}

// wake holds the lock, so that it cannot come between a look and the wait.
func (g *Gate) wake() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.changed.Broadcast()
}

// hesitation is how long a connection may take for its first byte however
// crowded it is: its request is on the way, or its goroutine has not run yet.
const hesitation = 100 * time.Millisecond

// wait reads the first byte. Everything it needs is on c: its stack stays at
// the smallest size.
func (g *Gate) wait(c *Conn) {
	c.Conn.SetReadDeadline(c.since.Add(g.cfg.PendingFor))
	n, err := c.Conn.Read(c.head[:])
	if n == 0 {
		c.Conn.Close()
	} else {
		c.begun = true
		c.Conn.SetReadDeadline(time.Time{})
	}

	g.mu.Lock()
	defer g.mu.Unlock()
	if c.place == nil { // pushed out
		return
	}
	g.silent.Remove(c.place)
	c.place = nil
	switch {
	case g.closed:
		c.Conn.Close()
	case n > 0:
		g.line(c)
	case isTimeout(err):
		g.stats.Silent.Add(1)
	}
	g.changed.Broadcast()
}

// line puts a connection behind the others of its address.
func (g *Gate) line(c *Conn) {
	s := g.sources[c.addr]
	if s == nil {
		s = &source{addr: c.addr}
		g.sources[c.addr] = s
	}
	s.ready.PushBack(c)
	g.ready++
	g.queue(s)
}

// queue gives an address a turn if it may have one.
func (g *Gate) queue(s *source) {
	if s.waiting == nil && s.ready.Len() > 0 && s.held < g.cfg.PerAddress {
		s.waiting = g.turn.PushBack(s)
	}
}

// Accept returns the next connection whose request has begun to arrive and for
// which there is a slot.
func (g *Gate) Accept() (net.Conn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for {
		switch {
		case g.closed:
			return nil, net.ErrClosed
		case g.failed != nil:
			err := g.failed
			if !errors.Is(err, net.ErrClosed) {
				g.failed = nil
				g.changed.Broadcast()
			}
			return nil, err
		case g.slots < g.cfg.Slots && g.turn.Len() > 0:
			if c := g.next(); c != nil {
				return c, nil
			}
		default:
			g.changed.Wait()
		}
	}
}

// next hands over the oldest connection of the address whose turn it is; nil if
// that one has waited for too long.
func (g *Gate) next() *Conn {
	s := g.turn.Remove(g.turn.Front()).(*source)
	s.waiting = nil
	c := s.ready.Remove(s.ready.Front()).(*Conn)
	g.ready--
	defer g.changed.Broadcast()
	defer g.queue(s)
	if time.Since(c.since) > g.cfg.PendingFor {
		c.Conn.Close()
		g.stats.Slow.Add(1)
		g.forget(s)
		return nil
	}
	g.slots++
	s.held++
	c.source = s
	c.timer = time.AfterFunc(g.cfg.SlotFor, c.expire)
	return c
}

// forget drops an address that has nothing here any more.
func (g *Gate) forget(s *source) {
	if s.held == 0 && s.ready.Len() == 0 {
		delete(g.sources, s.addr)
	}
}

// ConnState is the hook for http.Server.
func (g *Gate) ConnState(nc net.Conn, state http.ConnState) {
	c := unwrap(nc)
	if c == nil {
		return
	}
	switch state {
	case http.StateActive: // the header of a request has been read
		g.mu.Lock()
		c.active = true
		g.mu.Unlock()
	case http.StateIdle, http.StateHijacked, http.StateClosed:
		c.Release()
	}
}

// unwrap finds the gate's connection below TLS.
func unwrap(nc net.Conn) *Conn {
	for {
		switch c := nc.(type) {
		case *Conn:
			return c
		case interface{ NetConn() net.Conn }:
			nc = c.NetConn()
		default:
			return nil
		}
	}
}

// addressOf is what PerAddress counts by.
func addressOf(nc net.Conn) netip.Addr {
	tcp, ok := nc.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	if addr.Is6() {
		// Whoever has one address of a /64 has all of them.
		return netip.PrefixFrom(addr, 64).Masked().Addr()
	}
	return addr
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
