package postgres

import (
	"fmt"
	"strconv"
	"time"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
	"github.com/petpro/fabric/publisher/postgres/pgoutput"
)

// walk follows the messages of one stream: which transaction, which row, what
// the relations mean. It makes sure that the transaction in which it begins is
// there.
type walk struct {
	binder
	history timeline
	from    place
	rows    rowBuilder
	bound   map[*pgoutput.Relation]*relation

	// found says that the transaction at from is behind us or that none has to
	// be there; within, that we are inside of it.
	found, within bool

	// The transaction being read; open between Begin and Commit.
	open   bool
	lsn    pgdb.LSN
	time   time.Time
	prefix []byte // of its places
	row    int    // the next one
	// reached is the LSN before which everything has been read.
	reached pgdb.LSN
}

func newWalk(b binder, history timeline, from place) *walk {
	return &walk{binder: b, history: history, from: from, bound: map[*pgoutput.Relation]*relation{}, found: from.idle(), reached: from.lsn}
}

func (w *walk) begin(m *pgoutput.Begin) error {
	w.open, w.lsn, w.time, w.row = true, pgdb.LSN(m.Commit), m.Time, 0
	w.within = !w.from.idle() && w.lsn == w.from.lsn
	if !w.found && !w.within {
		return w.missing()
	}
	w.found = true
	w.prefix = w.history.appendLSN(w.prefix[:0], w.lsn)
	return nil
}

func (w *walk) commit(m *pgoutput.Commit) error {
	if w.within && w.row <= w.from.row {
		return w.missing()
	}
	w.open, w.within = false, false
	w.reached = pgdb.LSN(m.End)
	return nil
}

// keepalive tells how far the server has read its log.
func (w *walk) keepalive(m *pgoutput.Keepalive) error {
	end := pgdb.LSN(m.End)
	if w.open || end <= w.reached {
		return nil
	}
	if !w.found {
		return w.missing()
	}
	w.reached = end
	return nil
}

// missing says that the log does not have the transaction at from any more: its
// presence is what proves that this is the log that was published.
func (w *walk) missing() error {
	if w.within {
		return lostf("the transaction at %s has %d rows, row %d of it was published: the database was restored and went another way, or the publication was altered",
			w.from.lsn, w.row, w.from.row)
	}
	return lostf("the transaction that committed at %s was published, but is not in the log any more: the database was restored and went another way, or the publication was made anew",
		w.from.lsn)
}

// next counts a row and tells its number and whether it lies before from.
func (w *walk) next() (row int, before bool) {
	row = w.row
	w.row++
	return row, w.within && row < w.from.row
}

// place of a row of the transaction being read.
func (w *walk) place(row int) string {
	var buf [64]byte
	return string(strconv.AppendInt(append(buf[:0], w.prefix...), int64(row), 10))
}

// idle is the place before which everything was read.
func (w *walk) idle() string {
	return place{timeline: w.history, lsn: w.reached, row: idleRow}.String()
}

// relation is what r means. If the catalog does not know the table, or the log
// not all columns of the mapping by their names, it was altered: then the catalog is read anew, in which the
// alteration may be found.
func (w *walk) relation(r *pgoutput.Relation) (*relation, error) {
	if bound := w.bound[r]; bound != nil {
		return bound, nil
	}
	bound := w.bind(r)
	if bound.table != nil && (bound.real == nil || !bound.complete()) {
		if err := w.refresh(); err != nil {
			return nil, err
		}
		again := w.bind(r)
		if again.table == nil {
			again.table, again.halt = bound.table, bound.table.missing(r.Schema+"."+r.Name)
		}
		bound = again
	}
	w.bound[r] = bound
	return bound, nil
}

// truncated returns publisher.ErrLost if one of the tables is ours: the log does
// not tell which rows are gone.
func (w *walk) truncated(m *pgoutput.Truncate) error {
	for _, r := range m.Relations {
		bound, err := w.relation(r)
		if err != nil {
			return err
		}
		if bound.table != nil {
			return lostf("table %s.%s was truncated: the log does not tell which rows are gone", r.Schema, r.Name)
		}
	}
	return nil
}

// rowOf is the relation of a message about a row, nil of others.
func rowOf(m pgoutput.Message) *pgoutput.Relation {
	switch m := m.(type) {
	case *pgoutput.Insert:
		return m.Relation
	case *pgoutput.Update:
		return m.Relation
	case *pgoutput.Delete:
		return m.Relation
	}
	return nil
}

// at adds the place to an error about a row.
func (w *walk) at(row int, err error) error {
	return fmt.Errorf("at %s: %w", w.place(row), err)
}

// entry of a change of the transaction being read.
func (w *walk) entry(row int, c *publisher.Change) publisher.Entry {
	return publisher.Entry{Place: w.place(row), Time: w.time, Change: c}
}
