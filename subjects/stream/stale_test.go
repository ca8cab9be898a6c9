package stream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
	"github.com/petpro/fabric/test/natstest"
)

// stale lists the subjects that Stale finds.
func stale(t *testing.T, nc *nats.Conn, epoch uint64, pattern string) (found []string) {
	t.Helper()
	err := stream.NewLeader(nc, "FABRIC").Stale(t.Context(), epoch, pattern, func(m *jetstream.RawStreamMsg) error {
		found = append(found, fmt.Sprintf("%s=%s", m.Subject, m.Data))
		return nil
	})
	if err != nil {
		t.Fatalf("Stale: %v", err)
	}
	return found
}

// renew writes n records, an epoch, and two records of every three anew. It
// returns the epoch's sequence and what is stale then.
func renew(t *testing.T, nc *nats.Conn, replicas, n int) (epoch uint64, want []string) {
	t.Helper()
	first, err := stream.Ensure(t.Context(), nc, stream.Config{Name: "FABRIC", Kinds: subjects.Kinds{"booking"}, Keep: 10, Retention: time.Hour, Replicas: replicas})
	if err != nil {
		t.Fatal(err)
	}
	last := first.Seq
	add := func(m *nats.Msg) {
		t.Helper()
		if last, err = stream.Append(t.Context(), nc, "FABRIC", last, m); err != nil {
			t.Fatal(err)
		}
	}
	record := func(i int, data string) *nats.Msg {
		return &nats.Msg{Subject: fmt.Sprintf("booking.%d.access", i), Data: []byte(data)}
	}
	for i := range n {
		add(record(i, "first"))
		add(record(i, "old"))
		add(&nats.Msg{Subject: fmt.Sprintf("booking.%d.status", i)})
	}
	add(stream.EpochMessage(stream.NewEpoch("test", 10, time.Hour), ""))
	epoch = last
	for i := range n {
		if i%3 == 0 {
			want = append(want, fmt.Sprintf("booking.%d.access=old", i))
			continue
		}
		add(record(i, "new"))
	}
	return epoch, want
}

func TestStale(t *testing.T) {
	nc := natstest.Run(t).Conn(t)
	epoch, want := renew(t, nc, 1, 700)
	if got := stale(t, nc, epoch, "booking.*.access"); !slices.Equal(got, want) {
		t.Errorf("Stale finds %d records %.200q, want %d %.200q", len(got), got, len(want), want)
	}
	if got := stale(t, nc, epoch, "booking.*.nothing"); got != nil {
		t.Errorf("Stale finds %q, want nothing", got)
	}
	refused := errors.New("refused")
	err := stream.NewLeader(nc, "FABRIC").Stale(t.Context(), epoch, "booking.*.access", func(*jetstream.RawStreamMsg) error { return refused })
	if err != refused {
		t.Errorf("Stale = %v, want the error of the function as it is", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = stream.NewLeader(nc, "FABRIC").Stale(ctx, epoch, "booking.*.access", func(*jetstream.RawStreamMsg) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Stale = %v after its context ended, want context.Canceled", err)
	}
}

// TestStaleOnReplicas looks for stale records again and again right behind the
// last write, through whichever server, while the leader moves.
func TestStaleOnReplicas(t *testing.T) {
	c := natstest.RunCluster(t, 3)
	epoch, want := renew(t, c.Conn(t), 3, 30)
	for i := range 6 {
		nc := c.Servers[i%3].Conn(t)
		if got := stale(t, nc, epoch, "booking.*.access"); !slices.Equal(got, want) {
			t.Fatalf("Stale finds %q, want %q", got, want)
		}
		if i == 3 {
			// A request gets lost while there is no leader.
			for deadline := time.Now().Add(10 * time.Second); ; {
				if _, err := nc.Request("$JS.API.STREAM.LEADER.STEPDOWN.FABRIC", nil, time.Second); err == nil {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("the leader does not step down")
				}
			}
		}
	}
}
