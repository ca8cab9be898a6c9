package sqlite

import (
	"database/sql"
	"fmt"
	"time"

	"github.com/petpro/fabric/publisher"
)

// record is a row of the log.
type record struct {
	id                   int64
	table, op, at        string
	key, cause, old, new sql.NullString
}

// lost is the error for a mark left where triggers had been removed.
func (r record) lost() error {
	if r.op != "x" {
		return nil
	}
	return fmt.Errorf("entry %d: the triggers of table %s had been removed (was it dropped or rebuilt?) and were made again at %s; changes before that may be missing: %w",
		r.id, r.table, r.at, publisher.ErrLost)
}

// entry reads a row of the log. One of a table that is no longer in the
// mapping is only the news that its place was reached.
func (p plan) entry(r record) (e publisher.Entry, err error) {
	e.Place = place{id: r.id}.String()
	if e.Time, err = time.Parse(time.RFC3339, r.at); err != nil {
		return e, err
	}
	t := p[r.table]
	if t == nil {
		return e, nil
	}
	c := &publisher.Change{Table: t.name}
	before := t
	switch r.op {
	case "i":
		c.Op = publisher.Insert
	case "u":
		c.Op = publisher.Update
	case "d":
		c.Op = publisher.Delete
	case "t":
		if before = p[r.cause.String]; before == nil {
			return e, nil
		}
		c.Op = publisher.Touch
	default:
		return e, fmt.Errorf("operation %q is not known to this version: use the one that made the triggers", r.op)
	}
	if c.Old, err = before.row(r.old); err != nil {
		return e, err
	}
	if c.New, err = t.row(r.new); err != nil {
		return e, err
	}
	if c.Op == publisher.Touch {
		key, err := parseLiteral(r.key.String)
		if err != nil {
			return e, err
		}
		c.Cause = &publisher.Cause{Table: before.name, Key: key.Text, Old: c.Old}
		c.Old = c.New
	}
	e.Change = c
	return e, nil
}

// row is nil if there is none.
func (t *table) row(text sql.NullString) (publisher.Row, error) {
	if !text.Valid {
		return nil, nil
	}
	return parseRow(text.String, t.columns)
}
