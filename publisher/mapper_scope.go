package publisher

import (
	"fmt"
	"strings"
)

// columns numbers the columns of a table, so that what is compiled addresses
// them by number.
type columns struct {
	names []string
	index map[string]int
}

func newColumns(names []string) *columns {
	c := &columns{index: make(map[string]int, len(names))}
	for _, name := range names {
		if _, ok := c.index[name]; !ok {
			c.index[name] = len(c.names)
			c.names = append(c.names, name)
		}
	}
	return c
}

// find returns the number of a column, or an error that lists those there are.
func (c *columns) find(name string) (int, error) {
	if i, ok := c.index[name]; ok {
		return i, nil
	}
	return 0, fmt.Errorf("unknown column %q%s; listed in columns are %s", name, suggest(name, c.names), list(c.names))
}

// suggest finds the name that differs only in case or underscores, the usual
// slip between ORM and database (userId, user_id).
func suggest(name string, known []string) string {
	plain := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "")) }
	for _, k := range known {
		if plain(k) == plain(name) {
			return fmt.Sprintf(" (did you mean %s?)", k)
		}
	}
	return ""
}

// cell is a value of a row, or the knowledge that the source did not give it.
type cell struct {
	Value
	known bool
}

// read puts a row into the order of the columns. What the row lacks is taken
// from the other one: a source leaves out what did not change and was costly.
// found counts the columns that the row itself has.
func (c *columns) read(dst []cell, row, other Row) (cells []cell, found int) {
	dst = dst[:0]
	for _, name := range c.names {
		v, ok := row[name]
		if ok {
			found++
		} else {
			v, ok = other[name]
		}
		if !v.Valid {
			v.Text = ""
		}
		dst = append(dst, cell{v, ok})
	}
	return dst, found
}

// scope is what conditions and templates are evaluated on: a row, and what
// happened to it.
type scope struct {
	columns *columns
	// key is the number of the key column.
	key int
	// row as it is; the last known one of a deleted row.
	row []cell
	// old row of an update.
	old []cell
	// joined is the row as the source gave it if it holds lookups, else nil;
	// joinedOld the same of the old row.
	joined, joinedOld Row
	// joinedOnly: the memory of followed tables says nothing about this row.
	joinedOnly bool
	// What happened. renewed counts every column as changed.
	inserted, updated, deleted, renewed bool
	// unknown: what the row lacks cannot be known any more (Change.Unknown).
	unknown bool
	// cause turns lookups back to before it.
	cause *Cause
	// past is asked for what old lacks; nil unless Change.Recall. event is the
	// one being judged.
	past  *recollection
	event *event
	// lacking is the first column that was needed and that the source did not
	// give; empty if all is well.
	lacking string
}

// value of a column of the row.
func (s *scope) value(column int) Value {
	c := &s.row[column]
	if !c.known {
		s.lack(s.columns.names[column])
	}
	return c.Value
}

func (s *scope) lack(column string) {
	if s.lacking == "" {
		s.lacking = column
	}
}

// missing is the error for the column that the source did not give.
func (s *scope) missing() *MapError {
	if s.deleted {
		return &MapError{Column: s.lacking, Err: fmt.Errorf(
			"%w; of a deleted row the log has what its table's replica identity covers: add the column to that", ErrNoValue)}
	}
	return &MapError{Column: s.lacking, Err: fmt.Errorf(
		"%w; if it was listed in the mapping only now, publish the backlog with the former mapping first", ErrNoValue)}
}

// changed: an update gave the column another value, NULL being one. If the
// source could not tell the old one, what was last published decides; if that
// does not tell either it counts as changed: a state said twice is harmless,
// one not said is lost. If the source told neither, nothing changed (read).
func (s *scope) changed(column int) bool {
	if s.renewed || !s.updated || s.row[column] == s.old[column] {
		return s.renewed
	}
	if s.past == nil || s.old[column].known || !s.row[column].known {
		return true
	}
	was, ok := s.event.recall[column]
	return !ok || was.differs(s)
}

// leaveOut reports that what was just evaluated needs a column that cannot be
// known any more, and forgets it.
func (s *scope) leaveOut() bool {
	if s.lacking == "" || !s.unknown {
		return false
	}
	s.lacking = ""
	return true
}

// truth of a leaf of a condition, of which not all may be known.
func (s *scope) truth(c *clause) truth {
	switch c.kind {
	case clauseInserted:
		return truthOf(s.inserted)
	case clauseDeleted:
		return truthOf(s.deleted)
	case clauseChanged:
		return truthOf(s.changed(c.columns[0]))
	}
	for _, column := range c.columns {
		if !s.row[column].known {
			return maybe
		}
	}
	return truthOf(c.holds(s))
}

// list names in the order given: "id, status, user_id".
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
