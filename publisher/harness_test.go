package publisher_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
	"github.com/petpro/fabric/test/natstest"
)

// patience is how long a test waits for what should take milliseconds.
const patience = 30 * time.Second

// shop is a NATS server and what its publishers are made of.
type shop struct {
	t  testing.TB
	ns *natstest.Server
	nc *nats.Conn // for looking at the stream
	// connect makes the connection of a publisher.
	connect func() *nats.Conn
	cfg     publisher.Config
	logs    *syncBuffer
	reg     *prometheus.Registry // of the next publisher; nil for one of its own
}

func newShop(t testing.TB, opts ...natstest.Option) *shop {
	t.Helper()
	return newShopOn(t, natstest.Run(t, opts...))
}

func newShopOn(t testing.TB, ns *natstest.Server) *shop {
	t.Helper()
	cfg := publisher.DefaultConfig()
	cfg.State = t.TempDir()
	cfg.ConfirmDelay = 0
	cfg.Keep = 100_000 // the verifier wants to see every message
	cfg.Mapping = bookings
	cfg.Sources = []publisher.SourceConfig{{Name: "petpro", Kind: publisher.KindSQLite, SQLite: publisher.SQLiteConfig{Path: "unused"}}}
	return &shop{
		t: t, ns: ns, nc: ns.Conn(t), cfg: cfg, logs: &syncBuffer{},
		connect: func() *nats.Conn { return ns.Conn(t) },
	}
}

// running is a publisher under way.
type running struct {
	*publisher.Publisher
	t      testing.TB
	cancel context.CancelFunc
	done   chan struct{}
	err    error // of Run, once done is closed
}

// start runs a publisher with a connection of its own; it is stopped when the
// test ends. adjust may use the test seams.
func (s *shop) start(sources []publisher.Source, adjust ...func(*publisher.Publisher)) *running {
	s.t.Helper()
	return s.startWith(mapper(s.t), sources, adjust...)
}

func (s *shop) startWith(m publisher.Mapper, sources []publisher.Source, adjust ...func(*publisher.Publisher)) *running {
	s.t.Helper()
	log := slog.New(slog.NewTextHandler(s.logs, nil))
	reg := s.reg
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	p, err := publisher.New(s.cfg, s.connect(), sources, m, log, reg)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range adjust {
		f(p)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Publisher: p, t: s.t, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = p.Run(ctx)
	}()
	s.t.Cleanup(func() {
		cancel()
		<-r.done
	})
	return r
}

// stop ends the publisher and fails the test if it ended otherwise.
func (r *running) stop() {
	r.t.Helper()
	r.cancel()
	<-r.done
	if r.err != nil {
		r.t.Fatalf("Run = %v", r.err)
	}
}

// ended waits for Run to return by itself.
func (r *running) ended() error {
	r.t.Helper()
	select {
	case <-r.done:
		return r.err
	case <-time.After(patience):
		r.t.Fatal("Run does not end")
		return nil
	}
}

// eventually polls until f is true.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// published waits until everything in the log of src is in the stream.
func (s *shop) published(src *script) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !s.stands(src); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			end, err := stream.NewLeader(s.nc, s.cfg.Stream).Standing(s.t.Context(), nil)
			s.t.Fatalf("the stream stands at %q (%v), the source at %d\n%s", end.Position, err, src.end(), s.logs)
		}
	}
}

// stands says whether the stream's position is that of the newest entry.
func (s *shop) stands(src *script) bool {
	end, err := stream.NewLeader(s.nc, s.cfg.Stream).Standing(s.t.Context(), nil)
	return err == nil && strings.Contains(end.Position, fmt.Sprintf("%s=%d/0/*;", src.name, src.end()))
}

// read returns every stored message, in order.
func (s *shop) read() []*msg {
	s.t.Helper()
	js, err := jetstream.New(s.nc)
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := js.CreateConsumer(s.t.Context(), s.cfg.Stream, jetstream.ConsumerConfig{AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1})
	if err != nil {
		s.t.Fatal(err)
	}
	end, err := stream.NewLeader(s.nc, s.cfg.Stream).State(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	// What the consumer takes for the end may be that of a replica which lags.
	var msgs []*msg
	for seq := uint64(0); seq < end.Last; {
		batch, err := c.Fetch(int(end.Last-seq), jetstream.FetchMaxWait(time.Second))
		if err != nil {
			s.t.Fatal(err)
		}
		for m := range batch.Messages() {
			meta, err := m.Metadata()
			if err != nil {
				s.t.Fatal(err)
			}
			msgs = append(msgs, &msg{Subject: m.Subject(), Sequence: meta.Sequence.Stream, Header: m.Headers(), Data: m.Data(), Time: meta.Timestamp})
			seq = meta.Sequence.Stream
		}
		if batch.Error() != nil {
			s.t.Fatal(batch.Error())
		}
	}
	if err := js.DeleteConsumer(s.t.Context(), s.cfg.Stream, c.CachedInfo().Name); err != nil {
		s.t.Fatal(err)
	}
	return msgs
}

// events lists "<booking> <version>" of the status events, and of the
// notifications, in stream order.
func events(t testing.TB, msgs []*msg) (statuses, notifications []string) {
	t.Helper()
	for _, m := range msgs {
		n, err := subjects.Kinds{"booking"}.Parse(m.Subject)
		if err != nil {
			continue // written by a test
		}
		var body struct{ Version, Message string }
		switch {
		case n.Class != subjects.Event:
		case json.Unmarshal(m.Data, &body) != nil:
		case n.Type == subjects.StatusType && body.Version != "":
			statuses = append(statuses, n.Room.ID()+" "+body.Version)
		case n.Type == subjects.NotificationType:
			notifications = append(notifications, body.Message)
		}
	}
	return statuses, notifications
}

// verifyOnce fails unless every change of src made exactly one status event and
// one notification, in source order, behind its booking's access record, and
// every completed booking has its closing index records.
func (s *shop) verifyOnce(src *script) {
	s.t.Helper()
	msgs := slices.DeleteFunc(s.read(), func(m *msg) bool {
		_, err := publisher.ParsePositions(m.Header.Get(subjects.PositionHeader))
		return err != nil // not the publisher's
	})
	statuses, notifications := events(s.t, msgs)
	if diff := firstDiff(statuses, src.want()); diff != "" {
		s.t.Errorf("status events: %s\n%s", diff, s.logs)
	}
	if diff := firstDiff(notifications, src.want()); diff != "" {
		s.t.Errorf("notifications: %s\n%s", diff, s.logs)
	}
	access, index := map[string]bool{}, map[string]subjects.Index{}
	for _, m := range msgs {
		n, err := subjects.Kinds{"booking"}.Parse(m.Subject)
		switch {
		case err != nil:
		case n.Class == subjects.Grant:
			access[n.Room.ID()] = true
		case n.Class == subjects.Indexed:
			var rec subjects.Index
			if err := json.Unmarshal(m.Data, &rec); err != nil {
				s.t.Errorf("index record %d: %v", m.Sequence, err)
			}
			index[n.Target.ID()+" "+n.Room.ID()] = rec
		case n.Class == subjects.Event && n.Room.Kind() == "booking":
			if !access[n.Room.ID()] {
				s.t.Errorf("message %d: event of %s before its access record", m.Sequence, n.Room)
			}
			if at, err := time.Parse(time.RFC3339Nano, m.Header.Get(subjects.TimeHeader)); err != nil || at.After(m.Time) {
				s.t.Errorf("message %d: time of the change %v (%v), stored at %v", m.Sequence, at, err, m.Time)
			}
		}
	}
	src.mu.Lock()
	defer src.mu.Unlock()
	for booking, row := range src.rows {
		for _, user := range []string{"u_1", "u_2"} {
			if open := row["status"].Text != "completed"; index[booking+" "+user].Open != open {
				s.t.Errorf("last index record of %s for %s: open = %t, want %t", booking, user, !open, open)
			}
		}
	}
}

func firstDiff(got, want []string) string {
	if slices.Equal(got, want) {
		return ""
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			return fmt.Sprintf("%d, want %d; they differ from %d on:\n got %q\nwant %q", len(got), len(want), i,
				got[min(i, len(got)):min(i+8, len(got))], want[min(i, len(want)):min(i+8, len(want))])
		}
	}
	return ""
}

// epochs lists the reasons of the stored epochs, in order.
func epochs(t testing.TB, msgs []*msg) (reasons []string) {
	t.Helper()
	for _, m := range msgs {
		if m.Subject != subjects.EpochSubject {
			continue
		}
		var e subjects.Epoch
		if err := json.Unmarshal(m.Data, &e); err != nil {
			t.Fatal(err)
		}
		reasons = append(reasons, e.Reason)
	}
	return reasons
}

// msg is a message as it is stored.
type msg = jetstream.RawStreamMsg

var discard = slog.New(slog.DiscardHandler)

// syncBuffer collects logs.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
