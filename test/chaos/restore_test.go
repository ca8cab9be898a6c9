package chaos_test

import (
	"testing"

	"github.com/petpro/fabric/test/shoptest"
)

// The database is restored from a backup, so that it no longer has what the
// stream has. The publisher halts and says so; told to go on, it begins a new
// epoch that ends on what the restored database says.
func TestDatabaseRestored(t *testing.T) {
	t.Parallel()
	for _, kind := range []shoptest.Kind{shoptest.Postgres, shoptest.Outbox} {
		for _, grown := range []bool{false, true} {
			name := kind.Name + "/as it was"
			if grown { // and has got as far again, by another way, before anybody looks
				name = kind.Name + "/grown since"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				databaseRestored(t, kind, grown)
			})
		}
	}
}

func databaseRestored(t *testing.T, kind shoptest.Kind, grown bool) {
	rnd := random(t)
	f := newCounted(t, kind, some)
	f.prepare()
	p := f.publish()
	l := startLoad(f, rnd)
	f.advance(200)
	l.end()
	p.stop()
	f.server.Stop(t)
	saved := f.server.Save(t)
	f.server.Start(t)
	p.start()
	l = startLoad(f, rnd)
	f.advance(500)
	l.end()
	f.arrive()
	p.kill() // at once, so that its place is that of the last transaction
	f.server.Stop(t)
	f.server.Restore(t, saved)
	f.server.Start(t)
	if grown {
		l = startLoad(f, rnd)
		await(t, "as many transactions again", func() bool { return l.committed.Load() > 300 })
		l.end()
	}
	p.start()
	f.saysLost(p.halted())
	f.settings["on_lost"] = "epoch"
	p.start()
	f.newEpoch(p)
	l = startLoad(f, rnd)
	f.advance(100)
	h := f.settle(l)
	h.verifyEpochs(t, 2)
	f.verifyPresent(h)
	p.stop()
}

// newEpoch waits until the publisher publishes in a second epoch.
func (f *fabric) newEpoch(p *publisher) {
	f.t.Helper()
	await(f.t, "new epoch", func() bool {
		if !p.running() {
			f.t.Fatalf("the publisher ended: %v\n%s", p.err, p.log(4<<10))
		}
		return p.metric("fabric_publisher_active") == 1
	})
}
