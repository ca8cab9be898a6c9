package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// wanderer is a client that comes and goes at random. What it sends and
// receives is kept, and judged when the stream is known as a whole.
type wanderer struct {
	c    *chaos
	name string
	user string
	rnd  *rand.Rand

	mu      sync.Mutex
	pupil   *pupil
	log     []entry
	nextID  int64
	reached uint64 // by the cursor of a ping's reply, on this connection

	writing sync.Mutex
	conn    *websocket.Conn
}

func newWanderer(c *chaos, i int, rnd *rand.Rand) *wanderer {
	users := append(append([]string{"sam"}, customers...), vendors...)
	w := &wanderer{c: c, user: users[i%len(users)], rnd: rnd}
	w.name = fmt.Sprintf("client %d (%s)", i, w.user)
	w.pupil = newPupil(w.user, i%3 == 0, i%2 == 0)
	return w
}

// run comes and goes until everybody is to come to rest, then stays until it
// is up to date.
func (w *wanderer) run() {
	for {
		select {
		case <-w.c.over:
			w.finish()
			return
		default:
		}
		if w.open(w.rnd.IntN(8) == 0) {
			w.stay([]time.Duration{50 * time.Millisecond, time.Second, 6 * time.Second}[w.rnd.IntN(3)])
		}
		time.Sleep([]time.Duration{0, 300 * time.Millisecond, 2 * time.Second}[w.rnd.IntN(3)]) // the absence
	}
}

// open connects; it reports whether there is a connection.
func (w *wanderer) open(slow bool) bool {
	d := websocket.Dialer{Subprotocols: []string{"fabric.v1.json"}, HandshakeTimeout: within}
	if slow {
		slowly(1 << (11 + w.rnd.IntN(6)))(&d)
	}
	conn, _, err := d.Dial("ws"+strings.TrimPrefix(w.c.someEdge(w.rnd), "http")+"/v1/ws", http.Header{})
	if err != nil {
		return false // the edge has gone, or has too many handshakes
	}
	w.conn = conn
	w.mu.Lock()
	if w.rnd.IntN(4) == 0 {
		w.pupil.want("booking." + id(w.rnd.IntN(chaosBookings)))
	}
	e := w.pupil.ask(w.identity())
	w.nextID, w.reached = 1, 0
	w.note(e)
	w.mu.Unlock()
	w.write(1, "connect", e.body(w.token(e.who)))
	return true
}

// identity is mostly that of a participant; some tokens open more.
func (w *wanderer) identity() identity {
	switch n := w.rnd.IntN(10); {
	case n == 0:
		return identity{admin: true}
	case n <= 2 || w.user == "sam":
		return identity{claims: []string{room(1), room(2), room(3)}}
	}
	return identity{}
}

func (w *wanderer) token(who identity) string {
	var roles []string
	if who.admin {
		roles = []string{"admin"}
	}
	return tokenFor(w.c.t, w.user, roles, who.claims, time.Hour)
}

// stay reads, and now and then sends something, for up to a random time.
func (w *wanderer) stay(most time.Duration) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.read()
	}()
	life := time.After(time.Duration(w.rnd.Int64N(int64(most))))
	for open := true; open; {
		select {
		case <-done:
			open = false
		case <-life:
			open = false
		case <-w.c.over:
			open = false
		case <-time.After(time.Duration(w.rnd.IntN(400)) * time.Millisecond):
			w.act()
		}
	}
	w.conn.Close()
	<-done
}

func (w *wanderer) read() {
	for {
		_, msg, err := w.conn.ReadMessage()
		w.mu.Lock()
		if err != nil {
			e := entry{verb: "end"}
			if c, ok := errors.AsType[*websocket.CloseError](err); ok {
				e.code = c.Code
			}
			w.note(e)
			w.mu.Unlock()
			return
		}
		pong := false
		for line := range strings.SplitSeq(string(msg), "\n") {
			f := &frame{}
			if err := json.Unmarshal([]byte(line), f); err != nil {
				w.c.t.Errorf("frame %q: %v", line, err)
			}
			if f.Event != nil {
				f.Event.Data = nil
			}
			if f.Ping != nil && f.ID != 0 {
				w.reached = seqOf(*f.Ping)
			}
			pong = pong || f.Ping != nil && f.ID == 0
			w.note(entry{frame: f})
		}
		w.mu.Unlock()
		if pong {
			w.raw(`{}`)
		}
	}
}

// note keeps what happened and follows the rules of docs/PROTOCOL.md.
func (w *wanderer) note(e entry) {
	w.log = append(w.log, e)
	w.pupil.take(e)
}

// act sends one command.
func (w *wanderer) act() {
	w.mu.Lock()
	p := w.pupil
	name := "booking." + id(w.rnd.IntN(chaosBookings))
	if !p.connected {
		w.mu.Unlock()
		return
	}
	w.nextID++
	e := entry{id: w.nextID, room: name}
	var body any
	switch n := w.rnd.IntN(10); {
	case n == 0:
		e.verb, e.who = "refresh", w.identity()
		body = map[string]any{"token": w.token(e.who)}
	case n == 1:
		e.verb, body = "history", map[string]any{"room": name, "limit": 1 + w.rnd.IntN(20)}
	case n == 2:
		e.verb, body = "ping", map[string]any{}
	case n < 8 && p.rooms[name] == nil && !p.busy(name):
		e.verb = "join"
		m := map[string]any{"room": name}
		if w.rnd.IntN(3) == 0 && p.cursor != "" {
			e.cursor = p.cursor
			m["cursor"] = p.cursor
		}
		body = m
	case p.rooms[name] != nil && p.rooms[name].answered && !p.busy(name):
		e.verb, body = "leave", map[string]any{"room": name}
	}
	if e.verb != "" {
		w.note(e)
	}
	w.mu.Unlock()
	if e.verb != "" {
		w.write(e.id, e.verb, body)
	}
}

func (w *wanderer) write(id int64, verb string, body any) {
	text, err := json.Marshal(map[string]any{"id": id, verb: body})
	if err != nil {
		w.c.t.Error(err)
	}
	w.raw(string(text))
}

// raw writes one frame; what fails to be written is the end that read sees.
func (w *wanderer) raw(text string) {
	w.writing.Lock()
	defer w.writing.Unlock()
	w.conn.WriteMessage(websocket.TextMessage, []byte(text))
}

// finish connects for the last time and stays until all is live and up to
// date.
func (w *wanderer) finish() {
	deadline := time.Now().Add(2 * within)
	for time.Now().Before(deadline) {
		if !w.open(false) {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.read()
		}()
		rested := w.settle(done, deadline)
		if rested {
			w.mu.Lock()
			w.note(entry{verb: "rest"})
			w.mu.Unlock()
		}
		w.conn.Close()
		<-done
		if rested {
			return
		}
	}
	w.c.t.Errorf("%s is not up to date at #%d within %s:\n%s", w.name, w.c.end, 2*within, w.tail(len(w.log)))
}

func (w *wanderer) settle(done <-chan struct{}, deadline time.Time) bool {
	for time.Now().Before(deadline) {
		w.mu.Lock()
		ok := w.pupil.settled() && w.reached >= w.c.end
		w.nextID++
		n := w.nextID
		w.mu.Unlock()
		if ok {
			return true
		}
		w.write(n, "ping", map[string]any{})
		select {
		case <-done:
			return false
		case <-time.After(100 * time.Millisecond):
		}
	}
	return false
}

// tail shows what happened before log entry n.
func (w *wanderer) tail(n int) string {
	var b strings.Builder
	for _, e := range w.log[max(0, n-30):min(n, len(w.log))] {
		fmt.Fprintf(&b, "  %s\n", e)
	}
	return b.String()
}
