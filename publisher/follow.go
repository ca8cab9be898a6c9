package publisher

import (
	"maps"
	"slices"
)

// memory holds the followed tables as they are at the entry being mapped. It
// is filled by Load and kept true by the same log that carries the changes, so
// a lookup sees what a query at the time of the commit would have seen.
type memory map[string]*followed

// followed is one followed table in memory.
type followed struct {
	name    string
	key     string
	columns *columns
	// rows by key; the cells are in the order of columns.
	rows map[string][]cell
}

func newMemory(follow map[string]Follow) memory {
	m := make(memory, len(follow))
	for name, f := range follow {
		m[name] = &followed{
			name:    name,
			key:     f.Key,
			columns: newColumns(append([]string{f.Key}, f.Columns...)),
			rows:    map[string][]cell{},
		}
	}
	return m
}

// apply takes a change of a followed table over; others it ignores.
func (m memory) apply(c *Change) {
	f := m[c.Table]
	if f == nil {
		return
	}
	key, old := c.New[f.key], c.Old[f.key]
	if !old.Valid {
		old = key // it did not change
	}
	was := f.rows[old.Text]
	if old.Valid {
		delete(f.rows, old.Text)
	}
	if !key.Valid || c.Op == Delete {
		return
	}
	is, _ := f.columns.read(nil, c.New, c.Old)
	for i := range is {
		if !is[i].known && was != nil && c.Op == Update {
			is[i] = was[i] // unchanged, and costly to tell
		}
	}
	f.rows[key.Text] = is
}

// forget empties the memory.
func (m memory) forget() {
	for _, f := range m {
		clear(f.rows)
	}
}

// find returns a column of the row with that key, NULL if there is no such
// row. With a cause, the row it names is seen as it was before.
func (f *followed) find(key Value, column int, cause *Cause) cell {
	if !key.Valid {
		return cell{known: true}
	}
	if cause != nil && cause.Table == f.name && cause.Key == key.Text {
		if cause.Old == nil {
			return cell{known: true}
		}
		v, ok := cause.Old[f.columns.names[column]]
		return cell{v, ok}
	}
	row := f.rows[key.Text]
	if row == nil {
		return cell{known: true}
	}
	return row[column]
}

// list names the followed tables, for errors.
func (m memory) list() string { return list(slices.Sorted(maps.Keys(m))) }
