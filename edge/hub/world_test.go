package hub_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/petpro/fabric/edge/access"
	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/edge/hub/hubtest"
	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/subjects"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// options of a world; zero values are the usual ones.
type options struct {
	keep      int           // 10
	retention time.Duration // 90 days
	ring      int           // 1000 messages
	config    func(*hub.Config)
	// before fills the stream before the edge warms its ring.
	before func(*hubtest.Stream)
	cold   bool // the edge is not started
}

// world is one stream and one edge, in a bubble.
type world struct {
	*hubtest.Stream
	t    *testing.T
	edge *hubtest.Edge
	hub  *hub.Hub
}

// inWorld runs a test in a bubble with a stream, one edge and its hub.
func inWorld(t *testing.T, o options, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if o.keep == 0 {
			o.keep = 10
		}
		if o.retention == 0 {
			o.retention = 90 * 24 * time.Hour
		}
		if o.ring == 0 {
			o.ring = 1000
		}
		w := &world{Stream: hubtest.NewStream(o.keep, o.retention), t: t}
		w.Settle()
		if o.before != nil {
			o.before(w.Stream)
		}
		w.edge, w.hub = w.start(o)
		f(w)
	})
}

// start runs one more edge on the stream, until the test ends.
func (w *world) start(o options) (*hubtest.Edge, *hub.Hub) {
	cfg := hub.DefaultConfig()
	cfg.Shards = 1
	cfg.Policy = access.Policy{AdminRoles: []string{"admin"}}
	if o.config != nil {
		o.config(&cfg)
	}
	edge := w.Edge(o.ring)
	h := hub.New(cfg, edge, edge, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := h.Run(ctx); err != nil {
			w.t.Errorf("Run = %v", err)
		}
	}()
	w.t.Cleanup(func() {
		cancel()
		<-done
	})
	if !o.cold {
		edge.Start()
	}
	synctest.Wait()
	return edge, h
}

// token is a fresh identity of a user, good for an hour.
func token(user string) access.Identity {
	return access.Identity{User: user, IssuedAt: time.Now(), Expires: time.Now().Add(time.Hour)}
}

// open gives a session without connecting it.
func (w *world) open() *hubtest.Client { return hubtest.Open(w.hub, 256, 64<<10) }

// connect opens a session of ann and connects it, as command 1.
func (w *world) connect(ask hub.ConnectAsk) *hubtest.Client {
	return w.connectAs(token("ann"), ask)
}

func (w *world) connectAs(who access.Identity, ask hub.ConnectAsk) *hubtest.Client {
	synctest.Wait() // the hub has seen what was published
	c := w.open()
	c.Session.Connect(1, who, ask)
	synctest.Wait()
	return c
}

// cursor is the place of a sequence, as a client would have been given it.
func (w *world) cursor(seq uint64) protocol.Cursor { return w.CursorAt(seq) }

// resume asks for bookings from one cursor.
func resume(c protocol.Cursor, ids ...string) hub.ConnectAsk {
	ask := hub.ConnectAsk{Cursor: c}
	for _, id := range ids {
		ask.Rooms = append(ask.Rooms, hub.RoomAsk{Name: "booking." + id, Room: booking(id)})
	}
	return ask
}

// fresh asks for bookings without a cursor.
func fresh(ids ...string) hub.ConnectAsk { return resume(protocol.Cursor{}, ids...) }

func booking(id string) subjects.Room { return subjects.Room("booking." + id) }

// expect compares what a client has read since the last look, line by line.
func (w *world) expect(c *hubtest.Client, want ...string) {
	w.t.Helper()
	synctest.Wait()
	if got := c.Lines(); !slices.Equal(got, want) {
		w.t.Fatalf("the client read\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// expectAnyhow is expect for frames whose order is open.
func (w *world) expectAnyhow(c *hubtest.Client, want ...string) {
	w.t.Helper()
	synctest.Wait()
	got := c.Lines()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.t.Fatalf("the client read, in any order,\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// endsWith checks the last lines that a client has read.
func (w *world) endsWith(c *hubtest.Client, want ...string) {
	w.t.Helper()
	got := c.Lines()
	if got = got[max(len(got)-len(want), 0):]; !slices.Equal(got, want) {
		w.t.Errorf("the client read at the end\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// together publishes so that the hub sees all of it at once.
func (w *world) together(publish func()) {
	w.edge.Lag(true)
	publish()
	w.edge.Lag(false)
	synctest.Wait()
}

// closed checks how the edge has closed a client; 0 = it is open.
func (w *world) closed(c *hubtest.Client, code int) {
	w.t.Helper()
	synctest.Wait()
	got := 0
	if end := c.Closed(); end != nil {
		got = end.Code
	}
	if got != code {
		w.t.Fatalf("the client was closed with %d, want %d", got, code)
	}
}

// tick lets the hub look at what only time changes.
func tick() {
	time.Sleep(time.Second)
	synctest.Wait()
}

// sleepUntil lets the bubble's time pass.
func sleepUntil(t time.Time) {
	time.Sleep(time.Until(t))
	synctest.Wait()
}

func lines(frames []hubtest.Frame) []string {
	var s []string
	for _, f := range frames {
		s = append(s, f.String())
	}
	return s
}

func contains(lines []string, line string) bool { return slices.Contains(lines, line) }

// slow opens a session with a queue of so many frames that is not read.
func (w *world) slow(frames int) *hubtest.Client {
	c := hubtest.Open(w.hub, frames, 64<<10)
	c.Stall(true)
	return c
}

// wait lets the hub do all it can do now.
func (w *world) wait() { synctest.Wait() }
