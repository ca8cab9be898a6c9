package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/petpro/fabric/cmd/internal/daemon/daemontest"
	"github.com/petpro/fabric/config"
	"github.com/petpro/fabric/subjects/stream"
	"github.com/petpro/fabric/test/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs the command; ended gives its exit code after a signal.
func start(t *testing.T, args ...string) (signal func() (code int), out *daemontest.Output) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out = new(daemontest.Output)
	var code int
	var wg sync.WaitGroup
	wg.Go(func() { code = service.Run(ctx, args, out) })
	signal = sync.OnceValue(func() int {
		cancel()
		wg.Wait()
		return code
	})
	t.Cleanup(func() { signal() })
	return signal, out
}

// A new deployment: the edge is there first, the broker comes, then the stream.
func TestEdgeWaitsForItsStream(t *testing.T) {
	srv := natstest.Run(t)
	srv.Stop()
	addr := fmt.Sprintf("127.0.0.1:%d", natstest.FreePort(t))
	signal, out := start(t, "--set", "nats.urls="+srv.URL(), "--set", "edge.listen="+addr, "--set", "edge.admin_listen=",
		"--set", "drain.delay=0s", "--set", "drain.window=1s")
	daemontest.Get(t, "http://"+addr+"/readyz", http.StatusServiceUnavailable)
	srv.Start(t)
	c, err := config.Default().StreamConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	daemontest.Get(t, "http://"+addr+"/readyz", http.StatusServiceUnavailable)
	if _, err := stream.Ensure(t.Context(), srv.Conn(t), c); err != nil {
		t.Fatal(err)
	}
	daemontest.Get(t, "http://"+addr+"/readyz", http.StatusOK)
	if code := signal(); code != 0 {
		t.Errorf("exit code after a signal = %d, want 0; told\n%s", code, out)
	}
}

func TestEdgeOnAnAddressInUse(t *testing.T) {
	srv := natstest.Run(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var out bytes.Buffer
	code := service.Run(t.Context(), []string{"--set", "nats.urls=" + srv.URL(), "--set", "edge.listen=" + l.Addr().String(), "--set", "edge.admin_listen="}, &out)
	if code != 1 || !strings.Contains(out.String(), "edge.listen") || !strings.Contains(out.String(), "in use") {
		t.Errorf("exit code = %d, want 1; told %q", code, out.String())
	}
}

// Everything that is wrong is told at once, before anything is tried.
func TestEdgeTellsEveryComplaint(t *testing.T) {
	var out bytes.Buffer
	code := service.Run(t.Context(), []string{"--set", "edge.ping=0s", "--set", `auth.keys=[{"algorithms":["HS256"],"secret":"short"}]`}, &out)
	if code != 2 {
		t.Errorf("exit code = %d, want 2", code)
	}
	for _, want := range []string{"edge.ping: ", "auth.keys[0].secret: is 5 bytes, must be at least 32"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("told %q, lacks %q", out.String(), want)
		}
	}
}
