package websocket_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/petpro/fabric/edge/access"
	"github.com/petpro/fabric/edge/auth"
	"github.com/petpro/fabric/edge/gate"
	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/edge/websocket"
	"github.com/petpro/fabric/subjects"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	secret  = "0123456789abcdef0123456789abcdef"
	patient = 10 * time.Second // for what must happen, on a slow machine too
)

// fakeHub stands in for the hub: one shard, which answers everything at once
// and writes down what it was asked.
type fakeHub struct {
	mu       sync.Mutex
	wake     sync.Cond
	tasks    []func()
	done     bool
	sessions []*fakeSession
	wg       sync.WaitGroup
	// noPings: the sweeper's pings are not sent.
	noPings bool
	// onOpen is called for each session before it is used.
	onOpen func()
}

func newFakeHub(t testing.TB) *fakeHub {
	f := &fakeHub{}
	f.wake.L = &f.mu
	f.wg.Go(f.shard)
	t.Cleanup(func() {
		f.mu.Lock()
		f.done = true
		f.wake.Broadcast()
		f.mu.Unlock()
		f.wg.Wait()
	})
	return f
}

func (f *fakeHub) shard() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		for len(f.tasks) > 0 {
			tasks := f.tasks
			f.tasks = nil
			f.mu.Unlock()
			for _, task := range tasks {
				task()
			}
			f.mu.Lock()
		}
		if f.done {
			return
		}
		f.wake.Wait()
	}
}

func (f *fakeHub) post(task func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tasks = append(f.tasks, task)
	f.wake.Broadcast()
}

// do runs task on the shard and waits for it.
func (f *fakeHub) do(task func()) {
	done := make(chan struct{})
	f.post(func() { defer close(done); task() })
	<-done
}

func (f *fakeHub) open(c hub.Client) websocket.Session {
	c.Room()
	if f.onOpen != nil {
		f.onOpen()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &fakeSession{hub: f, client: c, id: fmt.Sprintf("s%d", len(f.sessions))}
	f.sessions = append(f.sessions, s)
	return s
}

// session returns the n-th session to be opened, when it is.
func (f *fakeHub) session(t testing.TB, n int) *fakeSession {
	t.Helper()
	var s *fakeSession
	eventually(t, fmt.Sprintf("session %d is open", n), func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		if n < len(f.sessions) {
			s = f.sessions[n]
		}
		return s != nil
	})
	return s
}

type fakeSession struct {
	hub    *fakeHub
	client hub.Client
	id     string

	// Guarded by hub.mu.
	calls  []string
	ask    hub.ConnectAsk
	closed bool
}

func (s *fakeSession) ID() string { return s.id }

// call writes a call down and answers it on the shard.
func (s *fakeSession) call(answer protocol.Out, format string, args ...any) {
	s.hub.mu.Lock()
	s.calls = append(s.calls, fmt.Sprintf(format, args...))
	s.hub.mu.Unlock()
	if answer != nil {
		s.hub.post(func() {
			if !s.closed {
				s.client.Send(answer)
				s.client.Flush()
			}
		})
	}
}

func (s *fakeSession) Connect(id int64, who access.Identity, ask hub.ConnectAsk) {
	s.hub.mu.Lock()
	s.ask = ask
	s.hub.mu.Unlock()
	r := &protocol.Connected{ID: id, Session: s.id, User: who.User, Ping: 25 * time.Second, Expires: time.Until(who.Expires)}
	for _, room := range ask.Rooms {
		r.Rooms = append(r.Rooms, protocol.RoomFate{Room: room.Name, Error: room.Err})
	}
	s.call(r, "connect %s", who.User)
}

func (s *fakeSession) Join(id int64, room subjects.Room, cursor protocol.Cursor) {
	s.call(&protocol.Joined{ID: id, Room: string(room), Resumed: !cursor.IsZero()}, "join %s %t", room, cursor.IsZero())
}

func (s *fakeSession) JoinMine(id int64) {
	s.call(&protocol.Joined{ID: id, Room: protocol.Mine}, "join mine")
}

func (s *fakeSession) Leave(id int64, room subjects.Room) {
	s.call(&protocol.Left{ID: id, Room: string(room)}, "leave %s", room)
}

func (s *fakeSession) Refresh(id int64, who access.Identity) {
	s.call(&protocol.Refreshed{ID: id, Expires: time.Until(who.Expires)}, "refresh %s", who.User)
}

func (s *fakeSession) History(id int64, room subjects.Room, before uint64, limit int) {
	s.call(&protocol.HistoryReply{ID: id, Room: string(room)}, "history %s %d %d", room, before, limit)
}

func (s *fakeSession) Probe(id int64) { s.call(&protocol.Pong{ID: id, Cursor: "e-1-1"}, "probe") }

func (s *fakeSession) Drained() {
	if frames, _ := s.client.Room(); frames < websocket.DefaultConfig().QueueFrames {
		s.call(nil, "drained too early")
		return
	}
	s.call(nil, "drained")
}

func (s *fakeSession) Ping() {
	if !s.hub.noPings {
		s.call(&protocol.Ping{Cursor: "e-1-1"}, "ping")
	}
}

func (s *fakeSession) Closed() {
	s.call(nil, "closed")
	s.hub.post(func() { s.closed = true })
}

// called reports whether the session has been asked this.
func (s *fakeSession) called(want string) bool { return slices.Contains(s.asked(), want) }

// asked returns all calls so far.
func (s *fakeSession) asked() []string {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	return slices.Clone(s.calls)
}

// await waits until the session has been asked this.
func (s *fakeSession) await(t testing.TB, want string) {
	t.Helper()
	eventually(t, "the session is asked "+want, func() bool { return s.called(want) })
}

// eventually polls a condition; the deadline is generous.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patient); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain until %s", patient, what)
		}
	}
}

// edge is a handler on a socket.
type edge struct {
	*fakeHub
	handler *websocket.Handler
	server  *httptest.Server
	stop    func()
}

// options change an edge before it starts.
type options struct {
	config func(*websocket.Config)
	auth   func(*auth.Config)
	listen func(net.Listener) net.Listener
	tls    bool
	// noPings keeps the sweeper's pings out of what is heard.
	noPings bool
	log     *slog.Logger
}

func start(t testing.TB, o options) *edge {
	t.Helper()
	cfg := websocket.DefaultConfig()
	if o.config != nil {
		o.config(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	authCfg := auth.DefaultConfig()
	authCfg.Keys = []auth.Key{{Algorithms: []string{"HS256"}, Secret: secret}}
	if o.auth != nil {
		o.auth(&authCfg)
	}
	log := o.log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	verifier, err := auth.New(authCfg, log)
	if err != nil {
		t.Fatal(err)
	}
	e := &edge{fakeHub: newFakeHub(t)}
	e.noPings = o.noPings
	e.handler = websocket.New(cfg, e.open, subjects.Kinds{"booking"}, verifier, log)
	mux := http.NewServeMux()
	mux.Handle("/v1/ws", e.handler)
	e.server = httptest.NewUnstartedServer(mux)
	if o.listen != nil {
		e.server.Listener = o.listen(e.server.Listener)
		if g, ok := e.server.Listener.(*gate.Gate); ok {
			e.server.Config.ConnState = g.ConnState
		}
	}
	if o.tls {
		e.server.StartTLS()
	} else {
		e.server.Start()
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- e.handler.Run(ctx) }()
	e.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ran:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patient):
			t.Error("Run does not return")
		}
	})
	t.Cleanup(func() {
		e.stop()
		e.server.Close()
		if n := e.handler.Stats().Connections.Load(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
	return e
}

func token(t testing.TB, user string) string {
	t.Helper()
	s, err := auth.Mint([]byte(secret), user, nil, nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// client is a client of the native protocol.
type client struct {
	*gorilla.Conn
	lines []string // of a frame, not returned yet
}

func (e *edge) url() string { return "ws" + strings.TrimPrefix(e.server.URL, "http") + "/v1/ws" }

func (e *edge) dial(t testing.TB) *client {
	t.Helper()
	d := gorilla.Dialer{Subprotocols: []string{websocket.Subprotocol}, TLSClientConfig: e.tlsConfig()}
	ws, _, err := d.Dial(e.url(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	return &client{Conn: ws}
}

// connect dials and enters.
func (e *edge) connect(t testing.TB) *client {
	t.Helper()
	c := e.dial(t)
	c.say(t, fmt.Sprintf(`{"id":1,"connect":{"token":%q}}`, token(t, "u_7")))
	if got := c.hear(t); !strings.HasPrefix(got, `{"id":1,"connect":{"session":`) {
		t.Fatalf("connect is answered with %s", got)
	}
	return c
}

func (c *client) say(t testing.TB, frame string) {
	t.Helper()
	if err := c.WriteMessage(gorilla.TextMessage, []byte(frame)); err != nil {
		t.Fatalf("send %.80q: %v", frame, err)
	}
}

// hear returns the next object the edge sends.
func (c *client) hear(t testing.TB) string {
	t.Helper()
	for len(c.lines) == 0 {
		c.SetReadDeadline(time.Now().Add(patient))
		_, frame, err := c.ReadMessage()
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		for line := range bytes.Lines(frame) {
			c.lines = append(c.lines, string(line))
		}
	}
	line := c.lines[0]
	c.lines = c.lines[1:]
	return line
}

func (c *client) expect(t testing.TB, want string) {
	t.Helper()
	if got := c.hear(t); got != want {
		t.Fatalf("the edge sends\n got %s\nwant %s", got, want)
	}
}

// expectClose reads until the edge ends the connection and compares the code;
// it returns the objects that came before.
func (c *client) expectClose(t testing.TB, code int) (lines []string, reason string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patient))
	for {
		_, frame, err := c.ReadMessage()
		if err == nil {
			lines = append(lines, string(frame))
			continue
		}
		closed, ok := errors.AsType[*gorilla.CloseError](err)
		if !ok || closed.Code != code {
			t.Fatalf("the connection ends with %v after %.300q, want close %d", err, lines, code)
		}
		return lines, closed.Text
	}
}

// event is a message of the stream.
func event(seq uint64, data string) *hub.Message {
	return &hub.Message{
		Epoch: "e", Seq: seq, Stamp: int64(seq), Time: time.UnixMilli(0),
		Name: subjects.Name{Class: subjects.Event, Room: "booking.42", Type: "status"},
		Data: []byte(data),
	}
}

func eventText(seq int, data string) string {
	return fmt.Sprintf(`{"event":{"room":"booking.42","type":"status","seq":%d,"cursor":"e-%d-%s","time":"1970-01-01T00:00:00.000Z","data":%s}}`,
		seq, seq, base36(seq), data)
}

func base36(n int) string { return strconv.FormatInt(int64(n), 36) }

func (e *edge) tlsConfig() *tls.Config {
	if transport, ok := e.server.Client().Transport.(*http.Transport); ok {
		return transport.TLSClientConfig
	}
	return nil
}
