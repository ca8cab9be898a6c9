package chaos_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/subjects/stream"
	"github.com/petpro/fabric/test/shoptest"
)

// Somebody deletes the stream, while the publisher runs or while it is away.
// It is made anew, under another epoch, and has the present state.
func TestStreamRecreated(t *testing.T) {
	t.Parallel()
	for _, kind := range []shoptest.Kind{shoptest.SQLite, shoptest.Postgres, shoptest.Outbox} {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			streamRecreated(t, kind)
		})
	}
}

func streamRecreated(t *testing.T, kind shoptest.Kind) {
	rnd := random(t)
	f := newCounted(t, kind, some)
	f.settings["on_lost"] = "epoch"
	f.prepare()
	p := f.publish()
	l := startLoad(f, rnd)
	for _, running := range []bool{true, false} {
		f.advance(200)
		first := f.epoch()
		if !running {
			p.kill()
		}
		js, err := jetstream.New(f.nc)
		if err != nil {
			t.Fatal(err)
		}
		if err := js.DeleteStream(t.Context(), "FABRIC"); err != nil {
			t.Fatal(err)
		}
		if !running {
			p.start()
		}
		await(t, "stream with another epoch", func() bool { e := f.epoch(); return e != "" && e != first })
		f.initial(p)
	}
	f.advance(100)
	h := f.settle(l)
	f.verifyPresent(h)
	p.stop()
}

// epoch in force; "" if there is no stream.
func (f *fabric) epoch() string {
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Second)
	defer cancel()
	e, err := stream.NewLeader(f.nc, "FABRIC").Epoch(ctx)
	if err != nil {
		return ""
	}
	return e.Epoch.Epoch
}
