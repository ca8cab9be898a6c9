package natstest_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/test/natstest"
)

func TestStoreAndPortOutliveRestart(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts []natstest.Option
	}{
		{name: "default"},
		{name: "sync always", opts: []natstest.Option{natstest.SyncAlways()}},
		{name: "fixed port", opts: []natstest.Option{natstest.Port(natstest.FreePort(t))}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ns := natstest.Run(t, tt.opts...)
			js := ns.JS(t)
			if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
				t.Fatal(err)
			}
			if _, err := js.Publish(t.Context(), "s", nil); err != nil {
				t.Fatal(err)
			}
			url := ns.URL()
			ns.Restart(t)
			if ns.URL() != url {
				t.Errorf("URL after restart = %s, want %s", ns.URL(), url)
			}
			s, err := ns.JS(t).Stream(t.Context(), "S")
			if err != nil {
				t.Fatalf("stream after restart: %v", err)
			}
			if n := s.CachedInfo().State.Msgs; n != 1 {
				t.Errorf("messages after restart = %d, want 1", n)
			}
		})
	}
}

func TestStoreDirIsKept(t *testing.T) {
	dir := t.TempDir()
	first := natstest.Run(t, natstest.StoreDir(dir))
	if _, err := first.JS(t).CreateStream(t.Context(), jetstream.StreamConfig{Name: "S"}); err != nil {
		t.Fatal(err)
	}
	first.Stop()
	second := natstest.Run(t, natstest.StoreDir(dir))
	if _, err := second.JS(t).Stream(t.Context(), "S"); err != nil {
		t.Errorf("stream of the first server on the second: %v", err)
	}
}

func TestWithoutJetStream(t *testing.T) {
	nc := natstest.Run(t, natstest.WithoutJetStream()).Conn(t)
	if _, err := nc.Request("$JS.API.INFO", nil, nats.DefaultTimeout); err != nats.ErrNoResponders {
		t.Errorf("JetStream request = %v, want %v", err, nats.ErrNoResponders)
	}
}

func TestClusterReplicates(t *testing.T) {
	c := natstest.RunCluster(t, 3)
	js, err := jetstream.New(c.Conn(t))
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Replicas: 3})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s", nil); err != nil {
		t.Fatal(err)
	}
	if n := len(s.CachedInfo().Cluster.Replicas); n != 2 {
		t.Errorf("replicas beside the leader = %d, want 2", n)
	}
	c.Servers[0].Restart(t)
	c.Ready(t)
	// A request may get lost while the leader moves: ask until one is answered.
	for range 30 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		s, err = js.Stream(ctx, "S")
		cancel()
		if err == nil {
			break
		}
	}
	if err != nil || s.CachedInfo().State.Msgs != 1 {
		t.Errorf("stream after the restart of a server: %v", err)
	}
}
