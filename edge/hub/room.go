package hub

import (
	"github.com/petpro/fabric/subjects"
)

// room is one room as one shard sees it: the members among its own sessions.
// It exists while it has members.
type room struct {
	name    subjects.Room
	members []*member
	// grant is kept true by the tail while the room exists.
	grant grant
}

// member is one session in one room.
type member struct {
	s    *Session
	room *room
	at   int // index in room.members
	// unit on whose way to live the member is; nil = live.
	unit *unit
	// named: joined by the client or, for the user's own room, by itself.
	// mine: joined by the reverse index. A member is one or both.
	named, mine bool
}

// enter makes s a member of the room; unit is set by the caller before the
// shard's next step.
func (sh *shard) enter(s *Session, name subjects.Room) *member {
	r := sh.rooms[name]
	if r == nil {
		r = &room{name: name, grant: sh.grants.take(name)}
		sh.rooms[name] = r
	}
	m := &member{s: s, room: r, at: len(r.members)}
	r.members = append(r.members, m)
	s.members = append(s.members, m)
	s.index(m)
	return m
}

// exit ends a membership, whatever its state.
func (sh *shard) exit(m *member) {
	r := m.room
	last := len(r.members) - 1
	r.members[m.at] = r.members[last]
	r.members[m.at].at = m.at
	r.members[last] = nil
	r.members = r.members[:last]
	m.s.forget(m)
	if m.unit != nil {
		m.unit.drop(m)
	}
	m.at = -1
	if last == 0 {
		delete(sh.rooms, r.name)
		sh.grants.put(r.name, r.grant)
	}
}

// gone reports whether the membership has ended.
func (m *member) gone() bool { return m.at < 0 }
