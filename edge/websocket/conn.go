package websocket

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/petpro/fabric/edge/access"
	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/edge/protocol"
)

// closeGrace is how long a connection that we close stays for the client's
// answer and for what is queued.
const closeGrace = time.Second

// conn is one client. There are tens of thousands of them and most are idle:
// no channel, timer, context or buffer here that an idle one does not need.
type conn struct {
	// Static after the upgrade.
	h       *Handler
	ws      *gorilla.Conn
	session Session
	nc      net.Conn        // the socket; TLS if the server does that
	tcp     *net.TCPConn    // below nc; nil if it is none
	raw     syscall.RawConn // of nc; nil if a write cannot be tried without blocking

	// Owned by the read goroutine.
	leftover []byte           // what came with the handshake
	who      *access.Identity // from the handshake's token, until connect
	rate     bucket

	// Written by the read goroutine, read by the sweeper.
	connected atomic.Bool   // connect has been handed to the session
	seen      atomic.Uint32 // Handler.millis of the last frame

	// Guarded by the registry's mutex.
	slice, place int

	mu sync.Mutex
	q  queue
	// closing: the last frames are queued, nothing may follow. dead, which
	// includes it: the socket is given up. reset: it is not to be closed in
	// peace. stuck: a flusher goroutine writes, nobody else may.
	closing, dead, reset, stuck bool
	wantsDrained                bool // NotifyDrained was called
}

var _ hub.Client = (*conn)(nil)

// attach takes the socket over from net/http.
func (c *conn) attach(nc net.Conn) {
	c.nc = below(nc)
	inner := c.nc
	if t, ok := inner.(*tls.Conn); ok {
		inner = below(t.NetConn())
	} else if s, ok := inner.(syscall.Conn); ok {
		c.raw, _ = nonblocking(s)
	}
	if c.tcp, _ = inner.(*net.TCPConn); c.tcp != nil {
		c.tcp.SetWriteBuffer(c.h.cfg.SendBuffer)
	}
}

// below takes a listener's wrapper off: it has done its work.
func below(nc net.Conn) net.Conn {
	for {
		w, ok := nc.(interface{ NetConn() net.Conn })
		if _, secure := nc.(*tls.Conn); !ok || secure {
			return nc
		}
		nc = w.NetConn()
	}
}

// Event queues an event.
func (c *conn) Event(m *hub.Message, snapshot bool) {
	slot, build := hub.SlotNative, eventFrame
	if snapshot {
		slot, build = hub.SlotNativeSnapshot, snapshotFrame
	}
	frame := m.Frame(slot, build)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.push(frame)
}

// Send queues a reply or a push.
func (c *conn) Send(o protocol.Out) {
	var frame []byte
	exempt := false
	switch o := o.(type) {
	case *protocol.Ping:
		frame = c.h.pingFrame(o)
	case *protocol.Connected:
		frame, exempt = outFrame(o), true
	case *protocol.Joined:
		frame, exempt = outFrame(o), o.Room == protocol.Mine
	default:
		frame = outFrame(o)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if exempt && !c.closing && c.q.addExempt(frame) {
		return
	}
	c.push(frame)
}

// push queues a frame, or ends the connection if that is too much. A burst that
// is larger than the queue is no slowness yet: what the socket takes now makes
// room. The caller holds mu.
func (c *conn) push(frame []byte) {
	if c.closing || c.add(frame) {
		return
	}
	c.flush()
	if !c.add(frame) {
		c.q.drop()
		c.shut(protocol.CloseSlow)
	}
}

func (c *conn) add(frame []byte) bool {
	return c.q.add(frame, c.h.cfg.QueueFrames, c.h.cfg.QueueBytes)
}

// Room is what the queue can take.
func (c *conn) Room() (frames, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, c.h.cfg.QueueFrames-c.q.len()), max(0, c.h.cfg.QueueBytes-c.q.bytes)
}

// NotifyDrained calls Session.Drained once the queue is empty.
func (c *conn) NotifyDrained() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wantsDrained = true
	c.drained()
}

// drained keeps the promise of NotifyDrained if it is time. The call is made
// from a goroutine of its own: the hub may be holding what it needs. The caller
// holds mu.
func (c *conn) drained() {
	if c.wantsDrained && c.q.empty() && !c.closing {
		c.wantsDrained = false
		c.h.wg.Go(c.session.Drained)
	}
}

// Close ends the connection after what is queued.
func (c *conn) Close(why protocol.Close) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shut(why)
}

// shut queues the last words and lets the read goroutine wait for the client's
// answer. The caller holds mu; the first close wins.
func (c *conn) shut(why protocol.Close) {
	if c.closing {
		return
	}
	c.closing = true
	c.q.force(outFrame(&protocol.Disconnect{Close: why}))
	c.q.force(closeFrame(why))
	c.h.stats.Closes.add(why.Code)
	c.linger()
	c.flush()
}

// linger bounds how long the connection may still be read. The caller holds mu.
func (c *conn) linger() { c.nc.SetReadDeadline(time.Now().Add(closeGrace)) }

// kill gives the socket up: what waits in a read or a write wakes, and the read
// goroutine closes it. Not here: Close waits for a flusher that may be waiting
// for mu. The caller holds mu.
func (c *conn) kill() {
	if c.dead {
		return
	}
	// What the client has not taken shall not cost kernel memory any longer.
	c.reset = c.stuck || !c.q.empty()
	c.closing, c.dead = true, true
	c.q = queue{}
	c.nc.SetDeadline(time.Unix(1, 0))
}

// hangUp closes the socket. Only the read goroutine does, when it ends.
func (c *conn) hangUp() {
	c.mu.Lock()
	c.kill()
	reset := c.reset
	c.mu.Unlock()
	if c.tcp == nil {
		c.nc.Close()
		return
	}
	if reset {
		c.tcp.SetLinger(0)
	}
	// Below TLS: closing that politely may block, and the WebSocket has said
	// goodbye already.
	c.tcp.Close()
}
