package chaos_test

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/petpro/fabric/test/shoptest"
)

const (
	// takeOver is how long a standby may take after the active publisher was
	// killed, handOver after it was stopped in good order.
	takeOver = 15 * time.Second
	handOver = 5 * time.Second
	// zombieSeen is how long it may take until nobody waits any more for a
	// publisher that hangs while its connections stay open.
	zombieSeen = 45 * time.Second
)

// Two publishers of one source under load. The active one is killed, stopped
// and frozen; each time the other goes on where it was, and what comes back
// stands by.
func TestStandby(t *testing.T) {
	t.Parallel()
	for _, kind := range []shoptest.Kind{shoptest.Postgres, shoptest.Outbox, shoptest.OutboxPooled} {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			takeTurns(t, kind)
		})
	}
}

func takeTurns(t *testing.T, kind shoptest.Kind) {
	rnd := random(t)
	f := newCounted(t, kind, some)
	f.logWholeRows()
	f.prepare()
	active, standby := f.publish(), f.newPublisher()
	standby.start()
	standby.waits()
	l := startLoad(f, rnd)
	f.advance(100)

	for range max(1, *killsFlag/20) {
		rest(rnd)
		took := f.measure(standby, func() { active.kill() })
		t.Logf("take-over after a kill: %d ms", took.Milliseconds())
		if took > takeOver {
			t.Errorf("take-over after a kill took %s, want at most %s", took, takeOver)
		}
		active.start()
		active.waits()
		active, standby = standby, active

		rest(rnd)
		took = f.measure(standby, func() { active.stop() })
		t.Logf("take-over after a stop: %d ms", took.Milliseconds())
		if took > handOver {
			t.Errorf("take-over after a stop took %s, want at most %s", took, handOver)
		}
		active.start()
		active.waits()
		active, standby = standby, active
	}

	rest(rnd)
	took := f.measure(standby, func() { active.pause() })
	t.Logf("take-over from a frozen one: %d ms", took.Milliseconds())
	f.advance(100)
	active.resume()
	zombie := active
	zombie.waits()
	before := zombie.metric("fabric_publisher_events_total")
	f.advance(100)
	if after := zombie.metric("fabric_publisher_events_total"); after != before {
		t.Errorf("the publisher that had been frozen has published %g events since it came back", after-before)
	}

	h := f.settle(l)
	f.verify(h)
	h.verifyEpochs(t, 1)
	t.Logf("%s; %d messages", l, h.messages)
	zombie.stop()
	standby.stop()
}

// Two publishers at once, each of which believes to be the one: SQLite has
// nothing that tells them apart, and elsewhere it is taken away from the active
// one again and again. The stream refuses whoever is behind, so nothing is there
// twice or out of order.
func TestTwoPublishersAtOnce(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind shoptest.Kind
		take string // what takes the source away
	}{
		{shoptest.SQLite, `SELECT 1`},
		{shoptest.Postgres, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted`},
		{shoptest.Outbox, `UPDATE fabric.lease SET until = '-infinity'`},
	} {
		t.Run(tt.kind.Name, func(t *testing.T) {
			t.Parallel()
			rnd := random(t)
			f := newCounted(t, tt.kind, some)
			f.prepare()
			a := f.publish()
			b := f.newPublisher()
			b.start()
			l := startLoad(f, rnd)
			for range 10 {
				f.advance(20 + rnd.IntN(100))
				f.shop.Exec(t, tt.take)
			}
			h := f.settle(l)
			f.verify(h)
			h.verifyEpochs(t, 1)
			t.Logf("%s; %d messages; refused: %g and %g", l, h.messages, a.metric("fabric_publisher_nacks_total"), b.metric("fabric_publisher_nacks_total"))
			a.stop()
			b.stop()
		})
	}
}

// rest lets the fabric work for a moment, so that what happens next does not
// always happen at the same point.
func rest(rnd *rand.Rand) { time.Sleep(time.Duration(rnd.IntN(300)) * time.Millisecond) }

// waits waits until the publisher stands by and is well.
func (p *publisher) waits() {
	p.t.Helper()
	awaitWithin(p.t, zombieSeen, "publisher that stands by", func() bool {
		if !p.running() {
			p.t.Fatalf("the publisher ended: %v\n%s", p.err, p.log(4<<10))
		}
		return p.metric("fabric_publisher_active") == 0 && strings.Contains(p.log(64<<10), "standing by")
	})
}

// measure does something to the active publisher and says how long it took
// until changes came into the stream again, by way of next.
func (f *fabric) measure(next *publisher, do func()) time.Duration {
	f.t.Helper()
	began := time.Now()
	do()
	awaitWithin(f.t, zombieSeen, "publisher that takes over", func() bool { return next.metric("fabric_publisher_active") == 1 })
	last := f.last()
	await(f.t, "change after the take-over", func() bool { return f.last() > last })
	return time.Since(began)
}

// metric is the value of one of the publisher's metrics; -1 if it does not
// answer.
func (p *publisher) metric(name string) float64 {
	_, text := p.get("/metrics")
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				p.t.Fatalf("%s: %v", line, err)
			}
			return v
		}
	}
	return -1
}
