package e2e_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/edge"
)

var (
	e2eSeed   = flag.Uint64("e2e.seed", 0, "seed of the random test; 0 = another one each time")
	e2eRandom = flag.Duration("e2e.random", 10*time.Second, "how long each run of the random test disturbs")
)

// Everything at random on real parts: clients come and go, edges, the
// publisher and NATS too, participants change, epochs begin. Afterwards what
// each client was told is held against all that ever was in the stream: nothing
// twice, nothing out of order, nothing missing without a gap that names it,
// nothing without entitlement, and in the end everybody is up to date.
func TestRandom(t *testing.T) {
	t.Parallel()
	seed := *e2eSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	for _, keep := range []int{5, 128} {
		t.Run(fmt.Sprintf("keep=%d", keep), func(t *testing.T) {
			t.Logf("repeat with -run 'TestRandom/keep=%d$' -e2e.seed=%d -e2e.random=%s; threads and sockets are not repeated", keep, seed, *e2eRandom)
			newChaos(t, seed, keep).run()
		})
	}
}

// Sizes of a run.
const (
	chaosClients  = 60
	chaosBookings = 24
)

// chaos is one run.
type chaos struct {
	*stack
	seed    uint64
	rnd     *rand.Rand // of what disturbs
	tape    *recorder
	shop    *randomShop
	clients []*wanderer

	mu   sync.Mutex
	urls []string // of the edges that run

	// over is closed when everybody is to come to rest; end is the sequence
	// that all must reach then.
	over chan struct{}
	end  uint64
}

func newChaos(t *testing.T, seed uint64, keep int) *chaos {
	c := &chaos{seed: seed, rnd: rand.New(rand.NewPCG(seed, 1)), over: make(chan struct{})}
	// Edges are begun in turn with rings and queues that are soon too small, and
	// with rings that hold it all.
	rings := 0
	edit := func(cfg *edge.Config) {
		cfg.Feed.RingBytes = []int{64 << 10, 16 << 20}[rings%2]
		if rings%2 == 0 {
			cfg.WebSocket.QueueBytes, cfg.WebSocket.SendBuffer = 8<<10, 4<<10
		}
		cfg.Hub.Ping, cfg.WebSocket.Ping = 2*time.Second, 2*time.Second
		cfg.Hub.Shards = 2
		rings++
	}
	c.stack = start(t, chaosBookings, withKeep(keep), withEdge(edit))
	c.tape = record(c.stack)
	c.shop = newRandomShop(c.stack, rand.New(rand.NewPCG(seed, 2)))
	c.addEdge()
	c.publishURLs()
	for i := range chaosClients {
		c.clients = append(c.clients, newWanderer(c, i, rand.New(rand.NewPCG(seed, 100+uint64(i)))))
	}
	return c
}

func (c *chaos) run() {
	t := c.t
	t.Helper()
	var load, clients sync.WaitGroup
	stop := make(chan struct{})
	load.Go(func() { c.shop.run(stop) })
	for _, w := range c.clients {
		clients.Go(w.run)
	}
	for begun := time.Now(); time.Since(begun) < *e2eRandom; {
		time.Sleep(time.Duration(c.rnd.IntN(400)) * time.Millisecond) // the rhythm of the disturbances
		c.disturb()
	}
	close(stop)
	load.Wait()
	c.rest()
	close(c.over)
	clients.Wait()
	c.judge()
}

// disturb does one thing to the parts.
func (c *chaos) disturb() {
	c.t.Helper()
	switch n := c.rnd.IntN(100); {
	case n < 25:
		c.replaceEdge()
	case n < 45:
		c.pausePublisher(c.keep)
	case n < 58: // other limits are a new epoch
		if c.keep%2 == 1 {
			c.pausePublisher(c.keep + 3)
		} else {
			c.pausePublisher(c.keep - 3)
		}
	case n < 75:
		c.nats.Stop()
		time.Sleep(time.Duration(c.rnd.IntN(300)) * time.Millisecond) // the length of the outage
		c.nats.Start(c.t)
	}
}

// replaceEdge stops one edge, at once or with a drain, and starts another.
func (c *chaos) replaceEdge() {
	c.t.Helper()
	i := c.rnd.IntN(len(c.edges))
	gone := c.edges[i]
	c.edges = append(c.edges[:i:i], c.edges[i+1:]...)
	c.publishURLs()
	if err := gone.stop(); err != nil {
		c.t.Errorf("edge: %v", err)
	}
	c.addEdge()
	c.publishURLs()
}

func (c *chaos) pausePublisher(keep int) {
	c.t.Helper()
	if err := c.pub.stop(); err != nil {
		c.t.Errorf("publisher: %v", err)
	}
	time.Sleep(time.Duration(c.rnd.IntN(500)) * time.Millisecond) // what waits becomes a batch
	c.keep = keep
	c.publish()
}

func (c *chaos) publishURLs() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.urls = nil
	for _, n := range c.edges {
		c.urls = append(c.urls, n.url)
	}
}

// someEdge is where a client goes next.
func (c *chaos) someEdge(rnd *rand.Rand) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.urls[rnd.IntN(len(c.urls))]
}

// rest waits until all that was written is in the stream and recorded.
func (c *chaos) rest() {
	c.t.Helper()
	const row, own = "the very last row", "the very last of a service"
	c.exec(`INSERT INTO notifications (user_id, type, title) VALUES ('nobody', 'marker', ?)`, row)
	js, err := jetstream.New(c.nc)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := js.Publish(c.t.Context(), "ingest.user.nobody.notification", fmt.Appendf(nil, "%q", own)); err != nil {
		c.t.Fatal(err)
	}
	for _, last := range []string{row, own} {
		c.await(last+" in the stream", func() bool { return c.tape.find("user.nobody.notification", last) > 0 })
		c.end = max(c.end, c.tape.find("user.nobody.notification", last))
	}
}

// judge holds all that was told against the stream.
func (c *chaos) judge() {
	c.t.Helper()
	h := c.tape.chronicle(c.end)
	c.shop.verify(h)
	var sum tally
	for _, w := range c.clients {
		a := &audit{h: h, wanderer: w, tally: &sum}
		a.run()
	}
	c.t.Logf("%d messages (%d not recorded), %d epochs, %d changes committed", c.end, len(h.holes), len(h.epochs), c.shop.committed)
	c.t.Logf("%+v", sum)
	c.t.Logf("recovered:false without need: %d of %d resumes (%.2f %%)", sum.Needless, sum.Resumes, 100*float64(sum.Needless)/float64(max(1, sum.Resumes)))
	if sum.Live == 0 || sum.Recovered == 0 {
		c.t.Errorf("the run has shown too little: %+v", sum)
	}
}
