package websocket

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
	"unicode/utf8"

	gorilla "github.com/gorilla/websocket"

	"github.com/petpro/fabric/edge/protocol"
)

// buffers hold one frame while it is read and worked on.
var buffers = sync.Pool{New: func() any { b := make([]byte, 4<<10); return &b }}

// errTooLarge is returned by readFrame for a message beyond the limit.
var errTooLarge = errors.New("frame too large")

// read is the goroutine of the connection: it reads until the socket ends or
// is ended, and then takes everything down.
func (c *conn) read() {
	defer c.end()
	for {
		kind, r, err := c.ws.NextReader()
		if err != nil {
			c.readFailed(err)
			return
		}
		c.message(kind, r)
	}
}

// message reads one message and does what it says. What it leaves unread is
// skipped by the next NextReader.
func (c *conn) message(kind int, r io.Reader) {
	if c.isClosing() {
		return // only the answer to our close matters now
	}
	if kind != gorilla.TextMessage {
		c.refuse("binary frames are not understood, send JSON in text frames")
		return
	}
	limit := c.h.cfg.Frame
	if !c.connected.Load() {
		limit = c.h.cfg.ConnectFrame
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	frame, err := readFrame(r, buf, limit)
	switch {
	case errors.Is(err, errTooLarge):
		c.refuse(fmt.Sprintf("a frame holds more than %d bytes", limit))
	case err != nil: // NextReader returns it again
	case !utf8.Valid(frame):
		c.refuse("a text frame is not UTF-8")
	default:
		c.seen.Store(c.h.millis())
		c.frame(frame)
	}
}

// readFrame reads a message into *buf, which grows up to limit. A buffer that
// has grown is not kept in the pool.
func readFrame(r io.Reader, buf *[]byte, limit int) ([]byte, error) {
	b := *buf
	n := 0
	for {
		m, err := r.Read(b[n:])
		n += m
		switch {
		case n > limit:
			return nil, errTooLarge
		case err == io.EOF:
			return b[:n], nil
		case err != nil:
			return nil, err
		case n == len(b):
			b = append(b, make([]byte, min(len(b), limit+1-n))...)
		}
	}
}

// readFailed judges why reading ended.
func (c *conn) readFailed(err error) {
	if closed, ok := errors.AsType[*gorilla.CloseError](err); ok {
		c.answerClose(closed.Code)
		return
	}
	if errors.Is(err, gorilla.ErrReadLimit) { // a length of 2^63 or more
		c.refuse("a frame claims to hold more than there is")
	}
	// gorilla replaces os.ErrDeadlineExceeded by an error of its own.
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() && !c.connected.Load() {
		c.Close(protocol.CloseNoConnect)
	}
	if c.isClosing() {
		// gorilla reads no further; but a socket closed with input unread is
		// reset, and the client would not see our close frame.
		io.Copy(io.Discard, c.nc)
	}
}

// answerClose echoes a close that the client began (RFC 6455 §5.5.1). The
// answer to ours needs none.
func (c *conn) answerClose(code int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return
	}
	var payload []byte
	if code != gorilla.CloseNoStatusReceived {
		payload = gorilla.FormatCloseMessage(code, "")
	}
	c.q.force(controlFrame(opClose, payload))
	c.closing = true
	c.flush()
}

// ping answers a ping frame of the client's, which is charged like a command.
func (c *conn) ping(payload string) error {
	c.seen.Store(c.h.millis())
	if _, ok := c.charge(); !ok {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.push(controlFrame(opPong, []byte(payload)))
	c.flush()
	return nil
}

// pong of a ping frame, which we never send: some clients use it as a sign of
// life.
func (c *conn) pong(string) error {
	c.seen.Store(c.h.millis())
	c.charge()
	return nil
}

// refuse ends the connection for what this protocol has no use for.
func (c *conn) refuse(why string) {
	end := protocol.CloseBadRequest
	end.Reason = why
	c.Close(end)
}

func (c *conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// await gives the client d for its next step; 0 = as long as it likes.
func (c *conn) await(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return // the grace of the close is running
	}
	var deadline time.Time
	if d > 0 {
		deadline = time.Now().Add(d)
	}
	c.nc.SetReadDeadline(deadline)
}

// end takes the connection down, once.
func (c *conn) end() {
	c.h.conns.remove(c)
	c.hangUp()
	c.h.stats.Connections.Add(-1)
	c.session.Closed()
	c.h.log.Debug("connection ended", "session", c.session.ID())
}
