package ingest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/ingest"
	"github.com/petpro/fabric/publisher/sourcetest"
	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
	"github.com/petpro/fabric/test/natstest"
)

func TestMain(m *testing.M) { natstest.Main(m) }

var discard = slog.New(slog.DiscardHandler)

// service is a NATS server with the streams, and a client that publishes.
type service struct {
	t  *testing.T
	ns *natstest.Server
	js jetstream.JetStream
}

func newService(t *testing.T) *service {
	t.Helper()
	ns := natstest.Run(t)
	_, err := stream.Ensure(t.Context(), ns.Conn(t), stream.Config{
		Name: "FABRIC", Ingest: "INGEST", Kinds: subjects.Kinds{"booking"}, Keep: 1000, Retention: time.Hour, Replicas: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &service{t: t, ns: ns, js: ns.JS(t)}
}

func (s *service) source(log *slog.Logger, reg prometheus.Registerer) *ingest.Source {
	s.t.Helper()
	src, err := ingest.New(ingest.Config{Name: "ingest", Stream: "INGEST", Kinds: subjects.Kinds{"booking"}, MaxPayload: 16 << 10}, s.ns.Conn(s.t), log, reg)
	if err != nil {
		s.t.Fatal(err)
	}
	return src
}

func (s *service) publish(subject, data string) {
	if _, err := s.js.Publish(context.Background(), subject, []byte(data)); err != nil {
		s.t.Errorf("publish %s: %v", subject, err)
	}
}

func TestSource(t *testing.T) {
	sourcetest.Test(t, func(t *testing.T) *sourcetest.Harness {
		s := newService(t)
		return &sourcetest.Harness{
			Open: func() publisher.Source { return s.source(discard, nil) },
			Write: func(ids ...string) {
				for _, id := range ids {
					s.publish("ingest.booking.42.reminder", fmt.Sprintf(`{"id":%q,"filler":%q}`, id, sourcetest.Filler))
				}
			},
			ID: func(e publisher.Entry) string {
				var body struct{ ID string }
				if err := json.Unmarshal(e.Direct.Data, &body); err != nil {
					t.Errorf("payload of %s: %v", e.Place, err)
				}
				return body.ID
			},
			Prune: func(place string) {
				seq, err := strconv.ParseUint(place, 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				st, err := s.js.Stream(t.Context(), "INGEST")
				if err != nil {
					t.Fatal(err)
				}
				if err := st.Purge(t.Context(), jetstream.WithPurgeSequence(seq+1)); err != nil {
					t.Fatal(err)
				}
			},
			Future: "1000000",
			Memory: 32 << 20, // the server lives in this process
		}
	})
}

// TestCarriedOnce runs a whole publisher over INGEST, restarts it and NATS, and
// looks for each valid message once and in order in FABRIC.
func TestCarriedOnce(t *testing.T) {
	s := newService(t)
	cfg := publisher.DefaultConfig()
	cfg.State, cfg.Keep, cfg.Retention, cfg.ConfirmDelay = t.TempDir(), 1000, time.Hour, 0
	cfg.Sources = []publisher.SourceConfig{{Name: "ingest", Kind: publisher.KindIngest}}
	run := func() (stop func()) {
		p, err := publisher.New(cfg, s.ns.Conn(t), []publisher.Source{s.source(discard, nil)}, unmapped{}, discard, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		var once sync.Once
		stop = func() {
			once.Do(func() {
				cancel()
				if err := <-done; err != nil {
					t.Errorf("Run = %v", err)
				}
			})
		}
		t.Cleanup(stop)
		return stop
	}
	s.publish("ingest.booking.42.reminder", `{"n":0}`) // before any publisher has run
	var want []string
	stop := run()
	for i := 1; i <= 300; i++ {
		want = append(want, fmt.Sprintf(`{"n":%d}`, i-1))
		s.publish("ingest.booking.42.reminder", fmt.Sprintf(`{ "n": %d }`, i))
		switch i % 100 {
		case 30:
			s.publish("ingest.booking.42.reminder", `not JSON`)
			stop()
			stop = run()
		case 60:
			s.ns.Restart(t)
			waitReady(t, s)
		}
	}
	want = append(want, `{"n":300}`)
	s.publish("ingest.user.u_7.control", `{"notBefore":1700000000}`)

	leader := stream.NewLeader(s.ns.Conn(t), "FABRIC")
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		if _, err := leader.Last(t.Context(), "user.u_7.control"); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the last message was not carried over")
		}
	}
	var got []string
	for seq := uint64(1); ; seq++ {
		m, err := leader.Next(t.Context(), seq, "booking.*.reminder")
		if errors.Is(err, stream.ErrNotFound) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if m.Header.Get(subjects.TimeHeader) == "" {
			t.Errorf("message %d has no %s", m.Sequence, subjects.TimeHeader)
		}
		got, seq = append(got, string(m.Data)), m.Sequence
	}
	if g, w := strings.Join(got, " "), strings.Join(want, " "); g != w {
		t.Errorf("carried over:\n%s\nwant\n%s", g, w)
	}
}

// waitReady waits until the client is connected again.
func waitReady(t *testing.T, s *service) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := s.js.Stream(t.Context(), "INGEST"); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the stream does not come back")
		}
	}
}

// unmapped passes on what needs no mapping.
type unmapped struct{}

func (unmapped) Map(e publisher.Entry) ([]publisher.Message, error) {
	if e.Direct == nil {
		return nil, nil
	}
	return []publisher.Message{*e.Direct}, nil
}
func (unmapped) Hash() string          { return "none" }
func (unmapped) Forget()               {}
func (unmapped) Recall(publisher.Past) {}

func TestRefusedLoudly(t *testing.T) {
	s := newService(t)
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	src := s.source(slog.New(slog.NewTextHandler(&log, nil)), reg)
	s.publish("ingest.booking.42.access", `{"participants":{"u_evil":"vendor"}}`)
	s.publish("ingest.booking.42.reminder", `{"cut`)
	s.publish("ingest.booking.42.reminder", `"`+strings.Repeat("x", 20<<10)+`"`)
	s.publish("ingest.booking.42.reminder", `{}`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var entries []publisher.Entry
	err := src.Run(ctx, "0", func(e publisher.Entry) error {
		if entries = append(entries, e); e.Direct != nil {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || len(entries) != 4 || entries[3].Place != "4" {
		t.Fatalf("Run = %v after %+v, want four entries, the last one carried", err, entries)
	}
	for _, want := range []string{"subject=ingest.booking.42.access seq=1", "only the publisher writes these records", "not JSON", "publisher.max_payload is 16384"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log lacks %q:\n%s", want, log.String())
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]float64{}
	for _, m := range families[0].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "reason" {
				reasons[l.GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	for _, reason := range []string{"subject", "json", "size"} {
		if reasons[reason] != 1 {
			t.Errorf("refused because of %s = %v, want 1", reason, reasons[reason])
		}
	}
}

func TestStreamIsGone(t *testing.T) {
	s := newService(t)
	src := s.source(discard, nil)
	if err := s.js.DeleteStream(t.Context(), "INGEST"); err != nil {
		t.Fatal(err)
	}
	if err := src.Check(t.Context()); !errors.Is(err, stream.ErrNoStream) {
		t.Errorf("Check = %v, want ErrNoStream", err)
	}
	err := src.Run(t.Context(), "7", func(publisher.Entry) error { return nil })
	if !errors.Is(err, stream.ErrNoStream) {
		t.Errorf("Run = %v, want ErrNoStream", err)
	}
	if err := src.Run(t.Context(), "17/0", nil); err == nil || !strings.Contains(err.Error(), "not a sequence") {
		t.Errorf("Run from another source's place = %v", err)
	}
}

// TestStreamIsGoneWhileRunning: Run must not wait for ever for a consumer that
// went with its stream.
func TestStreamIsGoneWhileRunning(t *testing.T) {
	s := newService(t)
	src := s.source(discard, nil)
	got := make(chan publisher.Entry, 1)
	done := make(chan error, 1)
	go func() {
		done <- src.Run(context.Background(), "0", func(e publisher.Entry) error { got <- e; return nil })
	}()
	s.publish("ingest.booking.42.reminder", `{}`)
	<-got
	if err := s.js.DeleteStream(t.Context(), "INGEST"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err == nil {
			t.Error("Run = nil, want an error")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("Run goes on without its stream")
	}
}
