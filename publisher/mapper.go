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
// What a source looked up itself is in its rows (Mapping.Lookups); other lookups
// go to the followed tables, which a TableMapper remembers. It belongs to one
// goroutine.
//
// # Old values
//
// Conditions and records compare a row with what it was. Change.Old tells that.
// A log without old rows (PostgreSQL with its default replica identity) sets
// Change.Recall: then what was last published stands in for what Old lacks.
//
//	what is asked             what tells it
//	changed(status)           in the last message on the event's subject, the payload key that holds {status} alone
//	who was in a room         its last access record
//	whether it was open       the index record of one of them; a room first published closed has none
//	of which nothing is left  counts as changed, and the records are written
//
// The records are compared with what was published even if Old is whole. So a
// source that read touched rows ahead of its log sets Recall on what the log
// still has of them, inserts included: who was let in too early is put out.
//
// What was published and what the row was are the same as long as each change
// of the column makes a message. If not, recalled changes say each value that
// is not the last one said: with changed(status) and status != "draft", paid →
// draft → paid is said once, and the first update of a row whose insert said
// nothing, or whose key changed, says the state. So does a room that was retired
// from the stream, or a mapping that moved the payload key. Mapping.Former tells
// what cannot be recalled at all.
//
// A restart in the middle of a row maps it again, and counts the events that
// are published already. Past answers with what came before the row, whatever of
// it is published: so the messages are the same ones.
type TableMapper struct {
	tables     map[string]*table
	memory     memory
	maxPayload int
	hash       string
	scratch    []byte
	past       recollection
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
	now, was scope
	turns    []turn
	holds    []bool
}

// Hash identifies the mapping in positions: eight hexadecimal digits, equal for
// equal mappings.
func (m *TableMapper) Hash() string { return m.hash }

// Forget empties the memory of followed tables. Call it before a source's
// Snapshot or Run, which begin by filling it.
func (m *TableMapper) Forget() { m.memory.forget() }

// Recall names the past that changes with Change.Recall are compared with.
func (m *TableMapper) Recall(p Past) { m.past.past = p }

// Map turns an entry into messages. A direct message is returned as it is;
// tables that the mapping does not name give nothing.
//
// The error is a *MapError, which the same entry gives again until data or
// mapping are mended; or it wraps that of the Past, which to try again may mend.
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
	m.past.begin()
	out := &batch{time: e.Time, maxPayload: m.maxPayload, scratch: m.scratch[:0]}
	err := m.mapRow(t, c, out)
	m.scratch = out.scratch
	if m.past.err != nil {
		return nil, fmt.Errorf("recall the former state of %s %q: %w", t.name, clip(t.keyOf(c)), m.past.err)
	}
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
	if c.Recall && m.past.past != nil {
		s.past = &m.past
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
	s := &t.now
	*s = scope{columns: t.columns, key: t.key, inserted: c.Op == Insert, deleted: c.Op == Delete, unknown: c.Unknown}
	var found int
	if t.row, found = t.columns.read(t.row, row, other); found < len(row) {
		s.joined = row
	}
	s.row = t.row
	if c.Op != Update && c.Op != Touch {
		return s, nil
	}
	if t.old, found = t.columns.read(t.old, c.Old, nil); found < len(c.Old) {
		s.joinedOld = c.Old
	}
	s.old, s.updated = t.old, c.Op == Update
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
