package feed_test

import (
	"os"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/petpro/fabric/edge/feed"
	"github.com/petpro/fabric/edge/hub"
)

// reset waits until the feed has begun a later generation.
func reset(t *testing.T, f *feed.Feed, old hub.View) hub.View {
	t.Helper()
	return await(t, f, "begun anew", func(v hub.View) bool { return v.Ready && v.Gen > old.Gen })
}

func TestStreamCreatedAnew(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		// before and after count the messages of the old and the new stream.
		before, after int
	}{
		{"shorter", 50, 10},
		{"longer", 10, 50},
		{"of the same length", 20, 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := prepare(t, 100)
			g := &gate{}
			r.edge = r.ns.Conn(t, nats.SetCustomDialer(g))
			f := r.running(t)
			old := reach(t, f, r.publishMany(t, tt.before, status, `{}`))
			g.shut() // or the tail would see the new stream grow
			if err := r.js.DeleteStream(t.Context(), streamName); err != nil {
				t.Fatal(err)
			}
			r.provision(t)
			end := r.publishMany(t, tt.after, status, `{}`)
			g.open()
			v := reset(t, f, old)
			if v.Epoch == old.Epoch || v.Last != end {
				t.Errorf("epoch %s, Last %d, want another epoch than %s and %d", v.Epoch, v.Last, old.Epoch, end)
			}
			next := r.publish(t, "booking.42.status", `{}`)
			reach(t, f, next)
			readAll(t, f, v.Gen, end)
		})
	}
	t.Run("nothing of the ring is stored", func(t *testing.T) {
		r := prepare(t, 2)
		g := &gate{}
		r.edge = r.ns.Conn(t, nats.SetCustomDialer(g))
		r.cfg.RingBytes = 8 << 10
		f := r.running(t)
		one := func(int) string { return "booking.42.status" }
		reach(t, f, r.publishMany(t, 60, status, `{}`)) // pushes the epoch out of the ring
		old := reach(t, f, r.publishMany(t, 100, one, `{}`))
		g.shut()
		if err := r.js.DeleteStream(t.Context(), streamName); err != nil {
			t.Fatal(err)
		}
		r.provision(t)
		r.publishMany(t, 300, one, `{}`)
		g.open()
		if v := reset(t, f, old); v.Epoch == old.Epoch {
			t.Errorf("epoch %s, want another one", v.Epoch)
		}
	})
	t.Run("while connected", func(t *testing.T) {
		r := prepare(t, 100)
		f := r.running(t)
		old := reach(t, f, r.publishMany(t, 50, status, `{}`))
		if err := r.js.DeleteStream(t.Context(), streamName); err != nil {
			t.Fatal(err)
		}
		await(t, f, "away without a stream", func(v hub.View) bool { return v.Away })
		if v := f.View(); v.Gen != old.Gen || v.Last != old.Last {
			t.Errorf("generation %d at %d before there is another stream, want %d at %d", v.Gen, v.Last, old.Gen, old.Last)
		}
		r.provision(t)
		if v := reset(t, f, old); v.Epoch == old.Epoch {
			t.Errorf("epoch %s, want another one", v.Epoch)
		}
		await(t, f, "no longer away", func(v hub.View) bool { return !v.Away })
	})
}

// TestOlderCopyRestored: the store of NATS is put back to an earlier state, as
// after a power cut without sync or a restore of a backup.
func TestOlderCopyRestored(t *testing.T) {
	for _, tt := range []struct {
		name string
		// lost messages were read by the edge and are gone, grown ones are
		// published in their place before the edge comes back.
		lost, grown int
	}{
		{"shorter", 30, 0},
		{"grown to the same length", 30, 30},
		{"grown beyond", 30, 60},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := prepare(t, 100)
			g := &gate{}
			r.edge = r.ns.Conn(t, nats.SetCustomDialer(g))
			f := r.running(t)
			kept := r.publishMany(t, 20, status, `{"before":true}`)
			reach(t, f, kept)
			copied := t.TempDir()
			r.ns.Stop()
			copyDir(t, r.ns.Dir(), copied)
			r.ns.Start(t)
			r.reconnected(t)
			old := reach(t, f, r.publishMany(t, tt.lost, status, `{"lost":true}`))

			g.shut()
			r.ns.Stop()
			if err := os.RemoveAll(r.ns.Dir()); err != nil {
				t.Fatal(err)
			}
			copyDir(t, copied, r.ns.Dir())
			r.ns.Start(t)
			r.reconnected(t)
			end := kept
			if tt.grown > 0 {
				end = r.publishMany(t, tt.grown, status, `{"grown":true}`)
			}
			if want := kept + uint64(tt.grown); end != want {
				t.Fatalf("the restored stream ends at %d, want %d", end, want)
			}
			g.open()
			v := reset(t, f, old)
			if v.Epoch != old.Epoch || v.Last != end {
				t.Errorf("epoch %s, Last %d, want %s, %d", v.Epoch, v.Last, old.Epoch, end)
			}
			msgs, ok := f.Room(v.Gen, "booking.29", 1, v.Last, nil)
			for _, m := range msgs {
				if string(m.Data) == `{"lost":true}` {
					t.Errorf("message %d of the lost history is still in the ring", m.Seq)
				}
			}
			if !ok {
				t.Error("Room is not ok")
			}
		})
	}
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// TestKeepDropsWhatTheRingHolds: that none of the ring is stored any more is
// no other history.
func TestKeepDropsWhatTheRingHolds(t *testing.T) {
	r := prepare(t, 2)
	f := r.running(t)
	end := r.publishMany(t, 200, func(int) string { return "booking.42.status" }, `{}`)
	v := reach(t, f, end)
	if err := r.edge.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	end = r.publishMany(t, 200, func(int) string { return "booking.42.status" }, `{}`)
	if now := reach(t, f, end); now.Gen != v.Gen {
		t.Errorf("generation = %d, want %d", now.Gen, v.Gen)
	}
}
