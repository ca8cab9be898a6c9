package chaos_test

import (
	"strings"
	"testing"

	"github.com/petpro/fabric/test/shoptest"
)

// A mapped column is renamed under load. The publisher halts and lists the real
// columns; the shop goes on writing. Once mapping and database are mended it
// goes on where it was, and nothing is lost.
func TestColumnRenamed(t *testing.T) {
	t.Parallel()
	for _, kind := range []shoptest.Kind{shoptest.Postgres, shoptest.Outbox} {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			columnRenamed(t, kind)
		})
	}
}

func columnRenamed(t *testing.T, kind shoptest.Kind) {
	rnd := random(t)
	f := newCounted(t, kind, some)
	f.prepare()
	p := f.publish()
	l := startLoad(f, rnd)
	f.advance(200)

	f.shop.Exec(t, `ALTER TABLE bookings RENAME COLUMN version TO revision`)
	f.column = "revision"
	l.column.Store(&f.column)
	log := p.halted()
	for _, want := range []string{"bookings", "version", "revision", "deleted_at"} { // the last two are among the real columns
		if !strings.Contains(complaint(log), want) {
			t.Errorf("the publisher halted without %q: %s", want, complaint(log))
		}
	}
	written := l.committed.Load()
	await(t, "shop that goes on writing", func() bool { return l.committed.Load() > written+30 })

	// The old mapping cannot work any more: it says so at once.
	p.start()
	if log := p.halted(); !strings.Contains(complaint(log), "revision") {
		t.Errorf("the second start: %s", complaint(log))
	}
	f.mapping = strings.NewReplacer("status, version,", "status, revision,", "{version}", "{revision}").Replace(f.mapping)
	f.prepare()
	p.start()
	f.advance(100)
	h := f.settle(l)
	f.verify(h)
	h.verifyEpochs(t, 1)
	t.Logf("%s; %d messages", l, h.messages)
	p.stop()
}

// complaint is what a publisher said at its end.
func complaint(log string) string { return log[max(0, strings.LastIndex(log, "\npublisher: ")):] }
