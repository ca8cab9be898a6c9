package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/petpro/fabric/cmd/internal/sources"
	"github.com/petpro/fabric/config"
	"github.com/petpro/fabric/edge"
	"github.com/petpro/fabric/edge/auth"
	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/subjects/stream"
)

const (
	// loopback is where everything listens.
	loopback = "127.0.0.1"
	// edges is how many there are.
	edges = 2
	// sourceName is the shop in positions: it must never change.
	sourceName = "petpro"
	// devTTL is how long the tokens are good for.
	devTTL = 24 * time.Hour
	// devWindow is the drain window, short enough for Ctrl-C.
	devWindow = 2 * time.Second
	// settle is how often the edges are asked whether they have caught up.
	settle = 5 * time.Millisecond
)

// Dev is the whole fabric in one process: a shop's database (its own, or the
// developer's PostgreSQL), NATS, a publisher, two edges and a page, each as it
// would run alone, and talking to the others over loopback only.
//
// It starts in that order and stops in the reverse one; see Run.
type Dev struct {
	cfg     config.Config
	origins config.Origins
	data    string
	ports   ports
	own     PostgresOptions
	log     *slog.Logger

	mu    sync.Mutex
	ready Ready // guarded by mu: the page asks for it
}

// DevOptions say how a Dev runs.
type DevOptions struct {
	// Data is the directory that holds everything; it is made if need be.
	Data string
	// Port of the page; the edges and NATS take the three that follow. 0 takes
	// free ones.
	Port int
	// Config and Origins as they were loaded. Addresses, keys and source are the
	// dev's own; drain and confirm_delay too, unless they were set. The mapping
	// counts if the database is the developer's.
	Config  config.Config
	Origins config.Origins
	// Postgres is the developer's database; without a DSN the dev has its own.
	Postgres PostgresOptions
	Log      *slog.Logger
}

// NewDev checks what can be checked before anything runs.
func NewDev(o DevOptions) (*Dev, error) {
	p, err := portsFrom(o.Port)
	if err != nil {
		return nil, err
	}
	if err := o.Postgres.validate(); err != nil {
		return nil, err
	}
	return &Dev{cfg: o.Config, origins: o.Origins, data: o.Data, ports: p, own: o.Postgres, log: o.Log}, nil
}

// Run brings everything up, calls ready once a client can connect and will
// miss nothing, and runs until ctx ends, which is no error, or until a part
// fails.
//
//	lock, shop, NATS, publisher (until the initial publication is in the
//	stream), edges (until they have read it), page
//
// At the end the page closes, the edges drain, and publisher, NATS, shop and
// lock follow.
func (d *Dev) Run(ctx context.Context, ready func(Ready) error) (err error) {
	s := newStack()
	defer func() {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			err = nil // we were told to end, perhaps while starting
		}
		err = errors.Join(err, s.stop())
	}()
	if err := d.start(ctx, s); err != nil {
		return err
	}
	if err := ready(d.told()); err != nil {
		return fmt.Errorf("tell that it is ready: %w", err)
	}
	return s.wait(ctx, nil)
}

func (d *Dev) start(ctx context.Context, s *stack) error {
	dir, err := openData(d.data)
	if err != nil {
		return err
	}
	s.closer("data directory", dir.Close)
	if err := d.ports.check(); err != nil {
		return err
	}
	secret, err := dir.secret()
	if err != nil {
		return err
	}
	db, err := d.openDatabase(ctx, s, dir)
	if err != nil {
		return err
	}
	url, err := d.startNATS(s)
	if err != nil {
		return err
	}
	d.configure(url, secret, db)
	if err := d.startPublisher(ctx, s); err != nil {
		return err
	}
	nodes, err := d.startEdges(ctx, s)
	if err != nil {
		return err
	}
	nc, err := d.connect(s, "dev")
	if err != nil {
		return err
	}
	if err := d.awaitTails(ctx, s, nc, nodes); err != nil {
		return err
	}
	who, err := castOf(ctx, nc, d.cfg.NATS.Stream, db.kind())
	if err != nil {
		return err
	}
	if err := d.tell(db, who, nodes, secret); err != nil {
		return err
	}
	if err := d.startPage(s, db.shop, who); err != nil {
		return err
	}
	return dir.announce(d.told())
}

// database is what a dev publishes from.
type database struct {
	shop    shop
	source  publisher.SourceConfig
	mapping publisher.Mapping
	// note tells a developer what to know about it, end what happens when the
	// dev ends.
	note, end string
}

// kind of the rooms; the mapping may have none.
func (db database) kind() string {
	for _, t := range db.mapping.Tables {
		if t.Access != nil {
			return t.Access.Kind
		}
	}
	return "none"
}

// openDatabase opens the developer's database, or makes the dev's own.
func (d *Dev) openDatabase(ctx context.Context, s *stack, dir *dataDir) (database, error) {
	mapping, err := config.ParseMapping(config.PetPro)
	if err != nil {
		return database{}, fmt.Errorf("the mapping built in: %w", err)
	}
	if d.own.DSN != "" {
		return d.openOwn(ctx, s, dir, mapping)
	}
	if err := dir.remember(memory{Kind: publisher.KindSQLite}); err != nil {
		return database{}, err
	}
	shop, err := openShop(ctx, d.data)
	if err != nil {
		return database{}, err
	}
	s.closer("shop", shop.Close)
	source := publisher.SourceConfig{Name: sourceName, Kind: publisher.KindSQLite, SQLite: publisher.SQLiteConfig{Path: shop.path}}
	return database{shop: shop, source: source, mapping: mapping}, nil
}

// configure sets what is the dev's own.
func (d *Dev) configure(url, secret string, db database) {
	c := &d.cfg
	c.NATS.URLs, c.NATS.Creds, c.NATS.TLS = []string{url}, "", config.TLS{}
	c.Auth.Keys = append(c.Auth.Keys, auth.Key{Algorithms: []string{"HS256"}, Secret: secret})
	c.Edge.AdminListen = ""
	c.Publisher.Sources = []publisher.SourceConfig{db.source}
	c.Mapping = db.mapping
	c.Publisher.Ingest = true
	c.Publisher.Replicas = 1
	c.Publisher.State = filepath.Join(d.data, "state")
	if d.unset("publisher.confirm_delay") {
		c.Publisher.ConfirmDelay = 0 // NATS syncs before it acknowledges
	}
	if d.unset("publisher.on_lost") && db.source.Kind != publisher.KindSQLite {
		c.Publisher.OnLost = publisher.OnLostEpoch // the slot goes when the dev ends
	}
	if d.unset("drain.delay") {
		c.Drain.Delay = 0 // no balancer to wait for
	}
	if d.unset("drain.window") {
		c.Drain.Window = devWindow
	}
}

// unset reports whether nobody chose a value for the key.
func (d *Dev) unset(key string) bool {
	return d.origins[key] == "" || d.origins[key] == config.FromDefault
}

func (d *Dev) startNATS(s *stack) (url string, err error) {
	srv, err := startNATS(d.data, d.ports.nats, d.log.With("component", "nats"))
	if err != nil {
		return "", err
	}
	s.closer("nats", func() error {
		srv.Shutdown()
		srv.WaitForShutdown()
		return nil
	})
	return srv.ClientURL(), nil
}

// connect gives a part its own connection, closed after the part has ended.
func (d *Dev) connect(s *stack, name string) (*nats.Conn, error) {
	nc, err := d.cfg.NATS.Connect(name, d.log.With("component", name))
	if err != nil {
		return nil, err
	}
	s.closer("connection of "+name, func() error { nc.Close(); return nil })
	return nc, nil
}

// startPublisher returns when the initial publication is in the stream.
func (d *Dev) startPublisher(ctx context.Context, s *stack) error {
	cfg, err := d.cfg.PublisherConfig(d.origins)
	if err != nil {
		return err
	}
	nc, err := d.connect(s, "publisher")
	if err != nil {
		return err
	}
	pub, err := sources.NewPublisher(cfg, nc, d.log, prometheus.NewRegistry())
	if err != nil {
		return err
	}
	s.run("publisher", pub.Run)
	return s.wait(ctx, pub.Initial())
}

// startEdges returns when both are ready. They drain side by side.
func (d *Dev) startEdges(ctx context.Context, s *stack) ([]*edge.Server, error) {
	var nodes []*edge.Server
	for i := range edges {
		d.cfg.Edge.Listen = net.JoinHostPort(loopback, strconv.Itoa(d.ports.edges[i]))
		cfg, err := d.cfg.EdgeConfig(d.origins)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("edge-%d", i+1)
		nc, err := d.connect(s, name)
		if err != nil {
			return nil, err
		}
		node, err := edge.New(cfg, nc, d.log.With("edge", i+1), prometheus.NewRegistry())
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, node)
	}
	s.run("edges", func(ctx context.Context) error {
		g, ctx := errgroup.WithContext(ctx)
		for _, node := range nodes {
			g.Go(func() error { return node.Run(ctx) })
		}
		return g.Wait()
	})
	for _, node := range nodes {
		if err := s.wait(ctx, node.Ready()); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

// awaitTails returns when each edge has read all that is in the stream now.
func (d *Dev) awaitTails(ctx context.Context, s *stack, nc *nats.Conn, nodes []*edge.Server) error {
	state, err := stream.NewLeader(nc, d.cfg.NATS.Stream).State(ctx)
	if err != nil {
		return fmt.Errorf("where the stream ends: %w", err)
	}
	tick := time.NewTicker(settle)
	defer tick.Stop()
	for _, node := range nodes {
		for node.Watermark() < state.Last {
			select {
			case <-tick.C:
			case err := <-s.failed:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

func (d *Dev) startPage(s *stack, shop shop, who cast) error {
	l, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(d.ports.page)))
	if err != nil {
		return fmt.Errorf("page: %w", err)
	}
	p := newPage(shop, who, l.Addr(), d.told, d.log.With("component", "page"))
	s.run("page", func(ctx context.Context) error { return p.serve(ctx, l) })
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ready.Page = "http://" + l.Addr().String()
	return nil
}

// tell gathers what is printed.
func (d *Dev) tell(db database, who cast, nodes []*edge.Server, secret string) (err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := &d.ready
	r.NATS, r.Database, r.Bookings = d.cfg.NATS.URLs[0], db.shop.where(), who.bookings
	r.vendor, r.note, r.end = who.vendor, db.note, db.end
	if len(who.bookings) > 0 {
		r.change = db.shop.change(who.bookings[0])
	}
	for _, node := range nodes {
		r.Edges = append(r.Edges, "http://"+node.Addr())
	}
	for _, t := range []struct {
		user  string
		token *string
	}{{who.vendor, &r.Tokens.Vendor}, {who.customer, &r.Tokens.Customer}, {strangerID, &r.Tokens.Stranger}} {
		if *t.token, err = auth.Mint([]byte(secret), t.user, nil, nil, devTTL); err != nil {
			return err
		}
	}
	return nil
}

// told is what has been gathered so far.
func (d *Dev) told() Ready {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ready
}
