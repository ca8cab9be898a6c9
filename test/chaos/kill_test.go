package chaos_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/petpro/fabric/test/shoptest"
)

// victim is what a kill ends and starts again.
type victim struct {
	name        string
	kill, start func()
}

// Publisher, nats-server and database are killed under load, first each alone,
// then any of them together. Every committed change is in the stream once, in
// order per booking, and no kill costs an epoch.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	for _, kind := range []shoptest.Kind{shoptest.SQLite, shoptest.Postgres, shoptest.Outbox} {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			killUnderLoad(t, kind, false)
		})
	}
	if *killsFlag > 20 {
		t.Run("postgres, whole rows", func(t *testing.T) {
			t.Parallel()
			killUnderLoad(t, shoptest.Postgres, true)
		})
	}
}

func killUnderLoad(t *testing.T, kind shoptest.Kind, wholeRows bool) {
	rnd := random(t)
	f := newCounted(t, kind, many)
	if wholeRows {
		f.logWholeRows()
	}
	f.prepare()
	p := f.publish()
	l := startLoad(f, rnd)
	victims := f.victims(p)
	began := time.Now()
	for i := range *killsFlag {
		f.advance(20 + rnd.IntN(200)) // all are at work again
		if i%7 == 3 {
			l.huge()
			time.Sleep(time.Duration(rnd.IntN(600)) * time.Millisecond) // somewhere in the large transaction
		}
		time.Sleep(time.Duration(rnd.IntN(40)) * time.Millisecond) // the moment of the kill
		strike(rnd, choose(rnd, victims, i))
	}
	took := time.Since(began)
	f.advance(20)
	h := f.settle(l)
	f.verify(h)
	h.verifyEpochs(t, 1)
	t.Logf("%d kills in %.1f s; %s; %d messages", *killsFlag, took.Seconds(), l, h.messages)
	if l.committed.Load() < int64(5**killsFlag) {
		t.Errorf("the load has shown too little: %s", l)
	}
	p.stop()
}

// victims of a fabric; a SQLite database cannot be killed.
func (f *fabric) victims(p *publisher) []victim {
	out := []victim{
		{"publisher", func() { p.kill() }, func() { p.start() }},
		{"nats-server", func() { f.broker.kill() }, func() { f.broker.start() }},
	}
	if f.server != nil {
		out = append(out, victim{"database", func() { f.server.Crash(f.t) }, func() { f.server.Start(f.t) }})
	}
	return out
}

// choose takes each in turn, and any number of them every fourth time.
func choose(rnd *rand.Rand, all []victim, i int) []victim {
	if i%4 != 3 {
		return all[i%4%len(all):][:1]
	}
	out := append([]victim(nil), all...)
	rnd.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out[:2+rnd.IntN(len(out)-1)]
}

// strike kills and starts again, in orders of their own.
func strike(rnd *rand.Rand, victims []victim) {
	for _, v := range victims {
		v.kill()
		time.Sleep(time.Duration(rnd.IntN(10)) * time.Millisecond) // what the others do meanwhile
	}
	rnd.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
	for _, v := range victims {
		v.start()
	}
}
