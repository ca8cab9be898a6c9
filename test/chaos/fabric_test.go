package chaos_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/petpro/fabric/config"
	"github.com/petpro/fabric/subjects/stream"
	"github.com/petpro/fabric/test/natstest"
	"github.com/petpro/fabric/test/pgtest"
	"github.com/petpro/fabric/test/shoptest"
)

// keep is so large that no message makes room for another: the stream is the
// whole history.
const keep = 1_000_000

// fabric is a shop, a broker and what publishers need.
type fabric struct {
	t      testing.TB
	shop   *shoptest.Shop
	server *pgtest.Server // nil for SQLite
	broker *broker
	nc     *nats.Conn

	mapping string // YAML
	// Of a shop that counts: how many bookings it began with, and the column of
	// their versions.
	bookings int
	column   string
	// settings are further keys of the section publisher.
	settings map[string]string
}

// newFabric makes a shop of the kind with its own database server, so that it
// may be killed, and starts a broker.
func newFabric(t testing.TB, kind shoptest.Kind, schema shoptest.Schema, mapping string) *fabric {
	t.Helper()
	f := &fabric{t: t, mapping: mapping, settings: map[string]string{"confirm_delay": "0s"}}
	var opts []shoptest.Option
	if kind.Name != shoptest.SQLite.Name {
		f.server = pgtest.Run(t, kind.Server()...)
		opts = append(opts, shoptest.On(f.server))
	}
	f.shop = shoptest.New(t, kind, schema, opts...)
	f.broker = startBroker(t)
	var err error
	f.nc, err = nats.Connect(f.broker.url(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(0, 0), nats.RetryOnFailedConnect(true))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.nc.Close)
	return f
}

// newCounted is newFabric of a shop whose bookings count their versions.
func newCounted(t testing.TB, kind shoptest.Kind, bookings int) *fabric {
	t.Helper()
	f := newFabric(t, kind, counted(bookings), countedMapping)
	f.bookings, f.column = bookings, "version"
	return f
}

// logWholeRows makes PostgreSQL log all of a booking as it was, so that nothing
// need be compared with what was published. The other tests do without.
func (f *fabric) logWholeRows() {
	f.t.Helper()
	if f.server != nil {
		f.shop.Exec(f.t, `ALTER TABLE bookings REPLICA IDENTITY FULL`)
	}
}

// prepare makes the database ready for the mapping.
func (f *fabric) prepare() {
	f.t.Helper()
	m, err := config.ParseMapping([]byte(f.mapping))
	if err != nil {
		f.t.Fatal(err)
	}
	f.shop.Prepare(f.t, m)
}

// publisher is one publisher's process, with a state directory of its own that
// survives it.
type publisher struct {
	f     *fabric
	state string
	admin string
	*process
}

// newPublisher names a publisher; start starts it.
func (f *fabric) newPublisher() *publisher {
	f.t.Helper()
	return &publisher{f: f, state: filepath.Join(f.t.TempDir(), "state"), admin: fmt.Sprintf("127.0.0.1:%d", natstest.FreePort(f.t))}
}

// start starts the publisher with the fabric's configuration as it is now.
func (p *publisher) start() {
	p.f.t.Helper()
	var more strings.Builder
	for key, value := range p.f.settings {
		fmt.Fprintf(&more, "  %s: %s\n", key, value)
	}
	text := fmt.Sprintf("log: { level: debug }\nnats: { urls: [%q] }\npublisher:\n  admin_listen: %q\n  state: %q\n  ingest: false\n  keep: %d\n%s  sources: [ %s ]\n%s",
		p.f.broker.url(), p.admin, p.state, keep, more.String(), p.f.shop.YAML(), p.f.mapping)
	file := filepath.Join(p.f.t.TempDir(), "fabric.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		p.f.t.Fatal(err)
	}
	p.process = launch(p.f.t, "publisher", "--config", file)
}

// publish starts a publisher and waits until its initial publication is
// complete.
func (f *fabric) publish() *publisher {
	f.t.Helper()
	p := f.newPublisher()
	p.start()
	f.initial(p)
	return p
}

// initial waits until what p publishes first is complete.
func (f *fabric) initial(p *publisher) {
	f.t.Helper()
	await(f.t, "initial publication", func() bool {
		if !p.running() {
			f.t.Fatalf("the publisher ended: %v\n%s", p.err, p.log(4<<10))
		}
		ctx, cancel := context.WithTimeout(f.t.Context(), time.Second)
		defer cancel()
		m, err := stream.NewLeader(f.nc, "FABRIC").Last(ctx, "fabric.position")
		return err == nil && !strings.Contains(m.Header.Get("Fabric-Position"), "=init")
	})
}

// get asks the publisher's admin address.
func (p *publisher) get(path string) (status int, body string) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + p.admin + path)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, ""
	}
	return resp.StatusCode, string(text)
}

// last is the stream's last sequence; 0 while the broker is away.
func (f *fabric) last() uint64 {
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Second)
	defer cancel()
	state, err := stream.NewLeader(f.nc, "FABRIC").State(ctx)
	if err != nil {
		return 0
	}
	return state.Last
}

// advance waits until the stream has grown by n messages.
func (f *fabric) advance(n int) {
	f.t.Helper()
	var first uint64
	await(f.t, "stream", func() bool { first = f.last(); return first > 0 })
	await(f.t, fmt.Sprintf("%d more messages", n), func() bool { return f.last() >= first+uint64(n) })
}
