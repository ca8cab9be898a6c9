package websocket

import (
	"errors"
	"os"
	"sync"
	"time"

	"github.com/petpro/fabric/edge/protocol"
)

// coalesce is how much one write carries at most: half of what the kernel
// makes of the default SO_SNDBUF.
const coalesce = 32 << 10

// writer is what a write needs and an idle connection does not.
type writer struct {
	buf [coalesce]byte
	out []byte // what is to be written
	n   int    // what was
	err error
	try func(fd uintptr) bool // bound once, so that a flush does not allocate
}

var writers = sync.Pool{New: func() any {
	w := new(writer)
	w.try = w.write
	return w
}}

// Flush writes what is queued without blocking.
func (c *conn) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush()
}

// flush writes until the queue is empty or the socket takes no more; then a
// goroutine takes over. The caller holds mu.
func (c *conn) flush() {
	if c.stuck || c.dead {
		return
	}
	if c.raw != nil && !c.q.empty() {
		w := writers.Get().(*writer)
		err := c.drain(w)
		writers.Put(w)
		if err != nil {
			c.kill()
			return
		}
	}
	if c.q.empty() {
		c.drained()
		return
	}
	c.stuck = true
	c.h.stats.Stuck.Add(1)
	c.h.wg.Go(c.unstick)
}

// drain writes until the queue is empty or the socket is full.
func (c *conn) drain(w *writer) error {
	for !c.q.empty() {
		w.out = c.q.gather(w.buf[:0])
		err := c.raw.Write(w.try)
		if full, err := c.took(w, err); full || err != nil {
			return err
		}
	}
	return nil
}

// took books what a try has written; full tells that it was not all.
func (c *conn) took(w *writer, err error) (full bool, _ error) {
	out := len(w.out)
	w.out = nil
	if err = errors.Join(err, w.err); err != nil {
		return false, err
	}
	c.h.stats.Writes.Add(1)
	c.h.stats.Bytes.Add(uint64(w.n))
	c.q.consume(w.n)
	return w.n < out, nil
}

// unstick writes what is queued, waiting for the socket, and ends when all is
// written. A socket that takes nothing for StuckFor is a client too slow.
func (c *conn) unstick() {
	defer c.h.stats.Stuck.Add(-1)
	var err error
	if c.raw != nil {
		err = c.waitAndWrite()
	} else {
		err = c.blockAndWrite()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stuck = false
	c.nc.SetWriteDeadline(time.Time{})
	switch {
	case c.dead:
	case errors.Is(err, os.ErrDeadlineExceeded) && !c.closing && c.raw != nil:
		c.q.drop()
		c.shut(protocol.CloseSlow)
	case err != nil:
		c.kill()
	default:
		c.flush() // what came between the last write and now
	}
}

// waitAndWrite tries whenever the poller says that the socket can be written.
// It holds no buffer while it waits.
func (c *conn) waitAndWrite() error {
	c.nc.SetWriteDeadline(time.Now().Add(c.h.cfg.StuckFor))
	var failed error
	err := c.raw.Write(func(fd uintptr) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		w := writers.Get().(*writer)
		defer writers.Put(w)
		for !c.q.empty() && !c.dead {
			w.out = c.q.gather(w.buf[:0])
			w.try(fd)
			full, err := c.took(w, nil)
			if err != nil {
				failed = err
				return true
			}
			if w.n > 0 {
				c.nc.SetWriteDeadline(time.Now().Add(c.h.cfg.StuckFor))
			}
			if full {
				return false
			}
		}
		return true
	})
	return errors.Join(err, failed)
}

// blockAndWrite is for sockets that cannot be tried (TLS): each flush is one
// goroutine. What it is about to write has left the queue, so that an overflow
// cannot drop a part of it.
func (c *conn) blockAndWrite() error {
	w := writers.Get().(*writer)
	defer writers.Put(w)
	for {
		c.mu.Lock()
		if c.q.empty() || c.dead {
			c.mu.Unlock()
			return nil
		}
		out := c.q.gather(w.buf[:0])
		c.q.consume(len(out))
		c.mu.Unlock()
		c.nc.SetWriteDeadline(time.Now().Add(c.h.cfg.StuckFor))
		n, err := c.nc.Write(out)
		c.h.stats.Writes.Add(1)
		c.h.stats.Bytes.Add(uint64(n))
		if err != nil {
			return err
		}
	}
}
