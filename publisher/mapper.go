package publisher

import "fmt"

// TableMapper is the Mapper that a Mapping describes.
//
// What a change becomes, in this order:
//
//  1. <kind>.<key>.access if the participants changed,
//  2. the index records of users who are new to the room, or for whom it opened
//     or their role changed while it is open,
//  3. the events whose condition holds: those of type status first, then the
//     others, both in the mapping's order, then their notifications,
//  4. the index records that close: the room's status became terminal, or the
//     user is no participant any more.
//
// An insert writes access and index always. A deleted row, or one that is gone,
// has no participants. A snapshot writes access always, index records only for
// open rooms, and the status events that an insert of the row, or an update of
// all its columns, would make; other events and notifications tell of what
// happened, and nothing did. A touch writes access and index if they differ
// from what they were before its cause. An update that changes the key closes
// one room and opens another.
//
// A TableMapper remembers the followed tables. It belongs to one goroutine.
type TableMapper struct {
	tables     map[string]*table
	memory     memory
	maxPayload int
	hash       string
	scratch    []byte
}

var _ Mapper = (*TableMapper)(nil)

// table is a compiled Table.
type table struct {
	name    string
	columns *columns
	key     int
	// room is nil if rows are no rooms.
	room *room
	// events, those of type status first.
	events []event
	// Buffers of the change being mapped.
	row, old []cell
	holds    []bool
}

// Hash identifies the mapping in positions: eight hexadecimal digits, equal for
// equal mappings.
func (m *TableMapper) Hash() string { return m.hash }

// Forget empties the memory of followed tables. Call it before a source's
// Snapshot or Run, which begin by filling it.
func (m *TableMapper) Forget() { m.memory.forget() }

// Map turns an entry into messages. A direct message is returned as it is;
// tables that the mapping does not name give nothing. The error is a *MapError;
// the same entry gives it again until data or mapping are mended.
func (m *TableMapper) Map(e Entry) ([]Message, error) {
	c := e.Change
	if c == nil {
		if e.Direct == nil {
			return nil, nil
		}
		return []Message{*e.Direct}, nil
	}
	t := m.tables[c.Table]
	if t == nil || c.Op == Load {
		m.memory.apply(c)
		return nil, nil
	}
	out := &batch{time: e.Time, maxPayload: m.maxPayload, scratch: m.scratch[:0]}
	err := m.mapRow(t, c, out)
	m.scratch = out.scratch
	if err != nil {
		err.Table, err.Key = t.name, t.keyOf(c)
		return nil, err
	}
	return out.messages, nil
}

func (m *TableMapper) mapRow(t *table, c *Change, out *batch) *MapError {
	s, err := t.scope(c)
	if err != nil {
		return err
	}
	turns, err := m.turns(t, c, s)
	if err != nil {
		return err
	}
	for _, turn := range turns {
		turn.access(out)
		turn.opening(out)
	}
	if err := t.publishEvents(c.Op, s, out); err != nil {
		return err
	}
	for _, turn := range turns {
		turn.closing(out)
	}
	return out.err
}

// scope reads the rows of a change.
func (t *table) scope(c *Change) (*scope, *MapError) {
	row, other := c.New, c.Old
	if c.Op == Delete {
		row, other = c.Old, nil
	}
	switch {
	case c.Op < Insert || c.Op > Touch:
		return nil, &MapError{Err: fmt.Errorf("%w: operation %d", ErrChange, c.Op)}
	case row == nil:
		return nil, &MapError{Err: fmt.Errorf("%w: operation %d without its row", ErrChange, c.Op)}
	}
	t.row = t.columns.read(t.row, row, other)
	s := &scope{columns: t.columns, row: t.row, inserted: c.Op == Insert, deleted: c.Op == Delete}
	if c.Op == Update {
		t.old = t.columns.read(t.old, c.Old, nil)
		s.updated, s.old = true, t.old
	}
	return s, nil
}

// keyOf names the row in errors.
func (t *table) keyOf(c *Change) string {
	name := t.columns.names[t.key]
	if v := c.New[name]; v.Valid {
		return v.Text
	}
	return c.Old[name].Text
}
