package hub

import (
	"fmt"
	"slices"
	"time"

	"github.com/petpro/fabric/edge/access"
	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/subjects"
)

// connect enters the session and puts its rooms on their way.
func (s *Session) connect(id int64, who access.Identity, ask ConnectAsk) {
	sh := s.shard
	if s.closed {
		return
	}
	if s.connected {
		s.fail(id, protocol.CodeBadRequest, "connected already")
		return
	}
	if !time.Now().Before(who.Expires) {
		s.fail(id, protocol.CodeExpired, "the token has expired")
		s.close(protocol.CloseExpired)
		return
	}
	if !sh.hub.users.add(who.User) {
		s.fail(id, protocol.CodeLimit, fmt.Sprintf("user %s has %d sessions on this edge, which is the limit", who.User, sh.hub.cfg.SessionsPerUser))
		s.close(protocol.CloseLimit)
		return
	}
	s.who, s.connected = who, true
	sh.sessions[s] = struct{}{}
	sh.wakeUp()
	sh.hub.stats.Sessions.Add(1)

	u := s.newUnit(unitConnect)
	u.id, u.whole, u.cursor, u.mine = id, true, ask.Cursor, ask.Mine
	if !ask.Cursor.IsZero() {
		u.held = ask.Cursor.String()
	}
	u.enter(ownRoom(who.User, ask.Rooms))
	for _, r := range ask.Rooms {
		u.enter(r)
	}
	if sh.view.Stale {
		s.send(&protocol.State{Stale: true, Since: sh.view.Since})
	}
	u.begin()
}

// ownRoom is joined by itself. A client names it only to resume it from another
// cursor than the rest.
func ownRoom(user string, asked []RoomAsk) RoomAsk {
	own := subjects.UserRoom(user)
	for _, r := range asked {
		if r.Room == own && r.Err == nil {
			return r
		}
	}
	return RoomAsk{Name: string(own), Room: own}
}

// enter adds a room named in a connect to its unit, or its refusal to the
// reply.
func (u *unit) enter(r RoomAsk) {
	s := u.s
	if r.Err != nil {
		u.fates = append(u.fates, protocol.RoomFate{Room: r.Name, Error: r.Err})
		return
	}
	if s.find(r.Room) != nil {
		return // named twice
	}
	if s.full() {
		u.fates = append(u.fates, protocol.RoomFate{Room: r.Name, Error: s.tooManyRooms()})
		return
	}
	l := &leg{m: s.shard.enter(s, r.Room), name: r.Name, since: r.Cursor}
	l.m.named = true
	if l.since.IsZero() && !r.Fresh {
		l.since = u.cursor
	}
	l.fresh = l.since.IsZero()
	u.add(l)
}

// join enters one room.
func (s *Session) join(id int64, room subjects.Room, cursor protocol.Cursor) {
	if !s.ready(id) {
		return
	}
	if room.Kind() == subjects.UserKind && room != subjects.UserRoom(s.who.User) {
		s.fail(id, protocol.CodeNotEntitled, "not entitled to "+string(room))
		return
	}
	if m := s.find(room); m != nil {
		s.rejoin(id, m, cursor)
		return
	}
	if s.full() {
		s.send(&protocol.Failed{ID: id, Error: *s.tooManyRooms()})
		return
	}
	u := s.newUnit(unitJoin)
	u.id = id
	l := &leg{m: s.shard.enter(s, room), name: string(room), since: cursor, fresh: cursor.IsZero()}
	l.m.named = true
	u.add(l)
	u.begin()
	if !u.ended && !u.told && s.shard.view.Away {
		u.refuse(protocol.CodeUnavailable, "the broker is away, try again later")
	}
}

// rejoin answers a join of a room that the session is in, or will be. A booking
// that is about to be left is left first, if its replay has begun.
func (s *Session) rejoin(id int64, m *member, cursor protocol.Cursor) {
	if u := m.unit; u != nil {
		l := u.leg(m)
		switch {
		case u.told && l.until > 0:
			l.joins = append(l.joins, laterJoin{id, cursor})
			return
		case !u.told:
			m.named, l.until = true, 0
			l.also = append(l.also, id)
			return
		}
	}
	m.named = true
	s.send(&protocol.Joined{ID: id, Room: string(m.room.name)})
}

// leave leaves a room; with "mine" the rooms that only the index holds.
func (s *Session) leave(id int64, room subjects.Room) {
	if !s.ready(id) {
		return
	}
	if room == protocol.Mine {
		s.mine = false
		for _, u := range slices.Clone(s.units) {
			u.skipIndex()
		}
		for _, m := range slices.Clone(s.members) {
			if m.mine && !m.named {
				s.leaveOne(m)
			}
			m.mine = false
		}
	} else if m := s.find(room); m != nil && room.Kind() != subjects.UserKind {
		s.leaveOne(m)
	}
	s.send(&protocol.Left{ID: id, Room: string(room)})
}

// leaveOne ends a membership at the client's wish. Joins that were not answered
// yet are answered as what they became: left.
func (s *Session) leaveOne(m *member) {
	u := m.unit
	if u == nil {
		s.shard.exit(m)
		return
	}
	l := u.leg(m)
	unanswered := l.also
	for _, j := range l.joins {
		unanswered = append(unanswered, j.id)
	}
	if !u.told && u.kind == unitJoin {
		unanswered = append(unanswered, u.id)
	}
	s.shard.exit(m)
	for _, id := range unanswered {
		s.fail(id, protocol.CodeBadRequest, "left before it was joined")
	}
	if len(u.legs) == 0 && !u.whole && (u.told || u.kind == unitJoin) {
		u.end()
	}
}

// ready reports whether the session can take commands; it answers one that
// came too early.
func (s *Session) ready(id int64) bool {
	if !s.closed && !s.connected {
		s.fail(id, protocol.CodeBadRequest, "connect first")
	}
	return s.connected
}

// full reports whether the client has named as many rooms as it may.
func (s *Session) full() bool {
	named := 0
	for _, m := range s.members {
		if m.named {
			named++
		}
	}
	return named > s.shard.hub.cfg.RoomsPerSession // the user's own is not counted
}

func (s *Session) tooManyRooms() *protocol.Error {
	return &protocol.Error{
		Code:    protocol.CodeLimit,
		Message: fmt.Sprintf("at most %d rooms a session", s.shard.hub.cfg.RoomsPerSession),
	}
}
