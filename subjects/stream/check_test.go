package stream_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/subjects/stream"
	"github.com/petpro/fabric/test/natstest"
)

func TestCheckTellsWhatIsMissing(t *testing.T) {
	t.Run("JetStream", func(t *testing.T) {
		nc := natstest.Run(t, natstest.WithoutJetStream()).Conn(t)
		_, err := stream.Check(t.Context(), nc, "FABRIC")
		wantError(t, err, stream.ErrNoJetStream, "start nats-server with JetStream")
		_, err = stream.Ensure(t.Context(), nc, config())
		wantError(t, err, stream.ErrNoJetStream, "start nats-server with JetStream")
	})
	t.Run("stream", func(t *testing.T) {
		_, err := stream.Check(t.Context(), natstest.Run(t).Conn(t), "FABRIC")
		wantError(t, err, stream.ErrNoStream, "fabric provision")
	})
	t.Run("epoch", func(t *testing.T) {
		ns := natstest.Run(t)
		if _, err := ns.JS(t).CreateStream(t.Context(), jetstream.StreamConfig{
			Name: "FABRIC", Subjects: []string{"user.>", "fabric.>"}, MaxMsgsPerSubject: 8,
			AllowDirect: true, AllowAtomicPublish: true, DenyDelete: true,
		}); err != nil {
			t.Fatal(err)
		}
		_, err := stream.Check(t.Context(), ns.Conn(t), "FABRIC")
		wantError(t, err, stream.ErrNoEpoch, "start the publisher")
	})
	t.Run("settings", func(t *testing.T) {
		ns := natstest.Run(t)
		if _, err := ns.JS(t).CreateStream(t.Context(), jetstream.StreamConfig{Name: "FABRIC", Subjects: []string{"user.>"}}); err != nil {
			t.Fatal(err)
		}
		_, err := stream.Check(t.Context(), ns.Conn(t), "FABRIC")
		wantError(t, err, stream.ErrStreamSettings, "allow_atomic is false, must be true")
		wantError(t, err, stream.ErrStreamSettings, "subjects lack fabric.>")
	})
}

// TestServerVersion talks to a listener that greets as nats-server of each
// version: the real one cannot be made older.
func TestServerVersion(t *testing.T) {
	for _, tt := range []struct {
		version string
		old     bool
	}{
		{"2.9.25", true}, {"2.13.9", true}, {"1.99.0", true},
		{"2.14.0", false}, {"2.14.0-RC.1", false}, {"2.15.2", false}, {"v2.15.2", false}, {"3.0.0", false},
	} {
		t.Run(tt.version, func(t *testing.T) {
			_, err := stream.Check(t.Context(), connectTo(t, tt.version), "FABRIC")
			if old := errors.Is(err, stream.ErrServerVersion); old != tt.old {
				t.Errorf("Check against %s = %v, want too old: %t", tt.version, err, tt.old)
			}
			if tt.old {
				wantError(t, err, stream.ErrServerVersion, tt.version+", at least 2.14.0 is needed")
			}
		})
	}
}

// connectTo serves one connection that greets with a version, answers pings
// and says "no responders" to the first request.
func connectTo(t *testing.T, version string) *nats.Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprintf(c, "INFO {\"server_id\":\"x\",\"version\":%q,\"headers\":true,\"max_payload\":1048576}\r\n", version)
		for r := bufio.NewScanner(c); r.Scan(); {
			switch f := strings.Fields(r.Text()); {
			case len(f) == 1 && f[0] == "PING":
				fmt.Fprint(c, "PONG\r\n")
			case len(f) == 4 && f[0] == "PUB":
				status := "NATS/1.0 503\r\n\r\n"
				fmt.Fprintf(c, "HMSG %s 1 %d %d\r\n%s\r\n", f[2], len(status), len(status), status)
			}
		}
	}()
	nc, err := nats.Connect(l.Addr().String(), nats.MaxReconnects(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nc.Close()
		l.Close()
		<-done
	})
	return nc
}

func wantError(t *testing.T, err, want error, text string) {
	t.Helper()
	if !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
		t.Errorf("error = %v, want %q with %q", err, want, text)
	}
}
