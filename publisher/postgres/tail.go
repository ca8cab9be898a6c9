package postgres

import (
	"context"
	"time"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
	"github.com/petpro/fabric/publisher/postgres/pgoutput"
)

// pulse is how often Run tells how far it has read.
const pulse = time.Second

// tail is one Run behind its Loads.
type tail struct {
	*walk
	s    *Source
	emit func(publisher.Entry) error
	// told is up to where a place was emitted by idle, looked when progress last
	// looked, busy whether a row was emitted since.
	told   pgdb.LSN
	looked time.Time
	busy   bool
	// ahead are tables whose rows were read for touches, and up to where the log
	// does not know yet what was seen then.
	ahead map[*table]pgdb.LSN
}

// tail emits what the stream has, until it fails. A stream whose slot is
// invalidated just breaks; the next Run finds out why.
func (s *Source) tail(ctx context.Context, stream *pgoutput.Stream, w *walk, emit func(publisher.Entry) error) error {
	s.confirm.begin(stream, w.history)
	defer s.confirm.end()
	t := &tail{walk: w, s: s, emit: emit, told: w.from.lsn, looked: time.Now(), ahead: map[*table]pgdb.LSN{}}
	if w.from.idle() {
		// The entry at from, for a source that has it emits it.
		if err := t.idle(); err != nil {
			return err
		}
	}
	for {
		m, err := s.receive(ctx, stream)
		if err != nil {
			return err
		}
		if err := t.take(ctx, m); err != nil {
			return err
		}
	}
}

func (t *tail) take(ctx context.Context, m pgoutput.Message) error {
	switch m := m.(type) {
	case *pgoutput.Begin:
		return t.begin(m)
	case *pgoutput.Commit:
		t.s.metrics.read(t.row)
		if err := t.commit(m); err != nil {
			return err
		}
		t.s.metrics.hear(t.reached)
		return t.progress()
	case *pgoutput.Keepalive:
		if err := t.keepalive(m); err != nil {
			return err
		}
		t.s.metrics.hear(t.reached)
		return t.progress()
	case *pgoutput.Truncate:
		t.next()
		err := t.truncated(m)
		if err != nil {
			t.s.metrics.truncates.Inc()
		}
		return err
	}
	if r := rowOf(m); r != nil {
		return t.change(ctx, r, m)
	}
	return nil
}

// change emits what a message about a row says.
func (t *tail) change(ctx context.Context, r *pgoutput.Relation, m pgoutput.Message) error {
	row, before := t.next()
	bound, err := t.relation(r)
	if err != nil {
		return err
	}
	if before || bound.table == nil {
		return nil
	}
	if bound.halt != nil {
		return t.at(row, bound.halt)
	}
	c, lacking := t.rows.change(bound, m)
	if t.lsn <= t.ahead[bound.table] {
		c.Recall = true // a touch may have told of it, even of an insert
	}
	if len(lacking) > 0 {
		if err := t.s.reread(ctx, bound, c, lacking); err != nil {
			return t.at(row, err)
		}
	}
	var after *touchPlace
	if t.within && row == t.from.row {
		after = t.from.touch
	}
	if after == nil {
		t.busy = true
		if err := t.emit(t.entry(row, c)); err != nil {
			return err
		}
	}
	if len(bound.table.touches) == 0 {
		return nil
	}
	return t.touch(ctx, bound, row, c, after)
}

// progress emits, once per pulse, how far the log was read, or else that it was
// looked at.
func (t *tail) progress() error {
	now := time.Now()
	if now.Sub(t.looked) < pulse {
		return nil
	}
	busy := t.busy
	t.looked, t.busy = now, false
	switch {
	case !t.open && t.reached > t.told:
		return t.idle()
	case !busy:
		return t.emit(publisher.Entry{})
	}
	return nil
}

// idle emits the place before which everything was read.
func (t *tail) idle() error {
	t.told = t.reached
	return t.emit(publisher.Entry{Place: t.walk.idle()})
}
