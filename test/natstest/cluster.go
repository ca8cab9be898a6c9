package natstest

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Cluster is several servers in this process that form a JetStream cluster, so
// that streams may have replicas and their leaders may change.
type Cluster struct {
	Servers []*Server
}

// RunCluster starts n servers with a store each and waits until they have
// elected a leader. They are stopped when the test ends.
func RunCluster(t testing.TB, n int, opts ...Option) *Cluster {
	t.Helper()
	c := &Cluster{}
	ports := make([]int, n)
	routes := make([]*url.URL, n)
	for i := range n {
		ports[i] = FreePort(t)
		routes[i] = &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", ports[i])}
	}
	for i := range n {
		s := prepare(t, append(opts[:len(opts):len(opts)], func(o *server.Options) {
			o.ServerName = fmt.Sprintf("natstest-%d", i+1)
			o.Cluster = server.ClusterOpts{Name: "natstest", Host: "127.0.0.1", Port: ports[i]}
			o.Routes = routes
		}))
		t.Cleanup(s.Stop)
		s.launch(t)
		c.Servers = append(c.Servers, s)
	}
	// None is ready before there is a leader, and that takes more than one.
	for _, s := range c.Servers {
		s.await(t)
	}
	c.Ready(t)
	return c
}

// Ready waits until there is a leader that sees every running server, and they
// have caught up with it. Call it after the restart of a server.
func (c *Cluster) Ready(t testing.TB) {
	t.Helper()
	for deadline := time.Now().Add(ready); !c.current(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("natstest: the cluster has no leader that all follow after %s", ready)
		}
	}
}

func (c *Cluster) current() bool {
	running, known := 0, 0
	for _, s := range c.Servers {
		if s.srv == nil {
			continue
		}
		running++
		if !s.srv.JetStreamIsCurrent() {
			return false
		}
		if s.srv.JetStreamIsLeader() {
			known = len(s.srv.JetStreamClusterPeers())
		}
	}
	return known >= running
}

// URL lists all servers.
func (c *Cluster) URL() string {
	urls := make([]string, len(c.Servers))
	for i, s := range c.Servers {
		urls[i] = s.URL()
	}
	return strings.Join(urls, ",")
}

// Conn connects to any of the servers, and to another when that one stops.
func (c *Cluster) Conn(t testing.TB, opts ...nats.Option) *nats.Conn {
	t.Helper()
	return connect(t, c.URL(), opts)
}
