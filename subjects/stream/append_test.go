package stream_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
	"github.com/petpro/fabric/test/natstest"
)

func messages(n int) []*nats.Msg {
	msgs := make([]*nats.Msg, n)
	for i := range msgs {
		msgs[i] = nats.NewMsg(fmt.Sprintf("booking.%d.status", i))
		msgs[i].Header.Set(subjects.PositionHeader, fmt.Sprintf("petpro=%d;map=a", i))
	}
	return msgs
}

func TestAppendStoresAllOrNothing(t *testing.T) {
	nc := natstest.Run(t).Conn(t)
	ctx := within(t, 30*time.Second)
	if _, err := stream.Ensure(ctx, nc, config()); err != nil {
		t.Fatal(err)
	}
	leader := stream.NewLeader(nc, "FABRIC")
	last := uint64(1)
	for _, n := range []int{1, 2, 1, stream.MaxBatch} {
		got, err := stream.Append(ctx, nc, "FABRIC", last, messages(n)...)
		if err != nil || got != last+uint64(n) {
			t.Fatalf("Append of %d behind %d = %d, %v", n, last, got, err)
		}
		if _, err := stream.Append(ctx, nc, "FABRIC", last, messages(n)...); !errors.Is(err, stream.ErrMoved) {
			t.Errorf("Append of the same %d again = %v, want ErrMoved", n, err)
		}
		last = got
		if s, err := leader.State(ctx); err != nil || s.Last != last {
			t.Errorf("stream ends at %d, %v, want %d", s.Last, err, last)
		}
	}
	for _, n := range []int{0, stream.MaxBatch + 1} {
		if _, err := stream.Append(ctx, nc, "FABRIC", last, messages(n)...); err == nil {
			t.Errorf("Append of %d messages succeeds", n)
		}
	}
}

func TestAppendWithoutStream(t *testing.T) {
	nc := natstest.Run(t).Conn(t)
	if _, err := stream.Append(within(t, 10*time.Second), nc, "FABRIC", 0, messages(1)...); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("Append without a stream = %v, want %v", err, nats.ErrNoResponders)
	}
}

func TestAppendGivesUpWithItsContext(t *testing.T) {
	ns := natstest.Run(t)
	nc := ns.Conn(t)
	if _, err := stream.Ensure(t.Context(), nc, config()); err != nil {
		t.Fatal(err)
	}
	ns.Stop()
	if _, err := stream.Append(within(t, 100*time.Millisecond), nc, "FABRIC", 1, messages(3)...); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Append without a server = %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestStanding(t *testing.T) {
	ns := natstest.Run(t)
	nc := ns.Conn(t)
	ctx := within(t, 30*time.Second)
	leader := stream.NewLeader(nc, "FABRIC")
	check := func(when string, want stream.Standing) {
		t.Helper()
		got, err := leader.Standing(ctx, nil)
		if age := time.Since(got.Now); age < -time.Second || age > time.Minute {
			t.Errorf("%s: the leader's clock says %v", when, got.Now)
		}
		got.Time, got.Now = time.Time{}, time.Time{}
		if err != nil || got != want {
			t.Errorf("%s: Standing = %+v, %v, want %+v", when, got, err, want)
		}
	}
	if _, err := stream.Ensure(ctx, nc, config()); err != nil {
		t.Fatal(err)
	}
	check("epoch only", stream.Standing{Last: 1})

	js := ns.JS(t)
	if _, err := js.Publish(ctx, "booking.x.status", nil); err != nil {
		t.Fatal(err)
	}
	check("foreign only", stream.Standing{Last: 2, Foreign: 1})

	if _, err := stream.Append(ctx, nc, "FABRIC", 2, messages(3)...); err != nil {
		t.Fatal(err)
	}
	check("own last", stream.Standing{Last: 5, Position: "petpro=2;map=a", Seq: 5})

	for range 3 {
		if _, err := js.Publish(ctx, "booking.x.status", nil); err != nil {
			t.Fatal(err)
		}
	}
	check("foreign last", stream.Standing{Last: 8, Position: "petpro=2;map=a", Seq: 5, Foreign: 3})

	// A purge of the newest message must not make Append wait for a sequence
	// that will never be the last one again.
	s, err := js.Stream(ctx, "FABRIC")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(ctx); err != nil {
		t.Fatal(err)
	}
	check("purged", stream.Standing{Last: 8})
	if _, err := stream.Append(ctx, nc, "FABRIC", 8, messages(1)...); err != nil {
		t.Errorf("Append behind purged messages: %v", err)
	}
}
