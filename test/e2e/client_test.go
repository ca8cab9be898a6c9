package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// within bounds every wait of these tests. It is generous: the machine may be
// busy, and nothing here asserts speed.
const within = time.Minute

// frame is one object from the edge, as docs/PROTOCOL.md names its members.
type frame struct {
	ID         int64       `json:"id"`
	Connect    *connected  `json:"connect"`
	Join       *joined     `json:"join"`
	Leave      *roomRef    `json:"leave"`
	Refresh    *refreshed  `json:"refresh"`
	History    *history    `json:"history"`
	Error      *wireError  `json:"error"`
	Event      *event      `json:"event"`
	Live       *live       `json:"live"`
	Gap        *gap        `json:"gap"`
	Joined     *roomRef    `json:"joined"`
	Left       *left       `json:"left"`
	Revoked    *left       `json:"revoked"`
	State      *state      `json:"state"`
	Ping       *string     `json:"ping"`
	Disconnect *disconnect `json:"disconnect"`
}

type (
	connected struct {
		Session   string          `json:"session"`
		User      string          `json:"user"`
		Ping      int             `json:"ping"`
		Expires   int             `json:"expires"`
		Recovered bool            `json:"recovered"`
		Rooms     map[string]fate `json:"rooms"`
	}
	fate struct {
		Recovered *bool      `json:"recovered"`
		Error     *wireError `json:"error"`
	}
	joined struct {
		Room      string          `json:"room"`
		Recovered *bool           `json:"recovered"`
		Rooms     map[string]fate `json:"rooms"`
	}
	wireError struct {
		Code      int    `json:"code"`
		Message   string `json:"message"`
		Temporary bool   `json:"temporary"`
	}
	event struct {
		Room     string          `json:"room"`
		Type     string          `json:"type"`
		Seq      uint64          `json:"seq"`
		Cursor   string          `json:"cursor"`
		Snapshot bool            `json:"snapshot"`
		Time     time.Time       `json:"time"`
		Data     json.RawMessage `json:"data"`
	}
	live struct {
		Room   string `json:"room"`
		Cursor string `json:"cursor"`
	}
	gap struct {
		Room   string `json:"room"`
		Type   string `json:"type"`
		After  uint64 `json:"after"`
		Before uint64 `json:"before"`
		Reason string `json:"reason"`
	}
	roomRef struct {
		Room string `json:"room"`
	}
	left struct {
		Room   string `json:"room"`
		Reason string `json:"reason"`
	}
	refreshed struct {
		Expires int `json:"expires"`
	}
	history struct {
		Room   string  `json:"room"`
		Events []event `json:"events"`
		More   bool    `json:"more"`
	}
	state struct {
		Stale bool `json:"stale"`
	}
	disconnect struct {
		Code      int    `json:"code"`
		Reason    string `json:"reason"`
		Reconnect bool   `json:"reconnect"`
		After     int    `json:"after"`
	}
)

// client is a native client: it keeps what it received and the cursor that
// PROTOCOL's rules give.
type client struct {
	t    testing.TB
	conn *websocket.Conn
	done chan struct{}

	mu           sync.Mutex
	frames       []frame
	cursor       string
	live         map[string]bool // rooms that are live; "" once the connect is
	closed       error
	statusEvents int           // that are no snapshots
	moved        chan struct{} // closed and replaced with every frame
	nextID       int64
	// writing is held while a frame is written.
	writing sync.Mutex
}

// dial opens a socket without connecting on it.
func dial(t testing.TB, url string, opts ...func(*websocket.Dialer)) *client {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{"fabric.v1.json"}, HandshakeTimeout: within}
	for _, o := range opts {
		o(&d)
	}
	conn, resp, err := d.Dial("ws"+strings.TrimPrefix(url, "http")+"/v1/ws", http.Header{})
	if err != nil {
		t.Fatalf("dial %s: %v (response %v)", url, err, resp)
	}
	c := &client{t: t, conn: conn, done: make(chan struct{}), live: map[string]bool{}, moved: make(chan struct{})}
	go c.read()
	t.Cleanup(c.close)
	return c
}

// slowly makes a dialer whose connections take at most so many bytes a second.
func slowly(bytesPerSecond int) func(*websocket.Dialer) {
	return func(d *websocket.Dialer) {
		d.ReadBufferSize = 1024
		d.NetDial = func(network, addr string) (net.Conn, error) {
			c, err := net.Dial(network, addr)
			if err != nil {
				return nil, err
			}
			c.(*net.TCPConn).SetReadBuffer(4096)
			return &slowConn{Conn: c, rate: bytesPerSecond}, nil
		}
	}
}

type slowConn struct {
	net.Conn
	rate int
}

func (c *slowConn) Read(b []byte) (int, error) {
	if len(b) > 1024 {
		b = b[:1024]
	}
	n, err := c.Conn.Read(b)
	time.Sleep(time.Duration(n) * time.Second / time.Duration(c.rate)) // the slowness under test
	return n, err
}

func (c *client) read() {
	defer close(c.done)
	for {
		_, msg, err := c.conn.ReadMessage()
		c.mu.Lock()
		if err != nil {
			c.closed = err
			c.wake()
			c.mu.Unlock()
			return
		}
		for line := range strings.SplitSeq(string(msg), "\n") {
			var f frame
			if err := json.Unmarshal([]byte(line), &f); err != nil {
				c.t.Errorf("frame %q: %v", line, err)
			}
			c.take(f)
		}
		c.wake()
		c.mu.Unlock()
	}
}

// take keeps the frame and follows the cursor rules of docs/PROTOCOL.md.
func (c *client) take(f frame) {
	c.frames = append(c.frames, f)
	if f.Event != nil && f.Event.Type == "status" && !f.Event.Snapshot {
		c.statusEvents++
	}
	switch {
	case f.Live != nil:
		c.live[f.Live.Room] = true
		if f.Live.Room == "" || c.live[""] {
			c.cursor = f.Live.Cursor
		}
	case f.Event != nil && (c.live[f.Event.Room] || c.live[""]) && !f.Event.Snapshot:
		c.cursor = f.Event.Cursor
	case f.Ping != nil && f.ID == 0:
		if *f.Ping != "" {
			c.cursor = *f.Ping
		}
		c.raw(`{}`)
	}
}

func (c *client) wake() {
	close(c.moved)
	c.moved = make(chan struct{})
}

// close drops the connection without a word, as a tunnel does.
func (c *client) close() {
	c.conn.Close()
	<-c.done
}

// send writes one command and returns its id.
func (c *client) send(verb string, body any) int64 {
	c.t.Helper()
	c.mu.Lock()
	c.nextID++
	id := c.nextID
	c.mu.Unlock()
	text, err := json.Marshal(map[string]any{"id": id, verb: body})
	if err != nil {
		c.t.Fatal(err)
	}
	c.raw(string(text))
	return id
}

// raw writes bytes as one text frame.
func (c *client) raw(s string) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.conn.WriteMessage(websocket.TextMessage, []byte(s)); err != nil {
		c.t.Logf("raw: %v", err)
	}
}

// wait returns the first frame for which ok holds, waiting for it.
func (c *client) wait(what string, ok func(frame) bool) frame {
	c.t.Helper()
	return c.waitFor(within, what, ok)
}

func (c *client) waitFor(limit time.Duration, what string, ok func(frame) bool) frame {
	c.t.Helper()
	deadline := time.After(limit)
	seen := 0
	for {
		c.mu.Lock()
		for ; seen < len(c.frames); seen++ {
			if ok(c.frames[seen]) {
				f := c.frames[seen]
				c.mu.Unlock()
				return f
			}
		}
		moved, closed := c.moved, c.closed
		c.mu.Unlock()
		if closed != nil && what != "disconnect" {
			c.t.Fatalf("waiting for %s: the connection ended: %v\n%s", what, closed, c.dump())
		}
		select {
		case <-moved:
		case <-deadline:
			c.t.Fatalf("no %s within %s\n%s", what, limit, c.dump())
		}
	}
}

// reply waits for the answer to a command.
func (c *client) reply(id int64) frame {
	c.t.Helper()
	return c.wait(fmt.Sprintf("reply to command %d", id), func(f frame) bool { return f.ID == id })
}

// ended waits for the end of the connection and returns its close code, 0 if
// there was none.
func (c *client) ended() int {
	c.t.Helper()
	return c.endedWithin(within)
}

func (c *client) endedWithin(limit time.Duration) int {
	c.t.Helper()
	select {
	case <-c.done:
	case <-time.After(limit):
		c.t.Fatalf("the connection has not ended within %s\n%s", limit, c.dump())
	}
	// gorilla's word for an end in the middle of a frame is 1006, which RFC 6455
	// §7.4.1 keeps for a connection without a close frame.
	if e, ok := errors.AsType[*websocket.CloseError](c.closed); ok && e.Code != websocket.CloseAbnormalClosure {
		return e.Code
	}
	return 0
}

// events received so far of one room ("" = all).
func (c *client) events(room string) []event {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []event
	for _, f := range c.frames {
		if f.Event != nil && (room == "" || f.Event.Room == room) {
			out = append(out, *f.Event)
		}
	}
	return out
}

// statusCount is the number of status events so far that are no snapshots.
func (c *client) statusCount() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.statusEvents
}

func (c *client) gaps() []gap {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []gap
	for _, f := range c.frames {
		if f.Gap != nil {
			out = append(out, *f.Gap)
		}
	}
	return out
}

// position is the cursor to resume from.
func (c *client) position() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cursor
}

// dump shows the last frames for a failure.
func (c *client) dump() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for _, f := range c.frames[max(0, len(c.frames)-25):] {
		line, _ := json.Marshal(f)
		m := map[string]json.RawMessage{}
		json.Unmarshal(line, &m)
		maps.DeleteFunc(m, func(_ string, v json.RawMessage) bool { return string(v) == "null" || string(v) == "0" })
		line, _ = json.Marshal(m)
		fmt.Fprintf(&b, "  %s\n", line)
	}
	return b.String()
}

// connect connects and waits for the reply and the end of the replay.
func (c *client) connect(token, cursor string, rooms ...any) connected {
	c.t.Helper()
	body := map[string]any{"token": token, "rooms": rooms}
	if rooms == nil {
		body["rooms"] = []any{}
	}
	if cursor != "" {
		body["cursor"] = cursor
	}
	f := c.reply(c.send("connect", body))
	if f.Connect == nil {
		c.t.Fatalf("connect: %+v", f.Error)
	}
	c.wait("live", func(f frame) bool { return f.Live != nil && f.Live.Room == "" })
	return *f.Connect
}

// status values received in a room, snapshots included.
func statuses(events []event) []string {
	var out []string
	for _, e := range events {
		var p struct{ Status string }
		json.Unmarshal(e.Data, &p)
		if e.Type == "status" {
			out = append(out, p.Status)
		}
	}
	return out
}

// inOrder fails unless sequences rise and none comes twice.
func inOrder(t testing.TB, events []event) {
	t.Helper()
	seqs := []uint64{}
	for _, e := range events {
		if !e.Snapshot {
			seqs = append(seqs, e.Seq)
		}
	}
	if !slices.IsSorted(seqs) || len(slices.Compact(slices.Clone(seqs))) != len(seqs) {
		t.Errorf("sequences are not rising: %v", seqs)
	}
}

// field is a text in an event's data.
func field(e event, name string) string {
	var data map[string]any
	json.Unmarshal(e.Data, &data)
	text, _ := data[name].(string)
	return text
}
