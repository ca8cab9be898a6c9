package gate

import (
	"container/list"
	"net"
	"net/netip"
	"time"
)

// Conn is a connection that came through a gate.
type Conn struct {
	net.Conn
	gate  *Gate
	addr  netip.Addr
	since time.Time

	// Owned by the goroutine that waits, then by whoever reads.
	head  [1]byte // the first byte, read by the gate
	begun bool    // head is still to be given out

	// Guarded by gate.mu.
	place  *list.Element // in gate.silent
	source *source       // while a slot is held
	active bool          // a request has been read
	timer  *time.Timer
}

// NetConn is the connection below, without the gate. Whoever has hijacked the
// connection may go on with it.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Read gives out the first byte, then reads on.
func (c *Conn) Read(b []byte) (int, error) {
	if !c.begun || len(b) == 0 {
		return c.Conn.Read(b)
	}
	c.begun = false
	b[0] = c.head[0]
	return 1, nil
}

// Release gives the slot back. A handler that answers for a long time calls it
// when the handshake is over; calling it again does nothing.
func (c *Conn) Release() {
	g := c.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	s := c.source
	if s == nil {
		return
	}
	c.source = nil
	c.timer.Stop()
	g.slots--
	s.held--
	g.queue(s)
	g.forget(s)
	g.changed.Broadcast()
}

// expire ends the time in the slot.
func (c *Conn) expire() {
	c.gate.mu.Lock()
	slow := c.source != nil && !c.active
	c.gate.mu.Unlock()
	c.Release()
	if slow {
		c.gate.stats.Slow.Add(1)
		c.Conn.Close()
	}
}
