package feed_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/petpro/fabric/edge/feed"
	"github.com/petpro/fabric/edge/feed/feedtest"
	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
	"github.com/petpro/fabric/test/natstest"
)

const (
	streamName = "FABRIC"
	retention  = 24 * time.Hour
	patience   = 30 * time.Second
)

func TestContract(t *testing.T) {
	feedtest.Test(t, func(t *testing.T, l feedtest.Limits) *feedtest.Harness {
		r := prepare(t, l.Keep)
		r.cfg.RingBytes, r.cfg.ReplayEvents, r.cfg.ReplayBytes = l.RingBytes, l.ReplayEvents, l.ReplayBytes
		f := r.feed(t)
		return &feedtest.Harness{
			Feed: f, History: f, Retention: retention,
			Start: func() { r.start(t, f) },
			Publish: func(subject, data string, at time.Time) uint64 {
				return r.publishAt(t, subject, data, at)
			},
			NewEpoch: func() (string, uint64) { return r.newEpoch(t) },
		}
	})
}

// rig is a server with the stream, and one connection each for publisher and
// edge.
type rig struct {
	ns   *natstest.Server
	pub  *nats.Conn
	js   jetstream.JetStream
	edge *nats.Conn
	keep int
	cfg  feed.Config
	reg  *prometheus.Registry // of the last feed made
}

func prepare(t testing.TB, keep int, opts ...natstest.Option) *rig {
	t.Helper()
	ns := natstest.Run(t, opts...)
	r := &rig{ns: ns, pub: ns.Conn(t), edge: ns.Conn(t), keep: keep, cfg: feed.DefaultConfig()}
	var err error
	if r.js, err = jetstream.New(r.pub); err != nil {
		t.Fatal(err)
	}
	r.provision(t)
	return r
}

// provision makes the stream and its first epoch.
func (r *rig) provision(t testing.TB) {
	t.Helper()
	cfg := stream.Config{Name: streamName, Kinds: r.cfg.Kinds, Keep: r.keep, Retention: retention, Replicas: 1}
	if _, err := stream.Ensure(t.Context(), r.pub, cfg); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) feed(t testing.TB) *feed.Feed {
	t.Helper()
	r.reg = prometheus.NewRegistry()
	return feed.New(r.cfg, r.edge, logger(), r.reg)
}

// metric reads a counter or gauge of the last feed made.
func (r *rig) metric(t testing.TB, name string) float64 {
	t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// logger is silent unless -v is given through FEED_TEST_LOG=1.
func logger() *slog.Logger {
	if os.Getenv("FEED_TEST_LOG") == "" {
		return slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// start runs f until the test ends or the returned function is called, which
// waits for it.
func (r *rig) start(t testing.TB, f *feed.Feed) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := f.Run(ctx); err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	stop = func() {
		cancel()
		wg.Wait()
	}
	t.Cleanup(stop)
	return stop
}

// running is a feed that runs and is ready.
func (r *rig) running(t testing.TB) *feed.Feed {
	t.Helper()
	f := r.feed(t)
	r.start(t, f)
	await(t, f, "ready", func(v hub.View) bool { return v.Ready })
	return f
}

func (r *rig) publish(t testing.TB, subject, data string) uint64 {
	t.Helper()
	return r.publishAt(t, subject, data, time.Time{})
}

func (r *rig) publishAt(t testing.TB, subject, data string, at time.Time) uint64 {
	t.Helper()
	m := nats.NewMsg(subject)
	m.Data = []byte(data)
	if !at.IsZero() {
		m.Header.Set(subjects.TimeHeader, at.UTC().Format(time.RFC3339Nano))
	}
	ack, err := r.js.PublishMsg(context.Background(), m)
	if err != nil {
		t.Errorf("publish %s: %v", subject, err)
		return 0
	}
	return ack.Sequence
}

// publishMany appends n messages and returns the sequence of the last. It waits
// for some acknowledgements only: the server drops what it cannot buffer.
func (r *rig) publishMany(t testing.TB, n int, subject func(i int) string, data string) (seq uint64) {
	t.Helper()
	const unacknowledged = 500
	for i := range n {
		if i%unacknowledged == unacknowledged-1 || i == n-1 {
			seq = r.publish(t, subject(i), data)
		} else if err := r.pub.Publish(subject(i), []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	return seq
}

func (r *rig) newEpoch(t testing.TB) (string, uint64) {
	t.Helper()
	e := stream.NewEpoch("test", r.keep, retention)
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return e.Epoch, r.publish(t, subjects.EpochSubject, string(data))
}

// reconnected waits until the publisher's connection lives again after the
// server was away.
func (r *rig) reconnected(t testing.TB) {
	t.Helper()
	eventually(t, "connected again", func() bool { return r.pub.FlushTimeout(time.Second) == nil })
}

// await polls the view.
func await(t testing.TB, f hub.Feed, what string, ok func(hub.View) bool) hub.View {
	t.Helper()
	var v hub.View
	eventually(t, what, func() bool { v = f.View(); return ok(v) })
	return v
}

func reach(t testing.TB, f hub.Feed, seq uint64) hub.View {
	t.Helper()
	return await(t, f, "at the end of the stream", func(v hub.View) bool { return v.Ready && v.Last >= seq })
}

// eventually polls a condition until it holds, and fails the test if it takes
// too long.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not %s after %s", what, patience)
		}
	}
}
