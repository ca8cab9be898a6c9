package publisher

import (
	"fmt"
	"slices"

	"github.com/petpro/fabric/subjects"
)

// turn is what a change does to one room.
type turn struct {
	room          subjects.Room
	before, after standing
	// always writes the records even if nothing differs.
	always bool
	// openOnly leaves out index records of a room that is closed.
	openOnly bool
}

// access adds the access record.
func (t *turn) access(out *batch) {
	if t.always || !slices.Equal(t.before.grants, t.after.grants) {
		out.scratch = t.after.appendAccess(out.scratch)
		out.add(t.room.Subject(subjects.AccessType), false)
	}
}

// opening adds the index records that come before the events.
func (t *turn) opening(out *batch) {
	for _, g := range t.after.grants {
		role, was := t.before.role(g.user)
		if (t.after.open || !was && !t.openOnly) && t.differs(g, role, was) {
			t.index(g, out)
		}
	}
}

// closing adds the index records that come behind the events.
func (t *turn) closing(out *batch) {
	for _, g := range t.after.grants {
		if role, was := t.before.role(g.user); was && !t.after.open && t.differs(g, role, was) {
			t.index(g, out)
		}
	}
	for _, g := range t.before.grants {
		if _, still := t.after.role(g.user); !still {
			t.index(grant{user: g.user}, out)
		}
	}
}

func (t *turn) differs(g grant, role string, was bool) bool {
	return t.always || !was || role != g.role || t.before.open != t.after.open
}

func (t *turn) index(g grant, out *batch) {
	out.scratch = appendIndex(out.scratch, g.role, g.role != "" && t.after.open, out.updated())
	out.add(subjects.IndexSubject(g.user, t.room), false)
}

// turns judges who was in the row's room and who is now. In between, the
// change reaches the memory of followed tables, so that a row that is looked up
// itself is judged by what was known at each time.
func (m *TableMapper) turns(t *table, c *Change, s *scope) ([]turn, *MapError) {
	if t.room == nil {
		m.memory.apply(c)
		return nil, nil
	}
	id, bad := t.roomID(s)
	if bad != nil {
		m.memory.apply(c)
		return nil, bad
	}
	now := turn{room: t.room.named(id)}
	former := now.room
	if s.updated && s.old[t.key].Valid && subjects.CheckID(s.old[t.key].Text) == nil {
		former = t.room.named(s.old[t.key].Text)
	}
	before := t.before(c, s, former)
	m.memory.apply(c)
	after, bad := t.room.judge(s)
	switch {
	case !after.known:
		return nil, s.missing()
	case bad != nil:
		return nil, bad
	}
	now.before, now.after = before, after
	switch c.Op {
	case Insert:
		now.always = true
	case Snapshot:
		now.always, now.openOnly = true, true
	default:
		now.always = !before.known
	}
	if former == now.room {
		now.recallOpen(t.room, s.past)
		t.turns = append(t.turns[:0], now)
		return t.turns, nil
	}
	left := turn{room: former, before: before, always: !before.known}
	now.before, now.always = t.room.fresh(now.room, s.past), true
	t.turns = append(t.turns[:0], left, now)
	return t.turns, nil
}

// before judges the row as it was: by what was last published if the source says
// so. User ids that are not valid are passed over: no record can have named
// them.
func (t *table) before(c *Change, s *scope, in subjects.Room) standing {
	switch {
	case c.Op == Snapshot:
		return standing{known: true}
	case c.Op == Insert:
		return t.room.fresh(in, s.past)
	case s.past != nil:
		return t.room.recall(in, s.past)
	}
	was := &t.was
	*was = scope{columns: s.columns, row: s.row, joined: s.joined}
	if c.Op != Delete {
		was.row, was.joined = s.old, s.joinedOld
	}
	if c.Op == Touch {
		was.cause, was.joinedOnly = c.Cause, c.Cause == nil
	}
	st, _ := t.room.judge(was)
	return st
}

// recallOpen finds out whether a recalled room was open if that decides
// anything: not for users who come, leave or change their role.
func (t *turn) recallOpen(r *room, past *recollection) {
	if !t.before.recalled || t.always {
		return
	}
	for _, g := range t.after.grants {
		if role, was := t.before.role(g.user); was && role == g.role {
			t.before.open = r.wasOpen(t.room, t.before, past)
			return
		}
	}
}

// roomID is the row's key, which names its room.
func (t *table) roomID(s *scope) (string, *MapError) {
	name := t.columns.names[t.key]
	key := s.value(t.key)
	switch {
	case s.lacking != "":
		return "", s.missing()
	case !key.Valid:
		return "", &MapError{Column: name, Err: fmt.Errorf("%w: the key names the room of a row", ErrNullSubject)}
	}
	if err := subjects.CheckID(key.Text); err != nil {
		return "", &MapError{Column: name, Err: fmt.Errorf("%w; the key names the room of a row: map a key of one token", err)}
	}
	return key.Text, nil
}
