package e2e_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// NATS is restarted under load, three times: sessions stay, and see every
// change once and in order.
func TestBrokerRestartedUnderLoad(t *testing.T) {
	t.Parallel()
	s := start(t, 10, withKeep(10_000))
	names := make([]any, 10)
	for i := range names {
		names[i] = room(i)
	}
	clients := []*client{dial(t, s.edges[0].url), dial(t, s.edges[1].url)}
	for _, c := range clients {
		c.connect(token(t, "carl"), "", names...)
	}
	stop, n := make(chan struct{}), 0
	var wg sync.WaitGroup
	wg.Go(func() {
		for ; ; n++ {
			select {
			case <-stop:
				return
			default:
				s.set(n%10, fmt.Sprintf("s%d", n))
				time.Sleep(5 * time.Millisecond) // the rate of the load
			}
		}
	})
	for range 3 {
		s.await("load reaching a client", func() bool { return len(clients[0].events("")) > 20 })
		s.nats.Stop()
		for _, c := range clients {
			if _, body := s.edges[0].readyz(t); body == "" {
				t.Error("no body from /readyz while the broker is away")
			}
			if f := c.reply(c.send("ping", map[string]any{})); f.Error != nil {
				t.Errorf("a session while the broker is away: %+v", f)
			}
		}
		s.nats.Start(t)
	}
	close(stop)
	wg.Wait()
	last := fmt.Sprintf("s%d", n-1)
	for i, c := range clients {
		c.wait("the last change", func(f frame) bool { return f.Event != nil && slices.Contains(statuses([]event{*f.Event}), last) })
		got := statuses(liveOnly(c.events("")))
		if len(got) != n {
			t.Errorf("client %d: %d events, want %d", i, len(got), n)
		}
		for k := range got {
			if want := fmt.Sprintf("s%d", k); got[k] != want {
				t.Fatalf("client %d: event %d is %s, want %s", i, k, got[k], want)
			}
		}
		if g := c.gaps(); len(g) > 0 {
			t.Errorf("client %d: gaps %+v", i, g)
		}
	}
}

// Without a broker a connect is accepted and answered when it is back; a join
// gets 108; sessions are told that the data may lag, and that it no longer
// does.
func TestBrokerAway(t *testing.T) {
	t.Parallel()
	s := start(t, 2)
	c := dial(t, s.edges[0].url)
	c.connect(token(t, "carl"), "", room(0))
	s.nats.Stop()
	c.wait("stale", func(f frame) bool { return f.State != nil && f.State.Stale })
	if f := c.reply(c.send("join", map[string]any{"room": room(1)})); f.Error == nil || f.Error.Code != 108 || !f.Error.Temporary {
		t.Errorf("join: %+v, want error 108, temporary", f)
	}
	if code, body := s.edges[0].readyz(t); code != 200 {
		t.Errorf("/readyz says %d %s; an outage of the broker must not drop every edge", code, body)
	}
	parked := dial(t, s.edges[1].url)
	id := parked.send("connect", map[string]any{"token": token(t, "vera"), "rooms": []any{room(0)}})
	s.set(0, "confirmed")
	s.nats.Start(t)
	if f := parked.reply(id); f.Connect == nil {
		t.Errorf("the parked connect: %+v", f)
	}
	c.wait("fresh again", func(f frame) bool { return f.State != nil && !f.State.Stale })
	for _, c := range []*client{c, parked} {
		c.wait("what was missed", func(f frame) bool {
			return f.Event != nil && slices.Contains(statuses([]event{*f.Event}), "confirmed")
		})
	}
}

// An edge that drains turns unready, sends its sessions away one by one with a
// word, and ends; they resume on the other.
func TestDrain(t *testing.T) {
	t.Parallel()
	s := start(t, 1)
	const n = 20
	clients := make([]*client, n)
	for i := range clients {
		clients[i] = dial(t, s.edges[0].url)
		clients[i].connect(token(t, []string{"carl", "vera"}[i%2]), "", room(0))
	}
	idle := dial(t, s.edges[0].url) // has not connected
	first := s.edges[0]
	first.cancel()
	var after []int
	for i, c := range clients {
		if code := c.ended(); code != 3001 {
			t.Errorf("client %d closed with %d, want 3001", i, code)
		}
		f := c.wait("disconnect", func(f frame) bool { return f.Disconnect != nil })
		if !f.Disconnect.Reconnect {
			t.Errorf("disconnect %+v does not ask to come back", f.Disconnect)
		}
		after = append(after, f.Disconnect.After)
	}
	idle.ended()
	if err := first.stop(); err != nil {
		t.Errorf("the edge: %v", err)
	}
	if slices.Max(after) == 0 {
		t.Error("nobody was told to wait before reconnecting")
	}
	s.set(0, "confirmed")
	s.published(0, "confirmed")
	c := dial(t, s.edges[1].url)
	if r := c.connect(token(t, "carl"), clients[0].position(), room(0)); !r.Recovered {
		t.Errorf("resume on the other edge: %+v", r)
	}
	c.wait("what was missed", func(f frame) bool {
		return f.Event != nil && slices.Contains(statuses([]event{*f.Event}), "confirmed")
	})
}

// liveOnly leaves snapshots out.
func liveOnly(events []event) []event {
	var out []event
	for _, e := range events {
		if !e.Snapshot {
			out = append(out, e)
		}
	}
	return out
}
