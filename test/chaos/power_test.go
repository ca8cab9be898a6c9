package chaos_test

import (
	"strings"
	"testing"
	"time"

	"github.com/petpro/fabric/test/shoptest"
)

// loss is how much traffic a power cut takes with it: nats-server had
// acknowledged it and not synced it to disk.
const loss = 3 * time.Second

// A power cut takes the stream's last seconds. With confirm_delay longer than
// that it is noticed, a new epoch begins, and everything is there again, once
// and in order: the database still has what the stream lost.
func TestPowerLossWithinDelay(t *testing.T) {
	t.Parallel()
	for _, kind := range []shoptest.Kind{shoptest.SQLite, shoptest.Postgres, shoptest.Outbox} {
		for _, restarted := range []bool{false, true} {
			name := kind.Name + "/publisher lives on"
			if restarted {
				name = kind.Name + "/publisher dies too"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				rnd := random(t)
				f := newCounted(t, kind, some)
				f.settings["confirm_delay"] = "60s"
				f.prepare()
				p := f.publish()
				l := startLoad(f, rnd)
				f.losePower(p, restarted)
				f.advance(50)
				h := f.settle(l)
				f.verify(h)
				h.verifyEpochs(t, 2)
				if got := h.epochs[len(h.epochs)-1].Reason; got != "stream lost data" {
					t.Errorf("the new epoch's reason is %q", got)
				}
				t.Logf("%s; %d messages", l, h.messages)
				p.stop()
			})
		}
	}
}

// losePower lets the fabric work, and then the stream loses its last seconds.
func (f *fabric) losePower(p *publisher, restarted bool) {
	f.t.Helper()
	f.advance(200)
	copied := f.broker.copyStore()
	f.advance(200)
	time.Sleep(loss) // what is written in this time is lost
	if restarted {
		p.kill()
	}
	f.broker.rollBack(copied)
	if restarted {
		p.start()
	}
}

// Without the delay a power cut may lose what the database has forgotten too.
// That is never silent: the publisher halts and says so, or, told to go on,
// begins a new epoch with the present state; afterwards the stream ends on the
// database's truth.
func TestPowerLossWithoutDelay(t *testing.T) {
	t.Parallel()
	for _, kind := range []shoptest.Kind{shoptest.SQLite, shoptest.Postgres, shoptest.Outbox} {
		for _, forgetful := range []bool{false, true} {
			name := kind.Name + "/state kept"
			if forgetful {
				// Only the source can know then. SQLite's change log need not have been
				// pruned, so nothing need be lost.
				name = kind.Name + "/state lost"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				powerLossWithoutDelay(t, kind, forgetful)
			})
		}
	}
}

func powerLossWithoutDelay(t *testing.T, kind shoptest.Kind, forgetful bool) {
	rnd := random(t)
	f := newCounted(t, kind, some)
	f.prepare()
	p := f.publish()
	l := startLoad(f, rnd)
	f.advance(200)
	copied := f.broker.copyStore()
	f.advance(200)
	time.Sleep(loss) // what is written in this time is lost
	p.kill()
	f.broker.rollBack(copied)
	if forgetful {
		p = f.newPublisher() // with another state directory
	}
	p.start()

	complete := f.goesOnOrHalts(p)
	h := f.settle(l)
	if complete {
		f.verify(h)
	} else {
		h.verifyEpochs(t, max(2, len(h.epochs)))
		f.verifyPresent(h)
	}
	if !forgetful && len(h.epochs) < 2 {
		t.Errorf("the loss is silent: %d epochs", len(h.epochs))
	}
	t.Logf("complete %v; %s; %d messages, %d epochs", complete, l, h.messages, len(h.epochs))
	p.stop()
}

// goesOnOrHalts waits until the publisher is at work, which means that nothing
// was lost, or has halted because something was; then the operator tells it to
// go on with a new epoch.
func (f *fabric) goesOnOrHalts(p *publisher) (complete bool) {
	f.t.Helper()
	await(f.t, "publisher that works or has halted", func() bool { return !p.running() || p.metric("fabric_publisher_active") == 1 })
	deadline := time.Now().Add(3 * time.Second) // a source may find out at its first change only
	for p.running() && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	if p.running() {
		f.advance(20)
		return true
	}
	f.saysLost(p.halted())
	f.settings["on_lost"] = "epoch"
	p.start()
	await(f.t, "publisher that goes on", func() bool {
		if !p.running() {
			f.t.Fatalf("the publisher ended: %v\n%s", p.err, p.log(4<<10))
		}
		return p.metric("fabric_publisher_active") == 1
	})
	f.advance(20)
	return false
}

// saysLost wants the sentence that tells an operator what was lost and what to
// do.
func (f *fabric) saysLost(log string) {
	f.t.Helper()
	for _, want := range []string{"no longer has what follows", "publisher.on_lost"} {
		if !strings.Contains(log, want) {
			f.t.Errorf("the publisher halted without %q:\n%s", want, log[max(0, len(log)-4<<10):])
		}
	}
}

// verifyPresent holds the newest values of the stream against the database,
// where what led to them may be lost.
func (f *fabric) verifyPresent(h *history) {
	f.t.Helper()
	f.verifyRecords(h)
	c := complaints{t: f.t}
	f.shop.Query(f.t, `SELECT id, `+f.column+` FROM bookings`, func(scan func(...any) error) error {
		var id string
		var version int
		if err := scan(&id, &version); err != nil {
			return err
		}
		got := h.status[id]
		if len(got) == 0 || got[len(got)-1] != version {
			c.add("%s: the stream ends with %v, the database has version %d", id, got[max(0, len(got)-3):], version)
		}
		return nil
	})
	c.report()
}
