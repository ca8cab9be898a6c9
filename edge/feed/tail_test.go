package feed_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/edge/feed"
	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/subjects/stream"
	"github.com/petpro/fabric/test/natstest"
)

func status(i int) string { return fmt.Sprintf("booking.%d.status", i) }

// readAll reads from behind after to the watermark and checks that nothing is
// missing.
func readAll(t *testing.T, f hub.Feed, gen, after uint64) []*hub.Message {
	t.Helper()
	msgs, v, ok := f.Read(gen, after, make([]*hub.Message, 0, 10_000))
	if !ok {
		t.Fatalf("Read behind %d is not ok, the view is %+v", after, v)
	}
	for i, m := range msgs {
		if m.Seq != after+1+uint64(i) {
			t.Fatalf("sequence %d came where %d was due", m.Seq, after+1+uint64(i))
		}
	}
	return msgs
}

func TestWarmStart(t *testing.T) {
	t.Run("everything fits", func(t *testing.T) {
		r := prepare(t, 100)
		end := r.publishMany(t, 50, status, `{}`)
		v := reach(t, r.running(t), end)
		if v.From != 1 || v.ExactFrom != end+1 || v.Last != end {
			t.Errorf("From %d, ExactFrom %d, Last %d, want 1, %d, %d", v.From, v.ExactFrom, v.Last, end+1, end)
		}
	})
	t.Run("the stream has skipped sequences below the border", func(t *testing.T) {
		r := prepare(t, 5)
		r.publish(t, "booking.77.status", `{}`)
		end := r.publishMany(t, 50, func(int) string { return "booking.42.status" }, `{}`)
		f := r.running(t)
		v := reach(t, f, end)
		if _, _, ok := f.Read(v.Gen, end-10, make([]*hub.Message, 0, 1)); ok {
			t.Error("Read across dropped messages is ok")
		}
		msgs, ok := f.Room(v.Gen, "booking.42", 1, end, nil)
		if !ok || len(msgs) != 5 {
			t.Errorf("Room = %d messages, %v, want the 5 that are stored", len(msgs), ok)
		}
		next := r.publish(t, "booking.42.status", `{}`)
		reach(t, f, next)
		if got := readAll(t, f, v.Gen, end); len(got) != 1 {
			t.Errorf("Read behind the border = %d messages, want 1", len(got))
		}
	})
	t.Run("the ring is small", func(t *testing.T) {
		r := prepare(t, 100)
		r.cfg.RingBytes = 8 << 10
		end := r.publishMany(t, 300, status, `{}`)
		f := r.running(t)
		v := reach(t, f, end)
		if v.From < end-30 || v.From > end {
			t.Errorf("From = %d with Last = %d, want the last 8 KiB", v.From, end)
		}
	})
	t.Run("more than flow control lets through at once", func(t *testing.T) {
		r := prepare(t, 1000)
		end := r.publishMany(t, 6000, func(i int) string { return status(i % 10) }, strings.Repeat(" ", 1<<10))
		f := r.running(t)
		reach(t, f, end)
		if n := r.metric(t, "fabric_edge_feed_consumers_total"); n != 1 {
			t.Errorf("read through %v consumers, want 1", n)
		}
	})
	t.Run("not from before the epoch", func(t *testing.T) {
		r := prepare(t, 100)
		r.publishMany(t, 20, status, `{}`)
		epoch, seq := r.newEpoch(t)
		end := r.publishMany(t, 5, status, `{}`)
		v := reach(t, r.running(t), end)
		if v.From != seq || v.Epoch != epoch || v.Gen != 1 {
			t.Errorf("From %d, epoch %s, generation %d, want %d, %s, 1", v.From, v.Epoch, v.Gen, seq, epoch)
		}
	})
	t.Run("the end was purged", func(t *testing.T) {
		r := prepare(t, 100)
		end := r.publishMany(t, 10, status, `{}`)
		s, err := r.js.Stream(t.Context(), streamName)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Purge(t.Context(), jetstream.WithPurgeSubject(status(9))); err != nil {
			t.Fatal(err)
		}
		f := r.running(t)
		if v := f.View(); v.Last != end-1 || v.LastStamp == 0 {
			t.Errorf("Last = %d at %d, want %d, the newest that is stored, with its time", v.Last, v.LastStamp, end-1)
		}
	})
}

func TestWaitsForWhatIsMissing(t *testing.T) {
	port := natstest.FreePort(t)
	closed := make(chan struct{})
	edge, err := nats.Connect(fmt.Sprintf("nats://127.0.0.1:%d", port), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.ReconnectWait(20*time.Millisecond), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { edge.Close(); <-closed })
	r := &rig{edge: edge, keep: 10, cfg: feed.DefaultConfig()}
	f := r.feed(t)
	r.start(t, f)
	await(t, f, "away without a broker", func(v hub.View) bool { return v.Away && !v.Ready })

	r.ns = natstest.Run(t, natstest.Port(port))
	r.pub = r.ns.Conn(t)
	if r.js, err = jetstream.New(r.pub); err != nil {
		t.Fatal(err)
	}
	await(t, f, "connected", func(v hub.View) bool { return !v.Away })
	if f.View().Ready {
		t.Error("ready without a stream")
	}
	r.provision(t)
	await(t, f, "ready", func(v hub.View) bool { return v.Ready })
}

func TestRefusesOtherSettings(t *testing.T) {
	r := prepare(t, 10)
	s, err := r.js.Stream(t.Context(), streamName)
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	cfg.AllowDirect = false
	if _, err := r.js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if err := r.feed(t).Run(t.Context()); !errors.Is(err, stream.ErrStreamSettings) {
		t.Errorf("Run = %v, want %v", err, stream.ErrStreamSettings)
	}
}

// TestHole: the stream drops messages while the edge is cut off.
func TestHole(t *testing.T) {
	r := prepare(t, 5)
	g := &gate{}
	r.edge = r.ns.Conn(t, nats.SetCustomDialer(g))
	f := r.running(t)
	before := r.publish(t, "booking.42.status", `{}`)
	old := reach(t, f, before)
	g.shut()
	await(t, f, "away", func(v hub.View) bool { return v.Away })
	end := r.publishMany(t, 20, func(int) string { return "booking.42.status" }, `{}`)
	g.open()
	v := reach(t, f, end)
	if v.Gen != old.Gen {
		t.Fatalf("generation = %d, want %d: a hole is no other history", v.Gen, old.Gen)
	}
	if v.Last != end || v.ExactFrom != end+1 {
		t.Errorf("Last %d, ExactFrom %d, want %d, %d", v.Last, v.ExactFrom, end, end+1)
	}
	if _, _, ok := f.Read(v.Gen, before, make([]*hub.Message, 0, 100)); ok {
		t.Error("Read across the hole is ok")
	}
	if msgs, ok := f.Room(v.Gen, "booking.42", before, end, nil); !ok || len(msgs) != 5 {
		t.Errorf("Room across the hole = %d messages, %v, want the 5 that were left", len(msgs), ok)
	}
	next := r.publish(t, "booking.42.status", `{}`)
	reach(t, f, next)
	readAll(t, f, v.Gen, end)
	if n := r.metric(t, "fabric_edge_feed_holes_total"); n != 1 {
		t.Errorf("%v holes were counted, want 1", n)
	}
}

func TestRestartOfNATS(t *testing.T) {
	r := prepare(t, 1000)
	f := r.running(t)
	first := r.publishMany(t, 50, status, `{}`)
	v := reach(t, f, first)
	r.ns.Restart(t)
	r.reconnected(t)
	last := r.publishMany(t, 50, status, `{}`)
	now := reach(t, f, last)
	if now.Gen != v.Gen {
		t.Errorf("generation = %d, want %d", now.Gen, v.Gen)
	}
	readAll(t, f, v.Gen, 1)
	a, err := f.Fetch(t.Context(), v.Gen, []hub.Ask{{Room: "booking.49", Since: first}})
	if err != nil || len(a.Rooms[0].Newer) != 1 {
		t.Errorf("Fetch after the restart = %+v, %v, want one newer event", a, err)
	}
}

// TestCutsUnderLoad cuts the connection again and again, and the consumer
// itself, while messages are published: none may be missed or repeated.
func TestCutsUnderLoad(t *testing.T) {
	r := prepare(t, 100_000)
	g := &gate{}
	r.edge = r.ns.Conn(t, nats.SetCustomDialer(g))
	f := r.running(t)
	done := make(chan uint64)
	const n = 4000
	go func() {
		var seq uint64
		for i := range n {
			seq = r.publish(t, status(i%10), `{}`)
		}
		done <- seq
	}()
	var end uint64
	for i := 0; end == 0; i++ {
		switch i % 3 {
		case 0:
			g.shut()
			g.open()
		case 1:
			if err := r.edge.ForceReconnect(); err != nil {
				t.Error(err)
			}
		case 2:
			deleteConsumers(t, r.js)
		}
		select {
		case end = <-done:
		case <-time.After(50 * time.Millisecond):
		}
	}
	v := reach(t, f, end)
	if v.Gen != 1 {
		t.Errorf("generation = %d, want 1", v.Gen)
	}
	if got := readAll(t, f, v.Gen, 1); uint64(len(got)) != end-1 {
		t.Errorf("read %d messages, want %d", len(got), end-1)
	}
}

func deleteConsumers(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	s, err := js.Stream(t.Context(), streamName)
	if err != nil {
		t.Fatal(err)
	}
	for name := range s.ConsumerNames(t.Context()).Name() {
		if err := s.DeleteConsumer(t.Context(), name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			t.Error(err)
		}
	}
}

// TestQueueOverflows: readers that hold the tail up make nats.go drop what does
// not fit into its queue. The consumer's own numbers show it.
func TestQueueOverflows(t *testing.T) {
	r := prepare(t, 100_000)
	f := r.feed(t)
	f.QueueOnly(1000)
	var held atomic.Bool
	release := make(chan struct{})
	f.Attach(func() {
		if held.Load() {
			<-release
		}
	})
	r.start(t, f)
	let := sync.OnceFunc(func() { close(release) })
	t.Cleanup(let) // before the feed is stopped
	await(t, f, "ready", func(v hub.View) bool { return v.Ready })
	held.Store(true)
	end := r.publishMany(t, 2500, func(i int) string { return status(i % 10) }, `{}`)
	eventually(t, "dropping", func() bool { return errors.Is(r.edge.LastError(), nats.ErrSlowConsumer) })
	held.Store(false)
	let()
	v := reach(t, f, end)
	got, _, ok := f.Read(v.Gen, 1, make([]*hub.Message, 0, 10_000))
	if v.Gen != 1 || !ok || uint64(len(got)) != end-1 {
		t.Errorf("generation %d, read %d messages, %v, want 1, %d", v.Gen, len(got), ok, end-1)
	}
}

// TestWakesPerBurst: readers are woken for bursts, not for messages.
func TestWakesPerBurst(t *testing.T) {
	r := prepare(t, 100)
	end := r.publishMany(t, 5000, status, `{}`)
	f := r.feed(t)
	var wakes atomic.Int64
	f.Attach(func() { wakes.Add(1) })
	r.start(t, f)
	reach(t, f, end)
	if n := wakes.Load(); n == 0 || n > 2500 {
		t.Errorf("%d wakes for 5000 messages, want some, and far less", n)
	}
}

func TestEndIsSharedAndFresh(t *testing.T) {
	r := prepare(t, 100)
	f := r.running(t)
	var asked atomic.Int64
	sub, err := r.pub.Subscribe("$JS.API.STREAM.INFO."+streamName, func(*nats.Msg) { asked.Add(1) })
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	if err := r.pub.Flush(); err != nil {
		t.Fatal(err)
	}
	seq := r.publish(t, "booking.42.status", `{}`)
	const callers = 200
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			if got, err := f.End(t.Context(), 1); err != nil || got < seq {
				t.Errorf("End = %d, %v, want at least %d", got, err, seq)
			}
		})
	}
	wg.Wait()
	if n := asked.Load(); n > callers/2 {
		t.Errorf("%d questions for %d callers at a time", n, callers)
	}
}

func TestStale(t *testing.T) {
	t.Parallel()
	r := prepare(t, 100)
	r.cfg.StaleAfter, r.cfg.PositionAfter = 1500*time.Millisecond, 3*time.Second
	f := r.running(t)
	began := time.Now()
	r.publish(t, "fabric.position", "")
	v := await(t, f, "stale without a word of the publisher", func(v hub.View) bool { return v.Stale })
	if v.Away || v.Since.IsZero() {
		t.Errorf("view = %+v, want not away, and since when", v)
	}
	if d := time.Since(began); d < r.cfg.PositionAfter {
		t.Errorf("stale after %s, want not before %s: the consumer was alive", d, r.cfg.PositionAfter)
	}
	r.publish(t, "fabric.position", "")
	if v := await(t, f, "fresh", func(v hub.View) bool { return !v.Stale }); !v.Since.IsZero() {
		t.Errorf("since %s although fresh", v.Since)
	}
	r.ns.Stop()
	await(t, f, "away", func(v hub.View) bool { return v.Away })
	await(t, f, "stale without a broker", func(v hub.View) bool { return v.Stale })
	r.ns.Start(t)
	await(t, f, "fresh with the broker", func(v hub.View) bool { return !v.Away && !v.Stale })
}

func TestStopsAtOnceWithoutBroker(t *testing.T) {
	r := prepare(t, 100)
	f := r.feed(t)
	stop := r.start(t, f)
	await(t, f, "ready", func(v hub.View) bool { return v.Ready })
	r.ns.Stop()
	await(t, f, "away", func(v hub.View) bool { return v.Away })
	began := time.Now()
	stop()
	if d := time.Since(began); d > time.Second {
		t.Errorf("Run returned after %s", d)
	}
}

func TestRunEndsWithTheConnection(t *testing.T) {
	r := prepare(t, 100)
	edge, err := nats.Connect(r.ns.URL())
	if err != nil {
		t.Fatal(err)
	}
	r.edge = edge
	edge.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.feed(t).Run(ctx); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("Run on a closed connection = %v, want %v", err, nats.ErrConnectionClosed)
	}
}
