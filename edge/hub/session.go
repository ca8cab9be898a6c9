package hub

import (
	"slices"
	"strconv"
	"time"

	"github.com/petpro/fabric/edge/access"
	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/subjects"
)

// manyRooms is the number of rooms from which a session keeps a map of them;
// below, a scan is smaller and as fast.
const manyRooms = 16

// Session is one connected client. Its exported methods may be called from any
// goroutine; they hand the command to the session's shard and return at once,
// answers come through Client.
type Session struct {
	// Fixed by Open.
	shard  *shard
	client Client
	number uint64
	frames int // the whole queue
	bytes  int

	// Owned by the shard's goroutine.
	who       access.Identity
	connected bool
	closed    bool // Close was called on the client, or the client is gone
	dirty     bool // in shard.dirty
	mine      bool // follows the reverse index
	members   []*member
	byRoom    map[subjects.Room]*member // only with manyRooms or more
	units     []*unit                   // on their way to live
	later     []func()                  // to be done once the units at hand have finished
}

// ConnectAsk is what a client wants when it connects.
type ConnectAsk struct {
	// Cursor to resume from; zero = none given.
	Cursor protocol.Cursor
	Rooms  []RoomAsk
	// Mine asks for every open booking of the user.
	Mine bool
}

// RoomAsk is one room named in a connect.
type RoomAsk struct {
	// Name as the client wrote it: the key in the reply.
	Name string
	Room subjects.Room
	// Cursor of this room; zero = the connect's own, unless Fresh.
	Cursor protocol.Cursor
	Fresh  bool
	// Err is set if the transport has refused the room already.
	Err *protocol.Error
}

// ID names the session in replies and logs.
func (s *Session) ID() string {
	return s.shard.hub.node + "-" + strconv.FormatUint(s.number, 36)
}

// Connect enters the session under an identity. It is answered with Connected
// when the fate of every room is decided, which may take as long as the broker
// is away.
func (s *Session) Connect(id int64, who access.Identity, ask ConnectAsk) {
	s.post(func() { s.connect(id, who, ask) })
}

// Join enters a room; a zero cursor is a fresh join. Answered with Joined or
// Failed.
func (s *Session) Join(id int64, room subjects.Room, cursor protocol.Cursor) {
	s.post(func() { s.join(id, room, cursor) })
}

// JoinMine enters every open booking of the user and follows the index from
// then on. Answered with Joined.
func (s *Session) JoinMine(id int64) { s.post(func() { s.joinMine(id) }) }

// Leave leaves a room, or with protocol.Mine the rooms held by the index
// alone. Leaving a room that was not joined is answered the same.
func (s *Session) Leave(id int64, room subjects.Room) { s.post(func() { s.leave(id, room) }) }

// Refresh replaces the identity by a newer one of the same user.
func (s *Session) Refresh(id int64, who access.Identity) { s.post(func() { s.refresh(id, who) }) }

// History reads stored events of a room, the newest below before (0 = all).
func (s *Session) History(id int64, room subjects.Room, before uint64, limit int) {
	s.post(func() { s.stored(id, room, before, limit) })
}

// Probe answers a client's own ping with Pong.
func (s *Session) Probe(id int64) {
	s.post(func() { s.send(&protocol.Pong{ID: id, Cursor: s.cursor()}) })
}

// Ping sends a server ping that carries the current cursor.
func (s *Session) Ping() {
	s.post(func() { s.send(&protocol.Ping{Cursor: s.cursor()}) })
}

// Drained tells that the client's queue is empty: replay goes on.
func (s *Session) Drained() {
	s.post(func() {
		for _, u := range s.units {
			u.wantsDrain = false
		}
		s.pump()
	})
}

// Closed tells that the connection is gone. The hub calls nothing on the
// client after its shard has seen this.
func (s *Session) Closed() { s.post(s.forgetAll) }

func (s *Session) post(task func()) { s.shard.in.post(task) }

// cursor that covers all rooms of the session that are live; while a connect
// or a repair over all rooms is under way, the one the client had at its
// start.
func (s *Session) cursor() string {
	for _, u := range s.units {
		if u.whole {
			return u.held
		}
	}
	if !s.connected {
		return ""
	}
	return s.shard.cursor().String()
}

// send queues a reply or a push.
func (s *Session) send(o protocol.Out) {
	if s.closed {
		return
	}
	s.client.Send(o)
	s.touch()
}

// event queues an event.
func (s *Session) event(m *Message, snapshot bool) {
	if s.closed {
		return
	}
	s.client.Event(m, snapshot)
	s.shard.hub.stats.Events.Add(1)
	s.touch()
}

func (s *Session) touch() {
	if !s.dirty {
		s.dirty = true
		s.shard.dirty = append(s.shard.dirty, s)
	}
}

func (s *Session) fail(id int64, code protocol.Code, message string) {
	s.send(&protocol.Failed{ID: id, Error: protocol.Error{Code: code, Message: message}})
}

// close ends the connection; the session leaves everything at once.
func (s *Session) close(c protocol.Close) {
	if s.closed {
		return
	}
	s.client.Close(c)
	s.forgetAll()
}

// forgetAll takes the session out of the shard.
func (s *Session) forgetAll() {
	if s.closed {
		return
	}
	s.closed = true
	for len(s.units) > 0 {
		s.units[0].end()
	}
	for len(s.members) > 0 {
		s.shard.exit(s.members[len(s.members)-1])
	}
	if s.connected {
		s.connected = false
		delete(s.shard.sessions, s)
		s.shard.follows.Store(len(s.shard.sessions) > 0)
		s.shard.hub.users.remove(s.who.User)
		s.shard.hub.stats.Sessions.Add(-1)
	}
}

// refresh takes a newer identity and judges again what the old one was
// entitled to by claim or role.
func (s *Session) refresh(id int64, who access.Identity) {
	if !s.ready(id) {
		return
	}
	if who.User != s.who.User {
		s.fail(id, protocol.CodeUnauthorized, "the token is another user's")
		return
	}
	own := s.find(subjects.UserRoom(who.User))
	if own != nil && own.room.grant.known && who.LoggedOut(own.room.grant.notBefore) {
		s.fail(id, protocol.CodeUnauthorized, "the token was issued before the user logged out")
		return
	}
	s.who = who
	s.send(&protocol.Refreshed{ID: id, Expires: time.Until(who.Expires)})
	for _, m := range slices.Clone(s.members) {
		if m.unit == nil || m.unit.told {
			s.review(m)
		}
	}
}

// review judges again whether the session may stay in a room. While that must
// be read first, nothing of the room is given; a room on its way is judged at
// its hand-over.
func (s *Session) review(m *member) {
	sh := s.shard
	v := sh.judge(s.who, m.room)
	switch {
	case v == granted || m.gone():
	case v == denied, v == missing && sh.view.Settled:
		sh.revoke(m)
	case m.unit == nil:
		s.repair(sh.cursor(), "")
	case m.unit.phase == replay:
		m.unit.hold()
		m.unit.rejudge()
	}
}

// find returns the membership in a room, nil if there is none.
func (s *Session) find(room subjects.Room) *member {
	if s.byRoom != nil {
		return s.byRoom[room]
	}
	for _, m := range s.members {
		if m.room.name == room {
			return m
		}
	}
	return nil
}

// index keeps byRoom once there are many rooms.
func (s *Session) index(m *member) {
	switch {
	case s.byRoom != nil:
		s.byRoom[m.room.name] = m
	case len(s.members) >= manyRooms:
		s.byRoom = make(map[subjects.Room]*member, 2*manyRooms)
		for _, m := range s.members {
			s.byRoom[m.room.name] = m
		}
	}
	s.shard.hub.stats.Members.Add(1)
}

// forget takes m out of the session's own list.
func (s *Session) forget(m *member) {
	last := len(s.members) - 1
	for i := last; i >= 0; i-- {
		if s.members[i] == m {
			s.members[i] = s.members[last]
			s.members[last] = nil
			s.members = s.members[:last]
			break
		}
	}
	if s.byRoom != nil {
		delete(s.byRoom, m.room.name)
	}
	s.shard.hub.stats.Members.Add(-1)
}
