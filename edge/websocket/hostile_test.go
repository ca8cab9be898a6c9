package websocket_test

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/petpro/fabric/edge/gate"
	"github.com/petpro/fabric/edge/websocket"
)

// frame builds a client's frame as no library would.
func frame(first byte, masked bool, length int, payload []byte) []byte {
	b := []byte{first}
	var mask byte
	if masked {
		mask = 0x80
	}
	switch {
	case length <= 125:
		b = append(b, mask|byte(length))
	case length <= 1<<16-1:
		b = binary.BigEndian.AppendUint16(append(b, mask|126), uint16(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, mask|127), uint64(length))
	}
	if masked {
		b = append(b, 0, 0, 0, 0) // a mask of zeros changes nothing
	}
	return append(b, payload...)
}

func whole(first byte, payload string) []byte {
	return frame(first, true, len(payload), []byte(payload))
}

func TestHostileFrames(t *testing.T) {
	e := start(t, options{})
	const (
		text, binaryOp, cont    = 0x81, 0x82, 0x80
		textBegin, pingOp, clos = 0x01, 0x89, 0x88
	)
	big := strings.Repeat("x", 33<<10)
	random := make([]byte, 4<<10)
	rand.Read(random)
	random[0] |= 0x70 // else it might be a frame by chance
	tests := []struct {
		name  string
		bytes []byte
		close int
	}{
		{"binary", whole(binaryOp, "{}"), 3501},
		{"not UTF-8", whole(text, "{\"id\":1,\"ping\":\"\xff\"}"), 3501},
		{"too large", whole(text, big), 3501},
		{"too large in pieces", bytes.Join([][]byte{whole(textBegin, big[:20<<10]), whole(0, big[:20<<10]), whole(cont, "x")}, nil), 3501},
		{"claims a gigabyte", frame(text, true, 1<<30, bytes.Repeat([]byte("x"), 64<<10)), 3501},
		{"claims 2^63", []byte{text, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 3501},
		{"not masked", frame(text, false, 2, []byte("{}")), 1002},
		{"reserved bits", whole(0xf1, "{}"), 1002},
		{"compressed, which was not agreed", whole(0xc1, "{}"), 1002},
		{"unknown opcode", whole(0x83, "{}"), 1002},
		{"large ping", whole(pingOp, strings.Repeat("x", 126)), 1002},
		{"ping in pieces", whole(0x09, "x"), 1002},
		{"continues nothing", whole(cont, "x"), 1002},
		{"begins within another", append(whole(textBegin, "{"), whole(text, "{}")...), 1002},
		{"bad close code", whole(clos, "\x03\xed"), 1002},
		{"close reason not UTF-8", whole(clos, "\x03\xe8\xff"), 1002},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 1002},
		{"TLS", append([]byte{0x16, 3, 1, 2, 0, 1}, random...), 1002},
		{"garbage", random, 1002},
	}
	for n, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := e.connect(t)
			c.SetCloseHandler(func(int, string) error { return nil })
			if _, err := c.NetConn().Write(tt.bytes); err != nil {
				t.Fatal(err)
			}
			lines, _ := c.expectClose(t, tt.close)
			if announced := len(lines) == 1 && strings.HasPrefix(lines[0], `{"disconnect":`); announced != (tt.close == 3501) {
				t.Errorf("announced by %q", lines)
			}
			// In peace: a reset could have overtaken the close frame.
			if err := c.NetConn().(*net.TCPConn).CloseWrite(); err != nil {
				t.Errorf("after the close: %v", err)
			}
			if n, err := c.NetConn().Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("after the close: %d bytes, %v, want EOF", n, err)
			}
			e.session(t, n).await(t, "closed")
		})
	}
}

// What is unusual but allowed.
func TestPieces(t *testing.T) {
	e := start(t, options{})
	c := e.connect(t)
	pieces := bytes.Join([][]byte{
		whole(0x01, `{"id":2,`), whole(0x89, "in between"), whole(0x00, ""), whole(0x00, `"ping":`), whole(0x80, `{}}`),
	}, nil)
	ponged := make(chan string, 1)
	c.SetPongHandler(func(s string) error { ponged <- s; return nil })
	for _, b := range pieces { // byte by byte
		if _, err := c.NetConn().Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	c.expect(t, `{"id":2,"ping":"e-1-1"}`)
	if got := <-ponged; got != "in between" {
		t.Errorf("pong = %q", got)
	}
	c.say(t, "")
	if got := c.hear(t); !strings.HasPrefix(got, `{"error":{"code":107,`) {
		t.Errorf("an empty frame is answered with %s", got)
	}
}

// The limits are inclusive: 64 KiB for connect, 32 KiB from then on.
func TestFrameLimits(t *testing.T) {
	e := start(t, options{})
	c := e.dial(t)
	pad := func(frame string, size int) string { return frame + strings.Repeat(" ", size-len(frame)) }
	c.say(t, pad(fmt.Sprintf(`{"id":1,"connect":{"token":%q}}`, token(t, "u_7")), 64<<10))
	c.hear(t)
	c.say(t, pad(`{"id":2,"ping":{}}`, 32<<10))
	c.expect(t, `{"id":2,"ping":"e-1-1"}`)
	c.say(t, pad(`{"id":3,"ping":{}}`, 32<<10+1))
	c.expectClose(t, 3501)

	c = e.dial(t)
	c.say(t, pad(`{"id":1,"connect":{}}`, 64<<10+1))
	c.expectClose(t, 3501)
}

const upgradeRequest = "GET /v1/ws HTTP/1.1\r\nHost: edge\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// A client may speak before it has the 101.
func TestEager(t *testing.T) {
	e := start(t, options{})
	nc, err := net.Dial("tcp", e.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	connect := fmt.Sprintf(`{"id":1,"connect":{"token":%q}}`, token(t, "u_7"))
	if _, err := nc.Write(append([]byte(upgradeRequest), whole(0x81, connect)...)); err != nil {
		t.Fatal(err)
	}
	e.session(t, 0).await(t, "connect u_7")
}

// A client that vanishes without a word is noticed when TCP tells; one that
// begins the close gets its code back.
func TestClientEnds(t *testing.T) {
	e := start(t, options{})
	gone := e.connect(t)
	gone.NetConn().(*net.TCPConn).SetLinger(0)
	gone.NetConn().Close()
	e.session(t, 0).await(t, "closed")

	polite := e.connect(t)
	if err := polite.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(1001, "going away"), time.Now().Add(patient)); err != nil {
		t.Fatal(err)
	}
	polite.expectClose(t, 1001)
	e.session(t, 1).await(t, "closed")

	terse := e.connect(t)
	if err := terse.WriteControl(gorilla.CloseMessage, nil, time.Now().Add(patient)); err != nil {
		t.Fatal(err)
	}
	terse.expectClose(t, gorilla.CloseNoStatusReceived)
	e.session(t, 2).await(t, "closed")
}

// A client that answers no ping is ended; one that does is not.
func TestNoPong(t *testing.T) {
	e := start(t, options{config: func(c *websocket.Config) { c.Ping = 50 * time.Millisecond }})
	mute := e.connect(t)
	lively := e.connect(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			_, frame, err := lively.ReadMessage()
			if err != nil || !strings.HasPrefix(string(frame), `{"ping":`) {
				return
			}
			if lively.WriteMessage(gorilla.TextMessage, []byte("{}")) != nil {
				return
			}
		}
	}()
	if lines, _ := mute.expectClose(t, 3012); len(lines) < 2 || lines[0] != `{"ping":"e-1-1"}` {
		t.Errorf("before the close: %q", lines)
	}
	time.Sleep(200 * time.Millisecond) // four more pings: nothing must happen
	if e.session(t, 1).called("closed") {
		t.Error("a client that answers was ended")
	}
	lively.Close()
	<-done
}

// Behind the gate: silent sockets and slow requests beside real clients.
func TestBehindGate(t *testing.T) {
	e := start(t, options{listen: func(l net.Listener) net.Listener { return gate.New(l, gate.DefaultConfig()) }})
	addr := e.server.Listener.Addr().String()
	for i := range 200 {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if i%10 == 0 { // few enough to leave slots for this address
			io.WriteString(nc, "GET /v1/ws HT")
		}
	}
	c := e.connect(t)
	e.do(func() {
		e.sessions[0].client.Event(event(1, `"x"`), false)
		e.sessions[0].client.Flush()
	})
	c.expect(t, eventText(1, `"x"`))
}

// handshake upgrades over a connection of the test's own making.
func (e *edge) handshake(t testing.TB, nc net.Conn) *client {
	t.Helper()
	d := gorilla.Dialer{NetDial: func(string, string) (net.Conn, error) { return nc, nil }}
	ws, _, err := d.Dial(e.url(), http.Header{"Authorization": {"Bearer " + token(t, "u_7")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	c := &client{Conn: ws}
	c.say(t, `{"id":1,"connect":{}}`)
	c.hear(t)
	return c
}
