package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/petpro/fabric/edge/auth"
	"github.com/petpro/fabric/edge/feed"
	"github.com/petpro/fabric/edge/gate"
	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/edge/websocket"
)

// Server is one edge node. Make it with New, run it once with Run.
type Server struct {
	cfg      Config
	log      *slog.Logger
	registry *prometheus.Registry

	verifier *auth.Verifier
	feed     *feed.Feed
	hub      *hub.Hub
	ws       *websocket.Handler

	gate     atomic.Pointer[gate.Gate] // while listening
	draining atomic.Bool
	ready    chan struct{}
	readied  sync.Once

	mu   sync.Mutex
	addr string // where clients are served, once listening
}

// New makes an edge on a connection to NATS that need not be up yet. It
// returns every complaint about cfg at once; registry may be nil.
func New(cfg Config, nc *nats.Conn, log *slog.Logger, registry *prometheus.Registry) (*Server, error) {
	verifier, authErr := auth.New(cfg.Auth, log.With("component", "auth"))
	if err := errors.Join(cfg.Validate(), authErr); err != nil {
		return nil, err
	}
	if registry == nil {
		registry = prometheus.NewRegistry()
	}
	cfg.Hub.Policy.AdminRoles = cfg.Auth.AdminRoles
	s := &Server{
		cfg: cfg, log: log.With("component", "edge"), registry: registry,
		verifier: verifier, ready: make(chan struct{}),
	}
	s.feed = feed.New(cfg.Feed, nc, log, registry)
	s.hub = hub.New(cfg.Hub, s.feed, s.feed, log.With("component", "hub"))
	s.ws = websocket.New(cfg.WebSocket, websocket.Of(s.hub), cfg.Hub.Kinds, verifier, log.With("component", "websocket"))
	registry.MustRegister(newMetrics(s), s.ws)
	return s, nil
}

// Addr is where clients are served; empty before Run listens.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Ready is closed once the listener is open and the feed has warmed its ring.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Hub of this edge, for what embeds it.
func (s *Server) Hub() *hub.Hub { return s.hub }

// Watermark is the stream sequence up to which this edge has read; 0 before it
// is ready.
func (s *Server) Watermark() uint64 {
	if v := s.feed.View(); v.Ready {
		return v.Last
	}
	return 0
}

// Run serves until ctx ends, then drains, and returns nil; or it returns what
// made it impossible to go on (address in use, wrong server version, wrong
// stream settings).
func (s *Server) Run(ctx context.Context) error {
	clients, err := listen("edge.listen", s.cfg.Listen)
	if err != nil {
		return err
	}
	defer clients.Close()
	admin, err := listen("edge.admin_listen", s.cfg.AdminListen)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.addr = clients.Addr().String()
	s.mu.Unlock()
	s.log.Info("listening", "addr", s.addr, "admin", s.cfg.AdminListen)

	// Everything works under a context of its own, which ends after the drain,
	// or as soon as one part fails.
	stop, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	parts, work := errgroup.WithContext(stop)
	parts.Go(func() error { return s.feed.Run(work) })
	parts.Go(func() error { return s.hub.Run(work) })
	clientsGone := make(chan struct{})
	sweeping, endClients := context.WithCancel(work)
	defer endClients()
	parts.Go(func() error { defer close(clientsGone); return s.ws.Run(sweeping) })
	parts.Go(func() error { return s.verifier.Run(work) })
	parts.Go(func() error { return s.watchKeys(work) })
	parts.Go(func() error { return s.awaitReady(work) })
	public := s.serve(parts, clients)
	var private *http.Server
	if admin != nil {
		private = serve(parts, admin, s.adminRoutes())
	}

	select {
	case <-ctx.Done():
		s.drain(work, public)
	case <-work.Done():
	}
	s.draining.Store(true)
	public.Close()
	endClients() // while the hub still takes their last calls
	<-clientsGone
	cancel()
	if private != nil {
		private.Close()
	}
	return parts.Wait()
}

// drain lets balancers notice, then sends the sessions away one by one.
func (s *Server) drain(work context.Context, public *http.Server) {
	s.draining.Store(true)
	s.log.Info("draining", "delay", s.cfg.DrainDelay, "window", s.cfg.DrainWindow, "sessions", s.hub.Stats().Sessions.Load())
	select {
	case <-work.Done():
		return
	case <-time.After(s.cfg.DrainDelay):
	}
	public.Close() // hijacked connections are not its any more
	s.ws.Drain()
	s.hub.Drain(work, s.cfg.DrainWindow)
}

// awaitReady closes ready once the feed is warm.
func (s *Server) awaitReady(ctx context.Context) error {
	t := time.NewTicker(10 * time.Millisecond)
	defer t.Stop()
	for !s.feed.View().Ready {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
	s.readied.Do(func() { close(s.ready) })
	s.log.Info("ready", "epoch", s.feed.View().Epoch, "seq", s.feed.View().Last)
	return nil
}

// watchKeys ends sessions whose key was withdrawn, without waiting for them to
// reconnect.
func (s *Server) watchKeys(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.verifier.Withdrawn():
			s.hub.Review(s.verifier.Keeps)
		}
	}
}

// serve starts the client side: a gate in front, so that silent and slow
// handshakes cost nothing.
func (s *Server) serve(parts *errgroup.Group, l net.Listener) *http.Server {
	door := gate.New(l, s.cfg.Gate)
	s.gate.Store(door)
	srv := &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: s.cfg.Gate.SlotFor,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ConnState:         door.ConnState,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	parts.Go(func() error { return ignoreClosed(srv.Serve(door)) })
	return srv
}

func serve(parts *errgroup.Group, l net.Listener, h http.Handler) *http.Server {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	parts.Go(func() error { return ignoreClosed(srv.Serve(l)) })
	return srv
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// listen opens an address; an empty one is off.
func listen(key, addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot listen on %s (another program may be using the port; choose another address or stop it): %w", key, addr, err)
	}
	return l, nil
}
