package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/edge/auth"
)

// latency changes bookings at a steady rate, one transaction each, and
// measures when a client on a socket has the event: from the moment the
// UPDATE was sent, and from the moment its commit returned.
func latency(ctx context.Context, args []string) error {
	fs := flags("latency")
	source, identity := sourceFlag(fs), identityFlag(fs)
	rate := fs.Int("rate", 50, "changes per second")
	seconds := fs.Int("seconds", 30, "how long")
	sync := fs.Bool("sync", false, "nats-server with sync_always")
	fs.Parse(args)

	r, err := newRig(ctx, *sync, "publisher", "edge")
	defer r.close()
	if err != nil {
		return err
	}
	s, err := r.openShop(ctx, *source, "shop", 200)
	if err != nil {
		return err
	}
	s.identity = *identity
	file, err := r.configure(ctx, s, "")
	if err != nil {
		return err
	}
	pub, err := r.publisher(ctx, file)
	if err != nil {
		return err
	}
	node, url, _, err := r.edge(ctx, file)
	if err != nil {
		return err
	}
	got, err := listenTo(url, 200)
	if err != nil {
		return err
	}
	defer got.conn.Close()

	n := *rate * *seconds
	sent, committed := make([]time.Time, n), make([]time.Time, n)
	cpu := [3]time.Duration{pub.cpu(), node.cpu(), r.nats.cpu()}
	progress("%d changes at %d/s", n, *rate)
	tick := time.NewTicker(time.Second / time.Duration(*rate))
	defer tick.Stop()
	for i := range n {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		sent[i] = time.Now()
		if _, err := s.db.ExecContext(ctx, s.set(), fmt.Sprintf("n%d", i), fmt.Sprintf("b_%d", i%200)); err != nil {
			return err
		}
		committed[i] = time.Now()
		if i%(*rate*5) == 0 {
			progress("  %d", i)
		}
	}
	if err := r.await(ctx, "the last event", func() bool { return got.count() == n }); err != nil {
		return fmt.Errorf("%d of %d events arrived: %w", got.count(), n, err)
	}
	used := [3]time.Duration{pub.cpu() - cpu[0], node.cpu() - cpu[1], r.nats.cpu() - cpu[2]}
	stored, err := r.stored(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("| source | from | to | p50 | p90 | p99 | max |\n|---|---|---|---|---|---|---|\n")
	print := func(from string, since []time.Time, to string, at map[int]time.Time) {
		fmt.Printf("| %s | %s | %s | %s |\n", *source, from, to, quantiles(since, at))
	}
	print("commit returned", committed, "in the stream", stored)
	print("commit returned", committed, "client", got.at)
	print("UPDATE sent", sent, "client", got.at)
	fmt.Printf("\n%d changes, %d events, none lost. CPU: publisher %.2f s, edge %.2f s, nats-server %.2f s.\n",
		n, got.count(), used[0].Seconds(), used[1].Seconds(), used[2].Seconds())
	return nil
}

// arrivals of events on one socket, by the number in their status.
type arrivals struct {
	conn *websocket.Conn
	mu   sync.Mutex
	at   map[int]time.Time
}

// listenTo connects as an admin-like client whose token covers all bookings.
func listenTo(url string, bookings int) (*arrivals, error) {
	tok, err := auth.Mint([]byte(secret), "watcher", nil, []string{"booking.*"}, time.Hour)
	if err != nil {
		return nil, err
	}
	rooms := make([]string, bookings)
	for i := range rooms {
		rooms[i] = fmt.Sprintf("booking.b_%d", i)
	}
	conn, err := connect(url, tok, rooms)
	if err != nil {
		return nil, err
	}
	a := &arrivals{conn: conn, at: map[int]time.Time{}}
	go a.read()
	return a, nil
}

// connect opens a session and waits until it is live.
func connect(url, token string, rooms []string) (*websocket.Conn, error) {
	d := websocket.Dialer{Subprotocols: []string{"fabric.v1.json"}, ReadBufferSize: 4096, WriteBufferSize: 1024}
	conn, _, err := d.Dial("ws"+strings.TrimPrefix(url, "http")+"/v1/ws", nil)
	if err != nil {
		return nil, err
	}
	if err := conn.WriteJSON(map[string]any{"id": 1, "connect": map[string]any{"token": token, "rooms": rooms}}); err != nil {
		return nil, err
	}
	for {
		_, msg, err := conn.ReadMessage()
		if err != nil {
			return nil, err
		}
		if strings.Contains(string(msg), `{"live":{"cursor"`) {
			return conn, nil
		}
	}
}

func (a *arrivals) read() {
	for {
		_, msg, err := a.conn.ReadMessage()
		now := time.Now()
		if err != nil {
			return
		}
		for line := range strings.SplitSeq(string(msg), "\n") {
			var f struct {
				Event *struct {
					Data struct{ Status string }
				}
			}
			var i int
			if json.Unmarshal([]byte(line), &f) != nil || f.Event == nil {
				continue
			}
			if _, err := fmt.Sscanf(f.Event.Data.Status, "n%d", &i); err == nil {
				a.mu.Lock()
				a.at[i] = now
				a.mu.Unlock()
			}
		}
	}
}

func (a *arrivals) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.at)
}

// stored is when the stream took each change, by its own clock, which is this
// machine's.
func (r *rig) stored(ctx context.Context) (map[int]time.Time, error) {
	js, err := jetstream.New(r.nc)
	if err != nil {
		return nil, err
	}
	c, err := js.OrderedConsumer(ctx, "FABRIC", jetstream.OrderedConsumerConfig{FilterSubjects: []string{"booking.*.status"}})
	if err != nil {
		return nil, err
	}
	at := map[int]time.Time{}
	for {
		m, err := c.Next(jetstream.FetchMaxWait(10 * time.Second))
		if err != nil {
			return nil, err
		}
		meta, err := m.Metadata()
		if err != nil {
			return nil, err
		}
		var p struct{ Status string }
		var i int
		if json.Unmarshal(m.Data(), &p) == nil {
			if _, err := fmt.Sscanf(p.Status, "n%d", &i); err == nil {
				at[i] = meta.Timestamp
			}
		}
		if meta.NumPending == 0 {
			return at, nil
		}
	}
}

// quantiles of the time from each start to its arrival: p50, p90, p99, longest.
func quantiles(from []time.Time, at map[int]time.Time) string {
	d := make([]time.Duration, len(from))
	for i, t := range from {
		d[i] = at[i].Sub(t)
	}
	slices.Sort(d)
	q := func(p float64) string {
		return fmt.Sprintf("%.2f ms", float64(d[int(p*float64(len(d)-1))].Microseconds())/1000)
	}
	return strings.Join([]string{q(.5), q(.9), q(.99), q(1)}, " | ")
}
