package test

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/petpro/fabric/edge/feed"
	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
)

// patience is how long anything here may take on a busy machine.
const patience = 20 * time.Second

// broker is a nats-server that runs on deploy/nats.conf, with the passwords of
// docker-compose.yml, but for ports and store.
type broker struct {
	server *server.Server
	// logins are the URLs of the users by name.
	logins map[string]string
}

func startBroker(t *testing.T) broker {
	t.Helper()
	project := compose(t)
	passwords := env(t, service(t, project, "nats"))
	for key, value := range passwords {
		t.Setenv(key, value)
	}
	opts, err := server.ProcessConfigFile(filepath.Join(root, "deploy", "nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	opts.Host, opts.Port, opts.HTTPPort = "127.0.0.1", server.RANDOM_PORT, 0
	opts.StoreDir = t.TempDir()
	opts.NoSigs, opts.NoLog = true, true
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		t.Fatalf("the server is not ready after %s", patience)
	}
	b := broker{server: s, logins: map[string]string{}}
	for user, from := range map[string]string{"publisher": "publisher", "edge": "edge-1", "viewer": "fabric"} {
		b.logins[user] = b.here(t, env(t, service(t, project, from))["FABRIC_NATS_URLS"])
	}
	b.logins["service"] = b.here(t, "nats://service:"+passwords["NATS_SERVICE_PASSWORD"]+"@nats:4222")
	return b
}

// here turns the URL of the compose file into that of the running server.
func (b broker) here(t *testing.T, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = b.server.Addr().String()
	return u.String()
}

// conn connects as one of the users.
func (b broker) conn(t *testing.T, user string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	closed := make(chan struct{})
	opts = append([]nats.Option{
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // asked for with LastError
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }),
	}, opts...)
	nc, err := nats.Connect(b.logins[user], opts...)
	if err != nil {
		t.Fatalf("connect as %s: %v", user, err)
	}
	t.Cleanup(func() {
		nc.Close()
		<-closed
	})
	return nc
}

// provision makes the streams as the publisher does.
func (b broker) provision(t *testing.T) *nats.Conn {
	t.Helper()
	nc := b.conn(t, "publisher")
	_, err := stream.Ensure(t.Context(), nc, stream.Config{
		Name: "FABRIC", Ingest: "INGEST", Kinds: subjects.Kinds{"booking"},
		Keep: 128, Retention: 2160 * time.Hour, Replicas: 1,
	})
	if err != nil {
		t.Fatalf("ensure the streams as publisher: %v", err)
	}
	return nc
}

func TestBrokerSettings(t *testing.T) {
	b := startBroker(t)
	info := b.server.JetStreamConfig()
	if info == nil {
		t.Fatal("JetStream is off")
	}
	if !info.SyncAlways {
		t.Error("does not sync before it acknowledges; publisher.yaml sets confirm_delay 0, which relies on it")
	}
	for name, login := range map[string]string{"nobody": "nats://nats:4222", "a wrong password": "nats://edge:guess@nats:4222"} {
		if nc, err := nats.Connect(b.here(t, login)); !errors.Is(err, nats.ErrAuthorization) {
			nc.Close()
			t.Errorf("connect as %s: %v, want %v", name, err, nats.ErrAuthorization)
		}
	}
}

// TestBrokerPermissions asks the server, one connection per question: a
// refusal is told asynchronously, but before the answer to a ping.
func TestBrokerPermissions(t *testing.T) {
	b := startBroker(t)
	for user, table := range map[string]struct{ may, mayNot, sub, noSub []string }{
		"publisher": {
			may: []string{"booking.42.status", "booking.42.access", "user.u_7.notification", "user.u_7.booking.42",
				"fabric.epoch", "fabric.position", "$JS.API.STREAM.CREATE.INGEST", "$JS.API.STREAM.UPDATE.FABRIC",
				"$JS.API.CONSUMER.CREATE.FABRIC.x", "$JS.API.CONSUMER.MSG.NEXT.FABRIC.x"},
			mayNot: []string{"order.42.status", "ingest.booking.42.status", "$JS.API.STREAM.DELETE.FABRIC",
				"$JS.API.STREAM.PURGE.FABRIC", "$JS.API.STREAM.CREATE.OTHER", "_INBOX.other"},
			sub:   []string{"_INBOX.a.*"},
			noSub: []string{">", "booking.>", "ingest.>"},
		},
		"edge": {
			may: []string{"$JS.API.STREAM.INFO.FABRIC", "$JS.API.STREAM.MSG.GET.FABRIC", "$JS.API.DIRECT.GET.FABRIC",
				"$JS.API.CONSUMER.CREATE.FABRIC.x", "$JS.FC.FABRIC.x.y"},
			mayNot: []string{"booking.42.status", "booking.42.access", "user.u_7.control", "fabric.epoch", "fabric.position",
				"ingest.booking.42.status", "$JS.API.STREAM.CREATE.FABRIC", "$JS.API.STREAM.UPDATE.FABRIC", "$JS.API.STREAM.DELETE.FABRIC",
				"$JS.API.STREAM.PURGE.FABRIC", "$JS.API.STREAM.MSG.DELETE.FABRIC", "$JS.API.STREAM.MSG.GET.INGEST",
				"$JS.API.CONSUMER.CREATE.INGEST.x", "$JS.API.CONSUMER.DELETE.FABRIC.other", "_INBOX.other"},
			sub:   []string{"_INBOX.a.*"},
			noSub: []string{">", "booking.>", "ingest.>", "$JS.>"},
		},
		"viewer": {
			may: []string{"$JS.API.STREAM.INFO.FABRIC", "$JS.API.CONSUMER.CREATE.FABRIC.x", "$JS.API.CONSUMER.INFO.FABRIC.x",
				"$JS.API.CONSUMER.MSG.NEXT.FABRIC.x", "$JS.API.CONSUMER.DELETE.FABRIC.x"},
			mayNot: []string{"booking.42.status", "fabric.epoch", "ingest.booking.42.status", "$JS.API.STREAM.UPDATE.FABRIC",
				"$JS.API.STREAM.DELETE.FABRIC", "$JS.API.STREAM.PURGE.FABRIC", "$JS.API.CONSUMER.CREATE.INGEST.x", "_INBOX.other"},
			sub:   []string{"_INBOX.a.*"},
			noSub: []string{">", "booking.>", "ingest.>"},
		},
		"service": {
			may: []string{"ingest.booking.42.reminder", "ingest.user.u_7.notification", "ingest.user.u_7.control"},
			mayNot: []string{"booking.42.status", "user.u_7.control", "fabric.epoch", "$JS.API.STREAM.INFO.FABRIC",
				"$JS.API.STREAM.MSG.GET.FABRIC", "$JS.API.DIRECT.GET.FABRIC", "$JS.API.CONSUMER.CREATE.FABRIC.x", "$JS.API.INFO", "_INBOX.other"},
			sub:   []string{"_INBOX.a.*"},
			noSub: []string{">", "booking.>", "ingest.>"},
		},
	} {
		t.Run(user, func(t *testing.T) {
			publish := func(subject string) func(*nats.Conn) error {
				return func(nc *nats.Conn) error { return nc.Publish(subject, nil) }
			}
			subscribe := func(subject string) func(*nats.Conn) error {
				return func(nc *nats.Conn) error { _, err := nc.SubscribeSync(subject); return err }
			}
			for _, s := range table.may {
				b.try(t, user, "publish "+s, publish(s), true)
			}
			for _, s := range table.mayNot {
				b.try(t, user, "publish "+s, publish(s), false)
			}
			for _, s := range table.sub {
				b.try(t, user, "subscribe "+s, subscribe(s), true)
			}
			for _, s := range table.noSub {
				b.try(t, user, "subscribe "+s, subscribe(s), false)
			}
		})
	}
}

func (b broker) try(t *testing.T, user, what string, do func(*nats.Conn) error, want bool) {
	t.Helper()
	nc := b.conn(t, user)
	if err := errors.Join(do(nc), nc.FlushTimeout(patience)); err != nil {
		t.Fatalf("%s: %s: %v", user, what, err)
	}
	if err := nc.LastError(); (err == nil) != want || err != nil && !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("%s: %s: %v, want allowed = %v", user, what, err, want)
	}
}

// TestBrokerServices: what a service publishes is acknowledged, stored as it
// was sent and once.
func TestBrokerServices(t *testing.T) {
	b := startBroker(t)
	publisher := b.provision(t)
	js, err := jetstream.New(b.conn(t, "service"))
	if err != nil {
		t.Fatal(err)
	}
	for i, duplicate := range []bool{false, true} {
		ack, err := js.Publish(t.Context(), "ingest.booking.42.reminder", []byte(`{"in":"1h"}`), jetstream.WithMsgID("reminder-1"))
		if err != nil {
			t.Fatalf("publish as service: %v", err)
		}
		if ack.Stream != "INGEST" || ack.Sequence != 1 || ack.Duplicate != duplicate {
			t.Errorf("publish %d: acknowledged as %+v, want sequence 1 of INGEST, duplicate %v", i+1, ack, duplicate)
		}
	}
	m, err := stream.NewLeader(publisher, "INGEST").Get(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if m.Subject != "ingest.booking.42.reminder" || string(m.Data) != `{"in":"1h"}` {
		t.Errorf("stored %s %s", m.Subject, m.Data)
	}
}

// TestBrokerInboxes: a service may subscribe to every inbox, as its client
// library needs, and still hears none of the answers that edges get.
func TestBrokerInboxes(t *testing.T) {
	b := startBroker(t)
	b.provision(t)
	for user, want := range map[string]int{"service": 0, "publisher": 1} {
		nc := b.conn(t, user)
		inboxes, err := nc.SubscribeSync("_INBOX.>")
		if err := errors.Join(err, nc.FlushTimeout(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.NewLeader(b.conn(t, "edge"), "FABRIC").State(t.Context()); err != nil {
			t.Fatalf("ask as edge: %v", err)
		}
		if err := nc.FlushTimeout(patience); err != nil {
			t.Fatal(err)
		}
		if n, _, err := inboxes.Pending(); n != want || err != nil {
			t.Errorf("%s overheard %d answers (%v), want %d", user, n, err, want)
		}
	}
}

// TestBrokerFeed runs the edge's own feed as the edge: it follows a stream that
// is long enough for flow control, and reads what its ring has dropped.
func TestBrokerFeed(t *testing.T) {
	const messages, size = 600, 16 << 10
	b := startBroker(t)
	b.append(t, b.provision(t), messages, size)

	var refused atomic.Pointer[error]
	nc := b.conn(t, "edge", nats.MaxReconnects(-1), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused.Store(&err) }))
	cfg := feed.DefaultConfig()
	cfg.RingBytes = 1 << 20
	f := feed.New(cfg, nc, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	running, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(running) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the feed ended: %v", err)
		}
	})

	b.append(t, b.conn(t, "publisher"), messages, size) // also through the tail
	end, err := stream.NewLeader(nc, "FABRIC").State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); f.View().Last < end.Last; {
		if time.Now().After(deadline) {
			t.Fatalf("the feed stands at %d of %d after %s", f.View().Last, end.Last, patience)
		}
		time.Sleep(5 * time.Millisecond)
	}
	v := f.View()
	if v.From <= 3 {
		t.Fatalf("the ring still reaches back to %d; history would not be needed", v.From)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	a, err := f.Fetch(ctx, v.Gen, []hub.Ask{{Room: "booking.1", Since: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Rooms) != 1 || len(a.Rooms[0].Newer) != 2 || a.Rooms[0].Grant == nil {
		t.Errorf("history of booking.1 = %+v, want its two events and its access record", a.Rooms)
	}
	if _, err := f.Index(ctx, v.Gen, "u_1"); err != nil {
		t.Errorf("read the index of u_1: %v", err)
	}
	if _, _, err := f.Stored(ctx, v.Gen, "booking.1", 0, 10); err != nil {
		t.Errorf("read stored events: %v", err)
	}
	if _, err := f.End(ctx, v.Gen); err != nil {
		t.Errorf("ask for the end: %v", err)
	}
	if err := refused.Load(); err != nil {
		t.Errorf("the server refused something that the feed does: %v", *err)
	}
}

// TestBrokerViewer follows the stream with an ordered consumer, as fabric tail
// does.
func TestBrokerViewer(t *testing.T) {
	b := startBroker(t)
	b.append(t, b.provision(t), 1, 10)
	nc := b.conn(t, "viewer")
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	consumer, err := js.OrderedConsumer(ctx, "FABRIC", jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatalf("follow as viewer: %v", err)
	}
	msgs, err := consumer.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer msgs.Stop()
	for _, want := range []string{"fabric.epoch", "booking.0.access", "booking.0.status"} {
		m, err := msgs.Next(jetstream.NextContext(ctx))
		if err != nil {
			t.Fatalf("wait for %s: %v", want, err)
		}
		if m.Subject() != want {
			t.Errorf("got %s, want %s", m.Subject(), want)
		}
	}
	if err := nc.LastError(); err != nil {
		t.Errorf("the server refused something that fabric tail does: %v", err)
	}
}

// append adds n status events of as many bookings, each with its access record.
func (b broker) append(t *testing.T, nc *nats.Conn, n, size int) {
	t.Helper()
	state, err := stream.NewLeader(nc, "FABRIC").State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var batch []*nats.Msg
	for i := range n {
		room := subjects.Room("booking." + strconv.Itoa(i))
		batch = append(batch,
			&nats.Msg{Subject: room.Subject(subjects.AccessType), Data: []byte(`{"participants":{"u_1":"customer"}}`)},
			&nats.Msg{Subject: room.Subject(subjects.StatusType), Data: []byte(`"` + strings.Repeat("x", size) + `"`)})
		if len(batch) < 100 && i < n-1 {
			continue
		}
		if state.Last, err = stream.Append(t.Context(), nc, "FABRIC", state.Last, batch...); err != nil {
			t.Fatal(err)
		}
		batch = nil
	}
}
