package feed_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/edge/feed"
	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/subjects/stream"
	"github.com/petpro/fabric/test/natstest"
)

// cluster is three servers that keep three copies of the stream.
type cluster struct {
	opts []*server.Options
	srv  []*server.Server
	urls []string
}

func runCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{}
	var routes []*url.URL
	for range 3 {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", natstest.FreePort(t))})
	}
	for i := range 3 {
		var port int
		fmt.Sscan(routes[i].Port(), &port)
		opts := &server.Options{
			ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: natstest.FreePort(t), NoSigs: true, NoLog: true,
			JetStream: true, StoreDir: t.TempDir(), JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 1 << 30,
			Cluster: server.ClusterOpts{Name: "feed", Host: "127.0.0.1", Port: port},
			Routes:  routes,
		}
		c.opts, c.srv = append(c.opts, opts), append(c.srv, nil)
		c.urls = append(c.urls, fmt.Sprintf("nats://127.0.0.1:%d", opts.Port))
		c.start(t, i)
	}
	t.Cleanup(func() {
		for i := range c.srv {
			c.stop(i)
		}
	})
	return c
}

func (c *cluster) start(t *testing.T, i int) {
	t.Helper()
	opts := *c.opts[i]
	srv, err := server.NewServer(&opts)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	c.srv[i] = srv
	if i < 2 {
		return // clients are let in once there is a majority
	}
	eventually(t, "a cluster with a leader", func() bool {
		for _, s := range c.srv {
			if s.JetStreamIsLeader() {
				return true
			}
		}
		return false
	})
}

func (c *cluster) stop(i int) {
	if c.srv[i] != nil {
		c.srv[i].Shutdown()
		c.srv[i].WaitForShutdown()
		c.srv[i] = nil
	}
}

func (c *cluster) conn(t *testing.T) *nats.Conn {
	t.Helper()
	closed := make(chan struct{})
	nc, err := nats.Connect(strings.Join(c.urls, ","), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond),
		nats.RetryOnFailedConnect(true), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close(); <-closed })
	return nc
}

// TestCluster: leaders are deposed and a node is lost and comes back under
// load. The tail misses and repeats nothing, and nobody takes a deposed
// leader's word for another history.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := runCluster(t)
	r := &rig{pub: c.conn(t), edge: c.conn(t), keep: 100_000, cfg: feed.DefaultConfig()}
	var err error
	if r.js, err = jetstream.New(r.pub); err != nil {
		t.Fatal(err)
	}
	cfg := stream.Config{Name: streamName, Kinds: r.cfg.Kinds, Keep: r.keep, Retention: retention, Replicas: 3}
	eventually(t, "a stream with three copies", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err = stream.Ensure(ctx, r.pub, cfg)
		return err == nil
	})
	f := r.running(t)
	since := f.View().Last

	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { publishStubbornly(ctx, r.pub) })
	for i := range 8 {
		switch i {
		case 3:
			c.stop(0)
		case 5:
			c.start(t, 0)
		default:
			r.pub.Request("$JS.API.STREAM.LEADER.STEPDOWN."+streamName, nil, time.Second)
		}
		time.Sleep(300 * time.Millisecond) // the time between faults, not a wait for anything
		a, err := f.Fetch(ctx, 1, []hub.Ask{{Room: "booking.0", Since: since}})
		if err != nil {
			t.Logf("fetch after fault %d: %v", i, err)
			continue
		}
		if found := a.Rooms[0]; len(found.Last) > 0 && !found.Torn {
			if n := len(found.Newer); n == 0 || found.Newer[n-1].Seq < found.Last[0].Seq {
				t.Errorf("fetch after fault %d: %d newer messages do not reach the last value, %d", i, n, found.Last[0].Seq)
			}
		}
	}
	cancel()
	wg.Wait()
	var end uint64
	eventually(t, "a leader that tells the end", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		end, err = f.End(ctx, 1)
		return err == nil
	})
	v := reach(t, f, end)
	if v.Gen != 1 {
		t.Errorf("generation = %d, want 1", v.Gen)
	}
	if v.ExactFrom > since+1 {
		t.Errorf("ExactFrom = %d, want at most %d: nothing was dropped", v.ExactFrom, since+1)
	}
	got := readAll(t, f, v.Gen, since)
	if uint64(len(got)) < end-since { // what was not acknowledged may come later
		t.Errorf("read %d messages, want at least %d", len(got), end-since)
	}
	t.Logf("%d messages", len(got))
}

// publishStubbornly publishes until ctx ends; what is not acknowledged may be
// stored or not.
func publishStubbornly(ctx context.Context, nc *nats.Conn) {
	for i := 0; ctx.Err() == nil; i++ {
		ask, cancel := context.WithTimeout(ctx, 250*time.Millisecond)
		nc.RequestWithContext(ask, status(i%10), []byte(`{}`))
		cancel()
	}
}
