package chaos_test

import (
	"testing"

	"github.com/petpro/fabric/test/pgtest"
	"github.com/petpro/fabric/test/shoptest"
)

// The primary is gone and a replica takes its place. PostgreSQL 15 has no slot
// there: what followed the position is lost, and said. An outbox is a table like
// any other and went along: nothing is lost.
func TestFailover(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind shoptest.Kind
		lost bool
	}{{shoptest.Postgres, true}, {shoptest.Outbox, false}, {shoptest.Postgres17, false}} {
		t.Run(tt.kind.Name, func(t *testing.T) {
			t.Parallel()
			failOver(t, tt.kind, tt.lost)
		})
	}
}

func failOver(t *testing.T, kind shoptest.Kind, lost bool) {
	rnd := random(t)
	f := newCounted(t, kind, some)
	var opts []pgtest.Option
	if kind.Name == shoptest.Postgres17.Name {
		opts = append(opts, pgtest.Setting("sync_replication_slots", "on"), pgtest.Setting("hot_standby_feedback", "on"))
	}
	f.prepare()
	replica := pgtest.Replica(t, f.server, append(opts, kind.Server()...)...)
	f.shop.Among(f.server, replica)
	p := f.publish()
	l := startLoad(f, rnd)
	f.advance(300)
	l.end()
	before := f.history() // all of it is in the stream
	replica.Follow(t, f.server)
	if kind.Name == shoptest.Postgres17.Name {
		f.slotSynced(replica)
	}
	f.server.Kill(t)
	replica.Promote(t)
	f.shop.MoveTo(t, replica)

	if lost {
		f.saysLost(p.halted())
		f.settings["on_lost"] = "epoch"
		p.start()
		f.newEpoch(p)
	}
	l = startLoad(f, rnd)
	f.advance(100)
	h := f.settle(l)
	if lost {
		h.verifyEpochs(t, 2)
		f.verifyPresent(h)
	} else {
		h.verifyEpochs(t, 1)
		f.verify(h)
	}
	t.Logf("%d messages before, %d after", before.messages, h.messages)
	p.stop()
}

// slotSynced waits until the replica's copy of the slot is one that survives
// its promotion, and has come as far as the slot.
func (f *fabric) slotSynced(replica *pgtest.Server) {
	f.t.Helper()
	query := `SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE NOT temporary AND slot_name = '` + f.slot() + `'`
	await(f.t, "slot on the replica", func() bool {
		there := ask(f.t, replica, query)
		return there != "" && there == ask(f.t, f.server, query)
	})
}
