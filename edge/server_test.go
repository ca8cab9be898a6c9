package edge_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/edge"
	"github.com/petpro/fabric/edge/auth"
	"github.com/petpro/fabric/subjects/stream"
	"github.com/petpro/fabric/test/natstest"
)

func TestMain(m *testing.M) { natstest.Main(m) }

// config of an edge on free ports.
func config() edge.Config {
	c := edge.DefaultConfig()
	c.Listen, c.AdminListen = "127.0.0.1:0", "127.0.0.1:0"
	c.DrainDelay, c.DrainWindow = 0, 0
	c.Auth.Keys = []auth.Key{{Algorithms: []string{"HS256"}, Secret: strings.Repeat("s", 32)}}
	return c
}

// run starts an edge and returns it with a function that stops it and returns
// what Run returned.
func run(t *testing.T, cfg edge.Config, nc *nats.Conn) (*edge.Server, func() error) {
	t.Helper()
	s, err := edge.New(cfg, nc, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := func() error { cancel(); return <-done }
	t.Cleanup(func() { cancel() })
	return s, stop
}

func provide(t *testing.T, nc *nats.Conn) {
	t.Helper()
	_, err := stream.Ensure(t.Context(), nc, stream.Config{
		Name: "FABRIC", Ingest: "INGEST", Kinds: []string{"booking"}, Keep: 8, Retention: time.Hour, Replicas: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestConfigComplaintsAllAtOnce(t *testing.T) {
	cfg := config()
	cfg.Listen = "nowhere"
	cfg.Hub.ReplayEvents = 0
	cfg.Feed.RingBytes = 1
	cfg.WebSocket.QueueFrames = 1
	cfg.Auth.Keys[0].Secret = "short"
	_, err := edge.New(cfg, nil, slog.New(slog.DiscardHandler), nil)
	if err == nil {
		t.Fatal("New took a configuration that cannot work")
	}
	for _, key := range []string{"edge.listen", "edge.replay_max", "edge.ring", "edge.limits.queue_frames", "auth.keys[0]"} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("no complaint about %s in: %v", key, err)
		}
	}
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc := natstest.Run(t).Conn(t)
	provide(t, nc)
	for key, set := range map[string]func(*edge.Config){
		"edge.listen":       func(c *edge.Config) { c.Listen = l.Addr().String() },
		"edge.admin_listen": func(c *edge.Config) { c.AdminListen = l.Addr().String() },
	} {
		cfg := config()
		set(&cfg)
		s, err := edge.New(cfg, nc, slog.New(slog.DiscardHandler), nil)
		if err != nil {
			t.Fatal(err)
		}
		err = s.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), l.Addr().String()) {
			t.Errorf("Run() = %v, want the key %s and the address", err, key)
		}
	}
}

// A missing stream is waited for, unready; one with wrong settings ends the
// edge with the sentence.
func TestReadiness(t *testing.T) {
	nc := natstest.Run(t).Conn(t)
	s, stop := run(t, config(), nc)
	var code int
	var body struct {
		Ready, Draining, Stale bool
		Broker, Epoch          string
	}
	get := func() bool {
		if s.Addr() == "" {
			return false
		}
		resp, err := http.Get("http://" + s.Addr() + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		code = resp.StatusCode
		return json.NewDecoder(resp.Body).Decode(&body) == nil
	}
	await(t, "an answer of /readyz", get)
	if code != http.StatusServiceUnavailable || body.Ready {
		t.Errorf("without a stream: %d %+v, want 503 and not ready", code, body)
	}
	provide(t, nc)
	select {
	case <-s.Ready():
	case <-time.After(30 * time.Second):
		t.Fatal("not ready")
	}
	await(t, "an answer of /readyz", get)
	if code != http.StatusOK || !body.Ready || body.Epoch == "" || body.Broker != "connected" {
		t.Errorf("with a stream: %d %+v, want 200 and ready", code, body)
	}
	if err := stop(); err != nil {
		t.Errorf("Run() = %v after a drain, want nil", err)
	}
	if get() {
		t.Error("the listener is still open after the drain")
	}
}

// wrongStream has the name and none of the settings.
var wrongStream = jetstream.StreamConfig{Name: "FABRIC", Subjects: []string{"booking.>", "user.>", "fabric.>"}, MaxAge: time.Hour}

func TestWrongStreamEndsTheEdge(t *testing.T) {
	ns := natstest.Run(t)
	js := ns.JS(t)
	if _, err := js.CreateStream(t.Context(), wrongStream); err != nil {
		t.Fatal(err)
	}
	s, err := edge.New(config(), ns.Conn(t), slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); !errors.Is(err, stream.ErrStreamSettings) {
		t.Errorf("Run() = %v, want ErrStreamSettings", err)
	}
}

// Metrics have names of the product, each with help, and count.
func TestMetrics(t *testing.T) {
	nc := natstest.Run(t).Conn(t)
	provide(t, nc)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	admin := l.Addr().String()
	l.Close()
	cfg := config()
	cfg.AdminListen = admin
	s, stop := run(t, cfg, nc)
	defer stop()
	select {
	case <-s.Ready():
	case <-time.After(30 * time.Second):
		t.Fatal("not ready")
	}
	for path, want := range map[string]string{
		"/metrics":     `fabric_edge_closes_total{code="3008",transport="websocket"} 0`,
		"/healthz":     "ok",
		"/readyz":      `"ready":true`,
		"/debug/pprof": "profile",
	} {
		resp, err := http.Get("http://" + admin + path)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || !strings.Contains(string(text), want) {
			t.Errorf("%s: %d without %q", path, resp.StatusCode, want)
		}
	}
	resp, err := http.Get("http://" + s.Addr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("/metrics on the public listener: %d, want 404", resp.StatusCode)
	}
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within 30 s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
