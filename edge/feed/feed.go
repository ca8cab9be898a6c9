package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
)

var (
	_ hub.Feed    = (*Feed)(nil)
	_ hub.History = (*Feed)(nil)
)

// Feed is the stream as this edge follows it, and the way to what is older.
// Make it with New, run it with Run.
type Feed struct {
	// static after New and Attach
	cfg     Config
	nc      *nats.Conn
	log     *slog.Logger
	metrics *metrics
	leader  stream.Leader
	direct  *direct
	decode  *decoder
	tail    *tail
	window  *window
	pulse   *pulse
	end     *question
	readers []func()

	waking  sync.Mutex // readers are woken by one goroutine at a time
	running atomic.Bool
}

// New makes a feed on a connection that reconnects for ever
// (nats.MaxReconnects(-1)). It need not be connected yet. The configuration
// must be valid.
func New(cfg Config, nc *nats.Conn, log *slog.Logger, reg prometheus.Registerer) *Feed {
	log = log.With("component", "feed")
	f := &Feed{
		cfg: cfg, nc: nc, log: log,
		leader: stream.NewLeader(nc, cfg.Stream),
		direct: newDirect(nc, cfg.Stream),
		decode: newDecoder(cfg.Kinds, log),
		window: newWindow(cfg.RingBytes),
		pulse:  newPulse(cfg),
		end:    newQuestion(),
	}
	f.metrics = newMetrics(reg, f.window)
	f.tail = &tail{
		nc: nc, stream: cfg.Stream, log: log, decode: f.decode, opened: f.metrics.consumers,
		next:       func() uint64 { return f.window.mark().last + 1 },
		verify:     f.verify,
		take:       f.take,
		idle:       f.idle,
		msgs:       make(chan *nats.Msg, tailQueue),
		interrupts: make(chan interrupt, 1),
		batch:      make([]arrival, 0, maxBurst),
	}
	return f
}

// Run follows the stream until ctx ends, and returns when every goroutine of
// the feed is gone. A missing broker, stream or epoch is logged and waited
// for. It returns an error if the server is too old or the stream is not set
// as the fabric needs it (stream.ErrServerVersion, stream.ErrStreamSettings),
// and if the connection is closed for good.
func (f *Feed) Run(ctx context.Context) error {
	js, err := jetstream.New(f.nc)
	if err != nil {
		return fmt.Errorf("follow stream %s: %w", f.cfg.Stream, err)
	}
	f.tail.js = js
	replies, err := f.direct.subscribe()
	if err != nil {
		return fmt.Errorf("follow stream %s: %w", f.cfg.Stream, err)
	}
	f.running.Store(true)
	defer f.running.Store(false)
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { f.direct.run(ctx, replies) })
	wg.Go(func() { f.watch(ctx) })
	wg.Go(func() { f.check(ctx) })
	err = f.follow(ctx)
	cancel()
	wg.Wait()
	return err
}

// follow takes up one history after another.
func (f *Feed) follow(ctx context.Context) error {
	for first := true; ; first = false {
		o, err := f.await(ctx, first)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		f.window.begin(o)
		f.wake()
		f.log.Info("following the stream", "stream", f.cfg.Stream, "epoch", o.epoch.Epoch, "from", o.start, "seq", o.end)
		err = f.tail.run(ctx, func() uint64 { return f.window.look().Gen })
		if ctx.Err() != nil {
			return nil
		}
		f.metrics.resets.Inc()
		f.log.Error("every session starts anew", "stream", f.cfg.Stream, "err", err)
	}
}

// take gets what the tail brings, in its goroutine.
func (f *Feed) take(batch []arrival) error {
	now := time.Now()
	was := f.window.look().Epoch
	missing, err := f.window.add(batch, now)
	f.metrics.messages.Add(float64(len(batch)))
	if missing > 0 {
		f.metrics.holes.Inc()
		f.log.Warn("the stream dropped messages before they were read; rooms are resumed from history", "messages", missing, "seq", batch[len(batch)-1].Seq)
	}
	if e := f.window.look().Epoch; e != was {
		f.log.Warn("a new epoch has begun", "epoch", e)
	}
	f.pulse.message(now)
	f.wake()
	return err
}

// idle notes that the tail is alive and at its end.
func (f *Feed) idle() {
	f.pulse.beat(time.Now())
	if f.window.idle() {
		f.wake()
	}
}

// Attach implements hub.Feed.
func (f *Feed) Attach(wake func()) { f.readers = append(f.readers, wake) }

func (f *Feed) wake() {
	f.waking.Lock()
	defer f.waking.Unlock()
	for _, wake := range f.readers {
		wake()
	}
}

// View implements hub.Feed.
func (f *Feed) View() hub.View { return f.alive(f.window.look()) }

// alive adds what the pulse knows.
func (f *Feed) alive(v hub.View) hub.View {
	p := f.pulse.look()
	v.Stale, v.Since, v.Away = p.stale, p.since, p.away
	return v
}

// Read implements hub.Feed. A fabric.position and a message of an unknown
// subject come without name and data.
func (f *Feed) Read(gen, after uint64, buf []*hub.Message) ([]*hub.Message, hub.View, bool) {
	msgs, v, ok := f.window.read(gen, after, buf)
	return msgs, f.alive(v), ok
}

// Room implements hub.Feed.
func (f *Feed) Room(gen uint64, room subjects.Room, after, upTo uint64, buf []*hub.Message) ([]*hub.Message, bool) {
	return f.window.room(gen, room, after, upTo, buf)
}

// Agrees implements hub.Feed.
func (f *Feed) Agrees(gen, seq uint64, stamp int64) bool { return f.window.agrees(gen, seq, stamp) }

// reachable returns why nobody can be asked at the moment, nil if somebody can.
func (f *Feed) reachable() error {
	switch {
	case !f.running.Load():
		return errNotRunning
	case !f.nc.IsConnected():
		return nats.ErrDisconnected
	}
	return nil
}

// errNotRunning: answers come in through what Run runs.
var errNotRunning = errors.New("the feed does not run")

// unavailable wraps what kept the broker from answering.
func unavailable(doing string, err error) error {
	if errors.Is(err, hub.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%s: %w: %w", doing, hub.ErrUnavailable, err)
}
