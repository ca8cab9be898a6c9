package websocket_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/edge/websocket"
)

// roomy lets a test queue more than a client may leave lying.
func roomy(c *websocket.Config) {
	c.QueueBytes, c.QueueFrames = 64<<20, 1<<20
	c.CommandsPerSecond, c.Burst = 1e6, 1e6
	c.SendBuffer = 4 << 10
}

// narrow dials with the smallest receive buffer, so that the edge's writes are
// partial.
func (e *edge) narrow(t testing.TB) *client {
	t.Helper()
	nc, err := net.Dial("tcp", e.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	nc.(*net.TCPConn).SetReadBuffer(16 << 10)
	return e.handshake(t, nc)
}

// Event, snapshot, replies and pushes come in the order they were queued, and
// one flush is one write.
func TestDelivery(t *testing.T) {
	e := start(t, options{})
	c := e.connect(t)
	s := e.session(t, 0)
	var before uint64
	e.do(func() { // here, because the reply's write is counted after it is heard
		before = e.handler.Stats().Writes.Load()
		s.client.Event(event(1, `{"n":1}`), false)
		s.client.Event(event(2, "{\n\"n\": 2\n}"), true)
		s.client.Send(&protocol.Live{Room: "booking.42", Cursor: event(2, "").Cursor()})
		for i := range 100 {
			s.client.Event(event(uint64(3+i), `"x"`), false)
		}
		s.client.Flush()
		s.client.Flush() // nothing is left
	})
	c.expect(t, eventText(1, `{"n":1}`))
	c.expect(t, strings.Replace(eventText(2, `{"n":2}`), `,"time"`, `,"snapshot":true,"time"`, 1))
	c.expect(t, `{"live":{"room":"booking.42","cursor":"e-2-2"}}`)
	for i := range 100 {
		c.expect(t, eventText(3+i, `"x"`))
	}
	if n := e.handler.Stats().Writes.Load() - before; n != 1 {
		t.Errorf("103 frames took %d writes, want 1", n)
	}
}

// A message is framed once for all connections.
func TestSharedFrames(t *testing.T) {
	e := start(t, options{})
	e.connect(t)
	e.connect(t)
	a, b := e.session(t, 0), e.session(t, 1)
	m := event(1, `{"status":"confirmed"}`)
	e.do(func() {
		a.client.Event(m, false)
		allocs := testing.AllocsPerRun(100, func() { b.client.Event(m, false); b.client.Flush() })
		if allocs > 1 { // the queue's place
			t.Errorf("a delivery costs %.0f allocations", allocs)
		}
	})
}

// Pings of the clients, partial writes and coalesced ones at the same time:
// nothing may land inside of anything, and no deadline of gorilla's may fail a
// write (research: a ping frame leaves one behind).
func TestInterleave(t *testing.T) {
	const clients, events = 40, 400
	e := start(t, options{config: roomy, noPings: true})
	var wg sync.WaitGroup
	var pongs atomic.Int64
	for n := range clients {
		c := e.narrow(t)
		wg.Go(func() {
			stop := make(chan struct{})
			defer close(stop)
			wg.Go(func() { pinger(c, stop) })
			c.SetPongHandler(func(s string) error {
				if s != "are you there" {
					return fmt.Errorf("pong %q", s)
				}
				pongs.Add(1)
				return nil
			})
			for i := range events {
				want := eventText(i+1, payload(i))
				c.SetReadDeadline(time.Now().Add(patient))
				if _, got, err := c.ReadMessage(); err != nil || string(got) != want {
					t.Errorf("client %d, event %d: %.100q, %v", n, i, got, err)
					return
				}
				if i%100 == n {
					time.Sleep(5 * time.Millisecond) // fall behind now and then
				}
			}
		})
	}
	for i := range events {
		m := event(uint64(i+1), payload(i))
		e.do(func() {
			for _, s := range e.sessions {
				s.client.Event(m, false)
			}
			if i%3 == 0 {
				for _, s := range e.sessions {
					s.client.Flush()
				}
			}
		})
	}
	e.do(func() {
		for _, s := range e.sessions {
			s.client.Flush()
		}
	})
	wg.Wait()
	if pongs.Load() == 0 {
		t.Error("no ping was answered")
	}
}

// payload is of changing size, at times larger than one write.
func payload(i int) string {
	size := 100 + i%7*400
	if i%50 == 0 {
		size = 40 << 10
	}
	return `"` + strings.Repeat(string(rune('a'+i%26)), size) + `"`
}

func pinger(c *client, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(2 * time.Millisecond):
			if c.WriteControl(gorilla.PingMessage, []byte("are you there"), time.Now().Add(patient)) != nil {
				return
			}
		}
	}
}

// A client that does not read is closed when its queue is full; whoever
// delivers is never held up, and the others lack nothing.
func TestStalled(t *testing.T) {
	e := start(t, options{noPings: true, config: func(c *websocket.Config) { c.SendBuffer = 4 << 10 }})
	stalled, healthy := e.narrow(t), e.connect(t)
	const events = 2000
	heard := make(chan error, 1)
	go func() {
		for i := range events {
			healthy.SetReadDeadline(time.Now().Add(patient))
			if _, got, err := healthy.ReadMessage(); err != nil || string(got) != eventText(i+1, payload(1)) {
				heard <- fmt.Errorf("event %d: %.100q, %v", i, got, err)
				return
			}
		}
		heard <- nil
	}()
	slow := 0
	for i := range events {
		m := event(uint64(i+1), payload(1))
		begin := time.Now()
		e.do(func() {
			for _, s := range e.sessions {
				s.client.Event(m, false)
				s.client.Flush()
			}
		})
		if time.Since(begin) > 100*time.Millisecond {
			slow++
		}
		// The healthy one shall not be the slow one on a busy machine.
		eventually(t, "the healthy client keeps up", func() bool {
			_, bytes := e.session(t, 1).client.Room()
			return bytes > 32<<10
		})
	}
	if slow > events/100 {
		t.Errorf("%d of %d deliveries took longer than 100 ms", slow, events)
	}
	if err := <-heard; err != nil {
		t.Errorf("the healthy client: %v", err)
	}
	e.session(t, 0).await(t, "closed")
	if e.session(t, 1).called("closed") {
		t.Error("the healthy client was closed")
	}
	if n := closes(e, 3008); n != 1 {
		t.Errorf("%d closes with 3008, want 1", n)
	}
	// What the stalled one finds when it wakes up is a prefix.
	stalled.SetReadDeadline(time.Now().Add(patient))
	for i := 0; ; i++ {
		_, got, err := stalled.ReadMessage()
		if err != nil {
			break
		}
		if string(got) != eventText(i+1, payload(1)) && !strings.HasPrefix(string(got), `{"disconnect":{"code":3008,`) {
			t.Fatalf("event %d = %.100q", i, got)
		}
	}
}

func closes(e *edge, want int) uint64 {
	for code, n := range e.handler.Stats().Closes.All() {
		if code == want {
			return n
		}
	}
	return 0
}

// The same without an overflow: a socket that takes nothing for StuckFor.
func TestStuck(t *testing.T) {
	e := start(t, options{noPings: true, config: func(c *websocket.Config) { roomy(c); c.StuckFor = 200 * time.Millisecond }})
	e.narrow(t)
	s := e.session(t, 0)
	e.do(func() {
		for i := range 1000 {
			s.client.Event(event(uint64(i+1), payload(6)), false)
		}
		s.client.Flush()
	})
	if n := e.handler.Stats().Stuck.Load(); n != 1 {
		t.Errorf("Stuck = %d, want 1", n)
	}
	s.await(t, "closed")
	if n := closes(e, 3008); n != 1 {
		t.Errorf("%d closes with 3008, want 1", n)
	}
	eventually(t, "no flusher is left", func() bool { return e.handler.Stats().Stuck.Load() == 0 })
}

// A client that is merely slow gets everything, however long it takes.
func TestTrickle(t *testing.T) {
	e := start(t, options{noPings: true, config: func(c *websocket.Config) { roomy(c); c.StuckFor = 500 * time.Millisecond }})
	c := e.narrow(t)
	s := e.session(t, 0)
	const events = 400
	e.do(func() {
		for i := range events {
			s.client.Event(event(uint64(i+1), payload(5)), false)
		}
		s.client.Flush()
		s.client.NotifyDrained()
	})
	for i := range events {
		if i%40 == 0 {
			time.Sleep(100 * time.Millisecond) // twice StuckFor in all
		}
		c.expect(t, eventText(i+1, payload(5)))
	}
	s.await(t, "drained")
}

func TestNotifyDrained(t *testing.T) {
	e := start(t, options{})
	e.connect(t)
	s := e.session(t, 0)
	e.do(func() { s.client.NotifyDrained() })
	s.await(t, "drained")
	e.do(func() {
		s.client.Event(event(1, `"x"`), false)
		s.client.NotifyDrained()
		time.Sleep(20 * time.Millisecond) // nothing must happen
	})
	if n := strings.Count(strings.Join(s.asked(), " "), "drained"); n != 1 {
		t.Errorf("drained %d times before the flush, want 1", n)
	}
	e.do(func() { s.client.Flush() })
	eventually(t, "it is drained again", func() bool { return strings.Count(strings.Join(s.asked(), " "), "drained") == 2 })
	if s.called("drained too early") {
		t.Error("drained with a frame in the queue")
	}
}

// The hub plans by Room: all of it when nothing waits.
func TestRoom(t *testing.T) {
	e := start(t, options{})
	e.connect(t)
	s := e.session(t, 0)
	cfg := websocket.DefaultConfig()
	e.do(func() {
		if f, b := s.client.Room(); f != cfg.QueueFrames || b != cfg.QueueBytes {
			t.Errorf("Room of an empty queue = %d, %d", f, b)
		}
		s.client.Event(event(1, payload(0)), false)
		if f, b := s.client.Room(); f != cfg.QueueFrames-1 || b > cfg.QueueBytes-40<<10 || b < cfg.QueueBytes-41<<10 {
			t.Errorf("Room with one event of 40 KiB = %d, %d", f, b)
		}
		// A connect reply is not counted, whatever its size.
		big := &protocol.Connected{ID: 1}
		for i := range 2000 {
			big.Rooms = append(big.Rooms, protocol.RoomFate{Room: fmt.Sprintf("booking.%0100d", i)})
		}
		_, before := s.client.Room()
		s.client.Send(big)
		if _, b := s.client.Room(); b != before {
			t.Errorf("a connect reply takes %d bytes of the room", before-b)
		}
		s.client.Flush()
	})
	if closes(e, 3008) != 0 {
		t.Error("closed for a connect reply")
	}
}

// What is queued comes first, then the announcement, then the close.
func TestClose(t *testing.T) {
	e := start(t, options{})
	c := e.connect(t)
	s := e.session(t, 0)
	e.do(func() {
		s.client.Event(event(1, `"x"`), false)
		s.client.Close(protocol.Close{Code: 3001, Reason: "drain", After: 310 * time.Millisecond})
		s.client.Close(protocol.CloseInternal) // too late
		s.client.Event(event(2, `"y"`), false)
		s.client.Send(&protocol.Ping{})
		s.client.Flush()
		s.client.NotifyDrained()
	})
	lines, reason := c.expectClose(t, 3001)
	want := []string{eventText(1, `"x"`), `{"disconnect":{"code":3001,"reason":"drain","reconnect":true,"after":310}}`}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") || reason != `{"after":310}` {
		t.Errorf("lines %q, reason %q", lines, reason)
	}
	s.await(t, "closed")
	if s.called("drained") {
		t.Error("drained after the close")
	}
}

// A client that does not answer the close is cut off after a second, one whose
// socket is full too.
func TestCloseUnanswered(t *testing.T) {
	e := start(t, options{config: roomy, noPings: true})
	deaf, full := e.connect(t), e.narrow(t)
	begin := time.Now()
	e.do(func() {
		e.sessions[0].client.Close(protocol.CloseLoggedOut)
		for i := range 1000 {
			e.sessions[1].client.Event(event(uint64(i), payload(6)), false)
		}
		e.sessions[1].client.Close(protocol.CloseLoggedOut)
	})
	e.session(t, 0).await(t, "closed")
	e.session(t, 1).await(t, "closed")
	if took := time.Since(begin); took < 900*time.Millisecond || took > 5*time.Second {
		t.Errorf("cut off after %s, want 1 s", took)
	}
	// The close frame is there for the one that could have read it.
	deaf.SetReadDeadline(time.Now().Add(patient))
	deaf.ReadMessage() // the announcement
	if _, _, err := deaf.ReadMessage(); !gorilla.IsCloseError(err, 3503) {
		t.Errorf("the deaf client finds %v", err)
	}
	io.Copy(io.Discard, full.NetConn())
}

// Over TLS a write cannot be tried: a goroutine does it, in the same order.
func TestTLS(t *testing.T) {
	e := start(t, options{tls: true, noPings: true, config: func(c *websocket.Config) { roomy(c); c.StuckFor = 300 * time.Millisecond }})
	c := e.connect(t)
	stalled := e.connect(t)
	s := e.session(t, 0)
	for i := range 500 {
		e.do(func() {
			for _, s := range e.sessions {
				s.client.Event(event(uint64(i+1), payload(i)), false)
				s.client.Flush()
			}
		})
	}
	e.do(func() { s.client.NotifyDrained() })
	for i := range 500 {
		c.expect(t, eventText(i+1, payload(i)))
	}
	s.await(t, "drained")
	c.say(t, `{"id":2,"ping":{}}`)
	c.expect(t, `{"id":2,"ping":"e-1-1"}`)
	e.do(func() { s.client.Close(protocol.CloseDrain) })
	c.expectClose(t, 3001)
	e.do(func() {
		for range 100 { // more than all buffers on the way hold
			e.sessions[1].client.Event(event(1000, `"`+strings.Repeat("x", 1<<20)+`"`), false)
		}
		e.sessions[1].client.Flush()
	})
	e.session(t, 1).await(t, "closed")
	stalled.Close()
}

// Run ends whoever is left, also clients in the middle of something.
func TestRunEnds(t *testing.T) {
	e := start(t, options{config: roomy, noPings: true})
	idle, fresh, stalled := e.connect(t), e.dial(t), e.narrow(t)
	e.do(func() {
		for i := range 1000 {
			e.sessions[2].client.Event(event(uint64(i), payload(6)), false)
		}
		e.sessions[2].client.Flush()
	})
	var wg sync.WaitGroup
	for _, c := range []*client{idle, fresh} {
		wg.Go(func() {
			for {
				if _, _, err := c.ReadMessage(); err != nil {
					if closed, ok := errors.AsType[*gorilla.CloseError](err); !ok || closed.Code != 3001 {
						t.Errorf("ended by %v, want 3001", err)
					}
					return
				}
			}
		})
	}
	e.stop()
	wg.Wait()
	stalled.Close()
	if _, _, err := gorilla.DefaultDialer.Dial(e.url(), nil); err == nil {
		t.Error("a handshake succeeds after Run has returned")
	}
}
