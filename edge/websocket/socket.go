package websocket

import (
	"bufio"
	"net"
	"net/http"
	"time"
)

// readBuffer is what a connection keeps for reading; the smallest that gorilla
// takes over from Hijack is just above 256.
const readBuffer = 512

// socket is the connection as gorilla sees it: reads go to the socket, writes
// to the queue, and write deadlines nowhere. (gorilla leaves one behind when it
// answers a ping, which would fail our writes a second later.)
type socket conn

var _ net.Conn = (*socket)(nil)

func (s *socket) Read(b []byte) (int, error) {
	if len(s.leftover) > 0 {
		n := copy(b, s.leftover)
		if s.leftover = s.leftover[n:]; len(s.leftover) == 0 {
			s.leftover = nil
		}
		return n, nil
	}
	return s.nc.Read(b)
}

// Write takes the 101 and close frames of gorilla.
func (s *socket) Write(b []byte) (int, error) {
	c := (*conn)(s)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.push(append([]byte(nil), b...))
		if b[0] == opClose {
			c.closing = true
			c.linger()
		}
		c.flush()
	}
	return len(b), nil
}

func (s *socket) Close() error                     { return s.nc.Close() }
func (s *socket) LocalAddr() net.Addr              { return s.nc.LocalAddr() }
func (s *socket) RemoteAddr() net.Addr             { return s.nc.RemoteAddr() }
func (s *socket) SetDeadline(time.Time) error      { return nil }
func (s *socket) SetReadDeadline(time.Time) error  { return nil }
func (s *socket) SetWriteDeadline(time.Time) error { return nil }

// hijacker gives gorilla our socket and a read buffer of our size.
type hijacker struct {
	http.ResponseWriter
	c *conn
}

func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, brw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	// A client may speak before it has our answer.
	if n := brw.Reader.Buffered(); n > 0 {
		early, _ := brw.Reader.Peek(n)
		h.c.leftover = append([]byte(nil), early...)
	}
	h.c.attach(nc)
	s := (*socket)(h.c)
	return s, bufio.NewReadWriter(bufio.NewReaderSize(s, readBuffer), brw.Writer), nil
}
