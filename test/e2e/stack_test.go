package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/petpro/fabric/config"
	"github.com/petpro/fabric/edge"
	"github.com/petpro/fabric/edge/auth"
	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/ingest"
	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
	"github.com/petpro/fabric/test/natstest"
	"github.com/petpro/fabric/test/shoptest"
)

const secret = "a secret of the tests, 32 bytes and more"

// stack is the whole fabric in one process, on real parts.
type stack struct {
	t     testing.TB
	nats  *natstest.Server
	nc    *nats.Conn
	shop  *shoptest.Shop // written to by an outside writer
	state string         // the publisher's state directory
	edges []*node
	pub   *part

	markers   int // see quiet
	kind      shoptest.Kind
	schema    shoptest.Schema
	mapping   []byte        // of a configuration file
	nobody    string        // user of the markers
	delay     time.Duration // of confirmations
	keep      int
	ring      int
	edit      func(*edge.Config)
	noPublish bool
}

// option changes a stack before it starts.
type option func(*stack)

func on(kind shoptest.Kind) option            { return func(s *stack) { s.kind = kind } }
func withKeep(n int) option                   { return func(s *stack) { s.keep = n } }
func withRing(bytes int) option               { return func(s *stack) { s.ring = bytes } }
func withEdge(edit func(*edge.Config)) option { return func(s *stack) { s.edit = edit } }
func withConfirmDelay(d time.Duration) option { return func(s *stack) { s.delay = d } }
func withoutPublisher() option                { return func(s *stack) { s.noPublish = true } }

// withTables makes a shop of another form than that of PetPro's migrations.
func withTables(schema shoptest.Schema, mapping []byte) option {
	return func(s *stack) { s.schema, s.mapping = schema, mapping }
}

// withNobody names the user whom quiet may notify, where ids are not any text.
func withNobody(user string) option { return func(s *stack) { s.nobody = user } }

// part is something that runs until it is stopped.
type part struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

func run(f func(context.Context) error) *part {
	ctx, cancel := context.WithCancel(context.Background())
	p := &part{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = f(ctx)
	}()
	return p
}

func (p *part) stop() error {
	p.cancel()
	<-p.done
	return p.err
}

// node is one edge.
type node struct {
	*part
	srv *edge.Server
	url string
}

// start brings up NATS, a shop with n bookings b_0… of customer carl and
// vendor vera, the publisher and two edges.
func start(t testing.TB, bookings int, opts ...option) *stack {
	t.Helper()
	s := &stack{t: t, kind: shoptest.SQLite, schema: shoptest.Services, mapping: config.PetPro, nobody: "nobody", keep: 128, ring: 16 << 20}
	for _, o := range opts {
		o(s)
	}
	s.nats = natstest.Run(t)
	s.nc = s.nats.Conn(t)
	s.openShop(bookings)
	if !s.noPublish {
		s.publish()
	}
	t.Cleanup(s.stop)
	for range 2 {
		if !s.noPublish {
			s.addEdge()
		}
	}
	return s
}

func (s *stack) openShop(bookings int) {
	s.t.Helper()
	s.state = filepath.Join(s.t.TempDir(), "state")
	s.shop = shoptest.New(s.t, s.kind, s.schema)
	for i := range bookings {
		s.exec(`INSERT INTO bookings (id, user_id, service_id, status, updated_at) VALUES (?, 'carl', 's_1', 'pending', CURRENT_TIMESTAMP)`, id(i))
	}
	s.shop.Prepare(s.t, s.publisherConfig().Mapping)
}

// id of the i-th booking, and its room.
func id(i int) string   { return fmt.Sprintf("b_%d", i) }
func room(i int) string { return "booking." + id(i) }

func (s *stack) exec(query string, args ...any) {
	s.t.Helper()
	s.shop.Exec(s.t, query, args...)
}

// set changes a booking's status as any client of the database would.
func (s *stack) set(booking int, status string) {
	s.t.Helper()
	s.exec(`UPDATE bookings SET status = ?, updated_at = CURRENT_TIMESTAMP WHERE id = ?`, status, id(booking))
}

// config of the publisher, which tests may read.
func (s *stack) publisherConfig() publisher.Config {
	s.t.Helper()
	m, err := config.ParseMapping(s.mapping)
	if err != nil {
		s.t.Fatal(err)
	}
	cfg := publisher.DefaultConfig()
	cfg.Mapping, cfg.Keep, cfg.ConfirmDelay = m, s.keep, s.delay
	cfg.State = s.state
	cfg.Sources = []publisher.SourceConfig{s.shop.SourceConfig(), {Name: "ingest", Kind: "ingest"}}
	return cfg
}

// publish starts the publisher and waits for its initial publication.
func (s *stack) publish() {
	s.t.Helper()
	cfg := s.publisherConfig()
	p, err := s.newPublisher(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.pub = run(p.Run)
	select {
	case <-p.Initial():
	case <-s.pub.done:
		s.t.Fatalf("the publisher ended: %v", s.pub.err)
	case <-time.After(within):
		s.t.Fatal("the initial publication is not complete")
	}
}

// newPublisher wires a publisher as cmd/publisher does.
func (s *stack) newPublisher(cfg publisher.Config) (*publisher.Publisher, error) {
	mapper, err := publisher.NewMapper(cfg.Mapping, cfg.Kinds, cfg.MaxPayload)
	if err != nil {
		return nil, err
	}
	log, reg := logger(s.t), prometheus.NewRegistry()
	own, err := ingest.New(ingest.Config{Name: "ingest", Stream: cfg.IngestStream, Kinds: cfg.Kinds, MaxPayload: cfg.MaxPayload}, s.nc, log, reg)
	if err != nil {
		return nil, err
	}
	rows, err := s.shop.Source(cfg.Mapping, log, reg)
	if err != nil {
		return nil, err
	}
	return publisher.New(cfg, s.nc, []publisher.Source{rows, own}, mapper, log, reg)
}

// addEdge starts one more edge and waits until it is ready.
func (s *stack) addEdge() *node {
	s.t.Helper()
	cfg := edge.DefaultConfig()
	cfg.Listen, cfg.AdminListen = "127.0.0.1:0", ""
	cfg.Feed.RingBytes = s.ring
	cfg.DrainDelay, cfg.DrainWindow = 0, 500*time.Millisecond
	cfg.Auth.Keys = []auth.Key{{Algorithms: []string{"HS256"}, Secret: secret}}
	cfg.Auth.AdminRoles = []string{"admin"}
	if s.edit != nil {
		s.edit(&cfg)
	}
	nc := s.nats.Conn(s.t)
	srv, err := edge.New(cfg, nc, logger(s.t), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	n := &node{part: run(srv.Run), srv: srv}
	select {
	case <-srv.Ready():
	case <-n.done:
		s.t.Fatalf("the edge ended: %v", n.err)
	case <-time.After(within):
		s.t.Fatal("the edge is not ready")
	}
	n.url = "http://" + srv.Addr()
	s.edges = append(s.edges, n)
	return n
}

func (s *stack) stop() {
	for _, n := range s.edges {
		if err := n.part.stop(); err != nil {
			s.t.Errorf("edge: %v", err)
		}
	}
	if s.pub != nil {
		if err := s.pub.stop(); err != nil {
			s.t.Errorf("publisher: %v", err)
		}
	}
}

// settle waits until both edges have read all that the stream holds now.
func (s *stack) settle() {
	s.t.Helper()
	end := s.end()
	s.await("the edges at the end of the stream", func() bool {
		for _, n := range s.edges {
			if n.srv.Watermark() < end {
				return false
			}
		}
		return true
	})
}

// end is the stream's last sequence.
func (s *stack) end() uint64 {
	s.t.Helper()
	st, err := stream.NewLeader(s.nc, "FABRIC").State(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return st.Last
}

// published waits until the stream's last value of a booking is status.
func (s *stack) published(booking int, status string) uint64 {
	s.t.Helper()
	var seq uint64
	js, err := jetstream.New(s.nc)
	if err != nil {
		s.t.Fatal(err)
	}
	s.await(fmt.Sprintf("%s %q in the stream", id(booking), status), func() bool {
		st, err := js.Stream(s.t.Context(), "FABRIC")
		if err != nil {
			return false
		}
		m, err := st.GetLastMsgForSubject(s.t.Context(), subjects.Room(room(booking)).Subject("status"))
		if err != nil {
			return false
		}
		var p struct{ Status string }
		json.Unmarshal(m.Data, &p)
		seq = m.Sequence
		return p.Status == status
	})
	return seq
}

// await polls for a condition.
func (s *stack) await(what string, ok func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(within)
	for !ok() {
		if time.Now().After(deadline) {
			s.t.Fatalf("no %s within %s", what, within)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// token for a user; it lives an hour.
func token(t testing.TB, user string, opts ...string) string {
	t.Helper()
	return tokenFor(t, user, nil, nil, time.Hour)
}

func tokenFor(t testing.TB, user string, roles, rooms []string, ttl time.Duration) string {
	t.Helper()
	tok, err := auth.Mint([]byte(secret), user, roles, rooms, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// readyz asks an edge for its readiness.
func (n *node) readyz(t testing.TB) (status int, body string) {
	t.Helper()
	resp, err := http.Get(n.url + "/readyz")
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

// logger writes to the test's log; -v shows it, a failure too. FABRIC_TEST_LOG
// chooses another level than warn.
func logger(t testing.TB) *slog.Logger {
	level := slog.LevelWarn
	if v := os.Getenv("FABRIC_TEST_LOG"); v != "" {
		level.UnmarshalText([]byte(v))
	}
	w := &testWriter{t: t}
	t.Cleanup(w.end)
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// testWriter stops writing when the test is over: what ends after it must not
// panic.
type testWriter struct {
	t     testing.TB
	mu    sync.Mutex
	ended bool
}

func (w *testWriter) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
}

func (w *testWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended {
		w.t.Log(string(bytes.TrimSpace(b)))
	}
	return len(b), nil
}

// settleAfter waits until a booking's status is in the stream and everything
// of it on both edges.
func (s *stack) settleAfter(booking int, status string) {
	s.t.Helper()
	s.published(booking, status)
	s.quiet()
	s.settle()
}

// quiet waits until the publisher has published all that is in the shop: a
// notification for nobody comes last.
func (s *stack) quiet() {
	s.t.Helper()
	s.exec(`INSERT INTO notifications (user_id, type, title, message) VALUES (?, 'MARKER', 'marker', '')`, s.nobody)
	js, err := jetstream.New(s.nc)
	if err != nil {
		s.t.Fatal(err)
	}
	s.markers++
	s.await("the marker in the stream", func() bool {
		st, err := js.Stream(s.t.Context(), "FABRIC")
		if err != nil {
			return false
		}
		subject := "user." + s.nobody + ".notification"
		info, err := st.Info(s.t.Context(), jetstream.WithSubjectFilter(subject))
		return err == nil && info.State.Subjects[subject] >= min(uint64(s.markers), uint64(s.keep))
	})
}
