// Package natstest runs a real nats-server with JetStream inside a test: file
// storage in a directory of the test, a real listener on a free port of
// 127.0.0.1, everything gone when the test ends.
//
//	ns := natstest.Run(t)
//	js := ns.JS(t)
//
// Start one server per test: it is ready within a few milliseconds. Stop,
// Start and Restart keep port and store, so that clients live through them as
// through the restart of a production server; StoreDir begins on a store that
// the test has prepared, for example an older copy. Connections made by Conn
// are closed before the server is, in the order that t.Cleanup gives.
//
// Nothing here is for production: no authentication, no limits.
package natstest

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ready is how long a server may take to start or to stop. Under -race on a
// busy machine it needs seconds, not milliseconds.
const ready = 30 * time.Second

// Server is a running nats-server. Its methods are called from the goroutine
// of the test.
type Server struct {
	opts server.Options
	srv  *server.Server
}

// Option changes how a server is run.
type Option func(*server.Options)

// SyncAlways makes the server sync every write before it acknowledges.
func SyncAlways() Option { return func(o *server.Options) { o.SyncAlways = true } }

// StoreDir runs the server on a directory of the caller's instead of a fresh
// one. It is not removed.
func StoreDir(dir string) Option { return func(o *server.Options) { o.StoreDir = dir } }

// WithoutJetStream runs a server that only routes messages.
func WithoutJetStream() Option { return func(o *server.Options) { o.JetStream = false } }

// Port listens on a fixed port of 127.0.0.1, for a server that is to appear
// where clients already look for it (see FreePort).
func Port(port int) Option { return func(o *server.Options) { o.Port = port } }

// Run starts a server and stops it when the test ends. It fails the test if
// that is not possible.
func Run(t testing.TB, opts ...Option) *Server {
	t.Helper()
	s := prepare(t, opts)
	t.Cleanup(s.Stop)
	s.Start(t)
	return s
}

func prepare(t testing.TB, opts []Option) *Server {
	t.Helper()
	s := &Server{opts: server.Options{
		ServerName: "natstest",
		Host:       "127.0.0.1",
		Port:       server.RANDOM_PORT,
		NoSigs:     true,
		NoLog:      true,
		JetStream:  true,
		// Without these the server reserves three quarters of memory and disk.
		JetStreamMaxMemory: 256 << 20,
		JetStreamMaxStore:  4 << 30,
	}}
	for _, opt := range opts {
		opt(&s.opts)
	}
	if s.opts.StoreDir == "" {
		s.opts.StoreDir = t.TempDir()
	}
	return s
}

// FreePort reserves no port but names one that was free a moment ago, for
// clients that are to wait for a server that does not run yet.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("natstest: no free port: %v", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Start starts a stopped server on the same port and store.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	s.launch(t)
	s.await(t)
}

func (s *Server) launch(t testing.TB) {
	t.Helper()
	if s.srv != nil {
		t.Fatal("natstest: the server already runs")
	}
	opts := s.opts // the server writes into its options
	srv, err := server.NewServer(&opts)
	if err != nil {
		t.Fatalf("natstest: %v", err)
	}
	srv.Start()
	s.srv = srv
}

// await waits for the launched server.
func (s *Server) await(t testing.TB) {
	t.Helper()
	if !s.srv.ReadyForConnections(ready) {
		t.Fatalf("natstest: the server on port %d is not ready after %s", s.opts.Port, ready)
	}
	if s.opts.JetStream && !s.srv.JetStreamEnabled() {
		t.Fatalf("natstest: JetStream does not start on %s", s.opts.StoreDir)
	}
	s.opts.Port = s.srv.Addr().(*net.TCPAddr).Port
}

// Stop ends the server and waits for it. Its clients are disconnected; the
// store stays. Stopping a stopped server does nothing.
func (s *Server) Stop() {
	if s.srv == nil {
		return
	}
	s.srv.Shutdown()
	s.srv.WaitForShutdown()
	s.srv = nil
}

// Restart is Stop and Start.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop()
	s.Start(t)
}

// URL is where clients connect; it stays the same over a restart.
func (s *Server) URL() string { return fmt.Sprintf("nats://127.0.0.1:%d", s.opts.Port) }

// Dir is the directory of the JetStream store.
func (s *Server) Dir() string { return s.opts.StoreDir }

// Conn connects with settings that outlive restarts (short waits, endless
// tries) unless opts say otherwise, and closes the connection when the test
// ends.
func (s *Server) Conn(t testing.TB, opts ...nats.Option) *nats.Conn {
	t.Helper()
	return connect(t, s.URL(), opts)
}

func connect(t testing.TB, url string, opts []nats.Option) *nats.Conn {
	t.Helper()
	closed := make(chan struct{})
	opts = append([]nats.Option{
		nats.Name(t.Name()),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(20 * time.Millisecond),
		nats.ReconnectJitter(10*time.Millisecond, 0),
	}, opts...)
	opts = append(opts, nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		t.Fatalf("natstest: connect to %s: %v", url, err)
	}
	t.Cleanup(func() {
		nc.Close()
		<-closed
	})
	return nc
}

// JS connects and returns the JetStream client.
func (s *Server) JS(t testing.TB) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(s.Conn(t))
	if err != nil {
		t.Fatalf("natstest: %v", err)
	}
	return js
}
