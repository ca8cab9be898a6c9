package hub_test

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/petpro/fabric/edge/access"
	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/edge/hub/hubtest"
	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/subjects"
)

// pupil is a client that follows PROTOCOL.md by the letter, and checks each
// frame against the oracle.
type pupil struct {
	m    *model
	user string
	name string
	mine bool // asks for all open bookings

	// kept over connections
	cursor protocol.Cursor
	rooms  map[subjects.Room]*seat

	// of the connection, nil while there is none
	c         *hubtest.Client
	edge      int
	connected bool                   // the reply was read
	asked     protocol.Cursor        // in connect
	who       access.Identity        // in force as far as frames tell
	left      map[subjects.Room]bool // by name, though mine may have it open
	renewed   map[int64]access.Identity
	commands  map[int64]command // joins and leaves without an answer
	ids       int64
	// newest live event, and newest one of a replay over many rooms: each come
	// in stream order.
	newest  map[way]uint64
	history []string // the last frames, for the report
}

// command is a join or leave.
type command struct {
	room subjects.Room
	join bool
	from protocol.Cursor
}

// seat is one room of a pupil.
type seat struct {
	room subjects.Room
	// from is where the room resumes while it is not live; zero = fresh.
	from protocol.Cursor

	named bool // asked for by name, not by mine alone

	// of the connection
	answered bool // joined
	live     bool
	way      way
	fresh    bool // until its first live
	gapDue   bool // recovered:false was told, the gap must come first
	base     uint64
	pos      map[string]uint64 // behind base, by type
	last     map[string]uint64 // given last, by type
	gaps     []protocol.Gap    // told and not effective yet

	// over connections: what the user has seen, whatever went on below
	tracked  bool
	verified uint64
	handled  map[happened]bool
	excused  []protocol.Gap
}

// way on which events of a room come, in stream order with all others on it.
type way int

const (
	byConnect way = iota
	byJoin        // a room alone
	afterGap      // a gap in the middle of a session
	byTail
)

// happened identifies an event over all histories.
type happened struct {
	seq   uint64
	stamp int64
}

func newSeat(room subjects.Room) *seat {
	return &seat{room: room, handled: map[happened]bool{}}
}

// tag is what was known about the edge when a frame was queued: its watermark
// was between lo and hi.
type tag struct {
	lo, hi uint64
	stamp  int64  // of hi
	epoch  string // of the feed
	end    uint64 // of the stream
}

// begin resets a seat for a new connection or a new join.
func (s *seat) begin(from protocol.Cursor) {
	s.from = from
	s.answered, s.live, s.gapDue, s.gaps = false, false, false, nil
	s.fresh = from.IsZero()
	s.base, s.pos, s.last = from.Seq, map[string]uint64{}, map[string]uint64{}
}

// connect opens a connection to an edge and asks for everything again.
func (p *pupil) connect(edge int, who access.Identity) {
	p.edge, p.who, p.connected, p.asked = edge, who, false, p.cursor
	p.renewed, p.commands = map[int64]access.Identity{}, map[int64]command{}
	p.newest, p.left = map[way]uint64{}, map[subjects.Room]bool{}
	own := subjects.UserRoom(p.user)
	if p.rooms[own] == nil {
		p.rooms[own] = newSeat(own)
		p.rooms[own].named = true
	}
	ask := hub.ConnectAsk{Cursor: p.cursor, Mine: p.mine}
	for _, name := range slices.Sorted(maps.Keys(p.rooms)) {
		s := p.rooms[name]
		from := s.from
		if s.live {
			from = p.cursor
		}
		s.begin(from)
		s.way = byConnect
		if !s.named && !from.IsZero() && from == p.cursor {
			continue // mine will name it
		}
		s.named = true
		ask.Rooms = append(ask.Rooms, hub.RoomAsk{Name: string(name), Room: name, Cursor: from, Fresh: from.IsZero()})
	}
	p.note("connects to edge %d with %s: %v", edge, p.cursor, ask.Rooms)
	p.c = p.m.open(edge)
	p.ids++
	p.c.Session.Connect(p.ids, who, ask)
}

// hangUp ends the connection; rooms that were live resume from the cursor.
func (p *pupil) hangUp() {
	p.read()
	if p.c == nil {
		return
	}
	p.c.Hang()
	p.lost("hangs up")
}

// lost notes the end of a connection.
func (p *pupil) lost(why string) {
	p.note("%s", why)
	p.c = nil
	// A room that was asked for in vain is asked for again.
}

func (p *pupil) join(room subjects.Room, from protocol.Cursor) {
	p.rooms[room] = joining(room, from)
	p.ids++
	p.commands[p.ids] = command{room, true, from}
	p.note("joins %s from %s", room, from)
	p.c.Session.Join(p.ids, room, from)
}

// joining is the seat of a room that a join was sent for.
func joining(room subjects.Room, from protocol.Cursor) *seat {
	s := newSeat(room)
	s.begin(from)
	s.way, s.named = byJoin, true
	if !from.IsZero() {
		s.tracked, s.verified = true, from.Seq
	}
	return s
}

// drop takes a room out; one that a join is still under way for begins anew.
func (p *pupil) drop(room subjects.Room) {
	delete(p.rooms, room)
	for _, c := range p.commands {
		if c.room == room && c.join {
			p.rooms[room] = joining(room, c.from)
		}
	}
}

// busy reports whether a command about the room has not been answered.
func (p *pupil) busy(room subjects.Room) bool {
	for _, c := range p.commands {
		if c.room == room {
			return true
		}
	}
	return false
}

func (p *pupil) leave(room subjects.Room) {
	p.ids++
	p.commands[p.ids] = command{room: room}
	p.left[room] = true
	p.note("leaves %s", room)
	p.c.Session.Leave(p.ids, room)
}

func (p *pupil) refresh(who access.Identity) {
	p.ids++
	p.renewed[p.ids] = who
	p.note("refreshes: rooms %v, roles %v", who.Rooms, who.Roles)
	p.c.Session.Refresh(p.ids, who)
}

// read takes what has arrived.
func (p *pupil) read() {
	if p.c == nil {
		return
	}
	gone, end := p.c.Gone(), p.c.Closed()
	for _, f := range p.c.Read() {
		p.note("< %s", f)
		p.take(f, f.Tag.(tag))
	}
	if gone {
		p.lost(fmt.Sprintf("was closed: %v", end))
	}
}

func (p *pupil) take(f hubtest.Frame, t tag) {
	switch o := f.Out.(type) {
	case nil:
		p.event(f.Event, f.Snapshot, t)
	case *protocol.Connected:
		p.welcome(o, t)
	case *protocol.Joined:
		p.joined(o)
	case *protocol.Left:
		delete(p.commands, o.ID)
		p.drop(subjects.Room(o.Room))
	case *protocol.Failed:
		p.failed(o, t)
	case *protocol.Refreshed:
		p.who = p.renewed[o.ID]
		delete(p.renewed, o.ID)
	case *protocol.Gap:
		p.gap(o, t)
	case *protocol.Live:
		p.live(o, t)
	case *protocol.RoomJoined:
		p.opened(o)
	case *protocol.RoomLeft:
		p.closedRoom(o, t)
	case *protocol.Revoked:
		p.refused(subjects.Room(o.Room), t, "revoked")
	case *protocol.Ping:
		p.pinged(o.Cursor)
	case *protocol.Pong:
		p.pinged(o.Cursor)
	case *protocol.State:
	default:
		p.fail("an unexpected frame %s", f)
	}
}

func (p *pupil) pinged(cursor string) {
	if cursor == "" {
		return
	}
	c, err := protocol.ParseCursor(cursor)
	if err != nil {
		p.fail("a ping with cursor %q: %v", cursor, err)
	}
	p.cursor = c
}

func (p *pupil) welcome(o *protocol.Connected, t tag) {
	p.connected = true
	whole := !p.asked.IsZero()
	for _, fate := range o.Rooms {
		room := subjects.Room(fate.Room)
		if p.mine && p.rooms[room] == nil {
			p.rooms[room] = newSeat(room)
			p.rooms[room].begin(p.asked)
		}
		s := p.rooms[room]
		switch {
		case s == nil || s.answered:
			p.fail("%s is in the reply, and was not asked for", room)
		case fate.Error != nil:
			p.refused(room, t, "refused")
			continue
		case fate.Resumed != !s.fresh:
			p.fail("%s: resumed is %t, the ask was fresh: %t", room, fate.Resumed, s.fresh)
		}
		s.answered, s.gapDue = true, fate.Resumed && !fate.Recovered
		whole = whole && !s.gapDue
		p.m.count(fate)
	}
	if o.Recovered != whole {
		p.fail("recovered is %t over all, the rooms say %t", o.Recovered, whole)
	}
	for room, s := range p.rooms {
		if !s.answered && !s.named {
			p.unlisted(s, t)
			p.drop(room)
		}
	}
	if own := p.rooms[subjects.UserRoom(p.user)]; own == nil || !own.answered {
		p.fail("the user's own room is not in the reply")
	}
}

func (p *pupil) joined(o *protocol.Joined) {
	room := subjects.Room(o.Room)
	delete(p.commands, o.ID)
	s := p.rooms[room]
	if s == nil {
		p.fail("%s was joined, and not asked for", room)
	}
	if s.answered {
		return
	}
	if o.Resumed != !s.fresh {
		p.fail("%s: resumed is %t, the ask was fresh: %t", room, o.Resumed, s.fresh)
	}
	s.answered, s.gapDue = true, o.Resumed && !o.Recovered
	p.m.count(protocol.RoomFate{Room: o.Room, Resumed: o.Resumed, Recovered: o.Recovered})
}

// opened takes a room that mine has joined.
func (p *pupil) opened(o *protocol.RoomJoined) {
	room := subjects.Room(o.Room)
	s := p.rooms[room]
	if !p.mine || s != nil && s.answered {
		p.fail("%s was joined by mine, in it already: %t", room, s != nil)
	}
	if s == nil { // otherwise a join by name is under way
		s = newSeat(room)
		p.rooms[room] = s
	}
	s.begin(protocol.Cursor{})
	s.answered, s.way, s.tracked = true, byJoin, false
}

// closedRoom checks that everything came before the end.
func (p *pupil) closedRoom(o *protocol.RoomLeft, t tag) {
	room := subjects.Room(o.Room)
	s := p.rooms[room]
	if s == nil || !s.answered {
		p.fail("%s was left without having been joined", room)
	}
	h := p.m.oracle.at(t.hi, t.stamp)
	if h == nil {
		h = p.m.oracle.now()
	}
	closings := h.closings(p.user, room, s.from.Seq, t.hi)
	if len(closings) > 0 && !s.fresh {
		for _, typ := range []string{"status", "note"} {
			p.covered(s, h, typ, max(s.base, s.pos[typ]), closings[0])
		}
	}
	p.drop(room)
}

// unlisted checks that a room that mine does not name any more was not open all
// the time since the cursor.
func (p *pupil) unlisted(s *seat, t tag) {
	h := p.m.oracle.at(t.hi, t.stamp)
	if h == nil || h != p.m.oracle.at(p.asked.Seq, p.asked.Time) || t.epoch != p.asked.Epoch {
		return
	}
	for w := p.asked.Seq; w <= t.hi; w++ {
		ok, sure := p.m.oracle.may(h, p.who, s.room, w)
		if !h.listed(p.user, s.room, w) || !ok || !sure {
			return
		}
	}
	p.fail("%s is open from #%d to #%d and not in the reply", s.room, p.asked.Seq, t.hi)
}

func (p *pupil) failed(o *protocol.Failed, t tag) {
	if _, ok := p.renewed[o.ID]; ok {
		p.fail("a refresh failed: %v", o.Error)
	}
	c, ok := p.commands[o.ID]
	if !ok {
		p.fail("command %d failed: %d %s", o.ID, o.Error.Code, o.Error.Message)
	}
	delete(p.commands, o.ID)
	if o.Error.Code == protocol.CodeNotEntitled {
		p.refused(c.room, t, "refused")
	}
	p.drop(c.room)
}

// live makes one room live, or all that were answered.
func (p *pupil) live(o *protocol.Live, t tag) {
	for _, name := range slices.Sorted(maps.Keys(p.rooms)) {
		if s := p.rooms[name]; s.answered && (o.Room == "" || o.Room == string(name)) {
			p.settle(s, o.Cursor, t)
		}
	}
	if o.Room != "" && p.rooms[subjects.Room(o.Room)] == nil {
		p.fail("%s is live and was not joined", o.Room)
	}
	p.cursor = o.Cursor
}

func (p *pupil) note(format string, args ...any) {
	line := fmt.Sprintf("%s %6d ", time.Now().Format("05.000"), p.m.stream.Last()) + p.name + " " + fmt.Sprintf(format, args...)
	if p.history = append(p.history, line); len(p.history) > 200 {
		p.history = slices.Delete(p.history, 0, 100)
	}
	if *modelVerbose {
		p.m.t.Log(line)
	}
}

func (p *pupil) fail(format string, args ...any) {
	p.m.t.Helper()
	for _, line := range p.history {
		p.m.t.Log(line)
	}
	p.m.fail(p.name + ": " + fmt.Sprintf(format, args...))
}
