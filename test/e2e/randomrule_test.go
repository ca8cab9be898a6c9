package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// entry is one thing that happened to a client: it sent a command, received a
// frame, or its connection ended.
type entry struct {
	frame  *frame
	verb   string // of a command; "end" and "rest" besides
	id     int64
	room   string
	cursor string
	rooms  []asked // of a connect
	mine   bool
	who    identity
	code   int // of a close
}

// asked is a room named in a connect; from "" is a fresh join.
type asked struct{ room, from string }

// identity is what a token says beyond the user.
type identity struct {
	admin  bool
	claims []string
}

func (i identity) covers(room string) bool { return i.admin || slices.Contains(i.claims, room) }

func (e entry) String() string {
	if e.frame == nil {
		return fmt.Sprintf("> %s %d %s %s %v mine=%t %+v %d", e.verb, e.id, e.room, e.cursor, e.rooms, e.mine, e.who, e.code)
	}
	line, _ := json.Marshal(e.frame)
	m := map[string]json.RawMessage{}
	json.Unmarshal(line, &m)
	maps.DeleteFunc(m, func(_ string, v json.RawMessage) bool { return string(v) == "null" || string(v) == "0" })
	line, _ = json.Marshal(m)
	return "< " + string(line)
}

// body of a connect.
func (e entry) body(token string) map[string]any {
	rooms := []any{}
	for _, a := range e.rooms {
		switch {
		case a.from == e.cursor:
			rooms = append(rooms, a.room)
		case a.from == "":
			rooms = append(rooms, map[string]any{"room": a.room, "cursor": nil})
		default:
			rooms = append(rooms, map[string]any{"room": a.room, "cursor": a.from})
		}
	}
	if e.mine {
		rooms = append(rooms, "mine")
	}
	body := map[string]any{"token": token, "rooms": rooms}
	if e.cursor != "" {
		body["cursor"] = e.cursor
	}
	return body
}

// pupil follows the rules of docs/PROTOCOL.md by the letter. A client runs one
// to know what to resume from; the audit runs another over what the client has
// kept, and checks every step.
type pupil struct {
	user string
	mine bool
	// strict: the cursor of a connect stands until its live, whatever comes
	// meanwhile of rooms that were joined since. Both readings must be safe.
	strict bool
	check  *audit // nil in a client

	// kept over connections
	cursor string
	rooms  map[string]*seat
	// gone are rooms the user has left, and forgotten what was in them, though
	// mine may name them again.
	gone map[string]bool

	// of the connection
	connected, live bool
	asked           string
	who             identity
	renewed         map[int64]identity
	commands        map[int64]entry // joins and leaves without an answer
	left            map[string]bool
}

// seat is one room of a pupil.
type seat struct {
	room  string
	named bool
	// from is where the room resumes while it is not live; "" = fresh.
	from string

	// of the connection
	answered, live bool
	ledger
}

func newPupil(user string, mine, strict bool) *pupil {
	p := &pupil{user: user, mine: mine, strict: strict, rooms: map[string]*seat{}, gone: map[string]bool{}}
	p.want("user." + user)
	return p
}

// want names a room in the next connect.
func (p *pupil) want(room string) {
	if p.rooms[room] == nil {
		p.rooms[room] = &seat{room: room, named: true}
	}
}

func (p *pupil) busy(room string) bool {
	for _, c := range p.commands {
		if c.room == room {
			return true
		}
	}
	return false
}

// settled reports whether every room is live.
func (p *pupil) settled() bool {
	for _, s := range p.rooms {
		if !s.live {
			return false
		}
	}
	return p.live && len(p.commands) == 0
}

// ask makes the connect that resumes everything.
func (p *pupil) ask(who identity) entry {
	e := entry{verb: "connect", id: 1, cursor: p.cursor, mine: p.mine, who: who}
	for _, name := range slices.Sorted(maps.Keys(p.rooms)) {
		s := p.rooms[name]
		from := s.from
		if s.live {
			from = p.cursor
		}
		if !s.named && from != "" && from == p.cursor {
			continue // mine will name it
		}
		e.rooms = append(e.rooms, asked{name, from})
	}
	return e
}

func (p *pupil) take(e entry) {
	switch e.verb {
	case "connect":
		p.connect(e)
	case "join":
		p.commands[e.id] = e
		p.rooms[e.room] = p.joining(e)
	case "leave":
		p.commands[e.id] = e
		p.left[e.room], p.gone[e.room] = true, true
	case "refresh":
		p.renewed[e.id] = e.who
	}
	if e.frame != nil {
		p.receive(e.frame)
	}
}

func (p *pupil) connect(e entry) {
	p.connected, p.live, p.asked, p.who = false, false, e.cursor, e.who
	p.renewed, p.commands, p.left = map[int64]identity{}, map[int64]entry{}, map[string]bool{}
	p.check.connect(p)
	for _, s := range p.rooms {
		s.begin(e.cursor, byConnect)
	}
	for _, a := range e.rooms {
		p.want(a.room)
		s := p.rooms[a.room]
		s.named = true
		s.begin(a.from, byConnect)
	}
	for _, s := range p.rooms {
		s.track(s.named)
	}
}

func (p *pupil) joining(e entry) *seat {
	s := &seat{room: e.room, named: true}
	s.begin(e.cursor, byJoin)
	s.track(s.named)
	return s
}

// begin resets a seat for a new connection or a new join.
func (s *seat) begin(from string, w way) {
	s.from, s.answered, s.live = from, false, false
	s.ledger.begin(from, w)
}

// drop takes a room out; one that a join is still under way for begins anew.
func (p *pupil) drop(room string) {
	delete(p.rooms, room)
	for _, c := range p.commands {
		if c.room == room && c.verb == "join" {
			p.rooms[room] = p.joining(c)
		}
	}
}

func (p *pupil) receive(f *frame) {
	switch {
	case f.Error != nil:
		p.failed(f)
	case f.Connect != nil:
		p.welcome(f.Connect)
	case f.Join != nil:
		delete(p.commands, f.ID)
		if s := p.rooms[f.Join.Room]; s != nil && !s.answered {
			s.answered = true
			p.check.fate(p, s, f.Join.Recovered)
		}
	case f.Leave != nil:
		delete(p.commands, f.ID)
		p.drop(f.Leave.Room)
	case f.Refresh != nil:
		p.who = p.renewed[f.ID]
		delete(p.renewed, f.ID)
	case f.History != nil:
		p.check.history(p, f.History)
	case f.Event != nil:
		p.event(f.Event)
	case f.Gap != nil:
		p.gap(f.Gap)
	case f.Live != nil:
		p.lives(f.Live)
	case f.Joined != nil:
		p.opened(f.Joined.Room)
	case f.Left != nil:
		p.check.closed(p, p.rooms[f.Left.Room], f.Left.Room)
		p.drop(f.Left.Room)
	case f.Revoked != nil:
		p.check.refused(p, f.Revoked.Room, "revoked")
		p.drop(f.Revoked.Room)
	case f.Ping != nil && *f.Ping != "":
		p.cursor = *f.Ping
		p.check.ping(p, *f.Ping)
	}
}

func (p *pupil) failed(f *frame) {
	c, ok := p.commands[f.ID]
	if !ok {
		p.check.failed(p, f)
		return
	}
	delete(p.commands, f.ID)
	if f.Error.Code == 103 {
		p.check.refused(p, c.room, "refused")
	}
	p.drop(c.room)
}

func (p *pupil) welcome(o *connected) {
	p.connected = true
	for _, room := range slices.Sorted(maps.Keys(o.Rooms)) {
		fate := o.Rooms[room]
		if fate.Error != nil {
			p.check.refused(p, room, "refused")
			p.drop(room)
			continue
		}
		s := p.rooms[room]
		if s == nil { // by mine
			s = &seat{room: room}
			s.begin(p.asked, byConnect)
			s.track(p.gone[room])
			p.rooms[room] = s
		}
		s.answered = true
		p.check.fate(p, s, fate.Recovered)
	}
	for room, s := range p.rooms {
		if !s.answered && !s.named && !p.busy(room) {
			p.drop(room)
		}
	}
}

// opened takes a room that mine has joined.
func (p *pupil) opened(room string) {
	s := p.rooms[room]
	p.check.opened(p, s, room)
	if s == nil { // otherwise a join by name is under way
		s = &seat{room: room}
		p.rooms[room] = s
	}
	s.begin("", byJoin)
	s.tracked, s.answered = false, true
}

func (p *pupil) event(e *event) {
	s := p.rooms[e.Room]
	p.check.event(p, s, e)
	if s != nil && s.live && !e.Snapshot && (p.live || !p.strict) {
		p.cursor = e.Cursor
	}
}

// gap: until its live arrives the room resumes from where it was.
func (p *pupil) gap(g *gap) {
	s := p.rooms[g.Room]
	p.check.gap(p, s, g)
	if s != nil && s.live {
		s.live, s.from = false, p.cursor
	}
}

func (p *pupil) lives(l *live) {
	for _, name := range slices.Sorted(maps.Keys(p.rooms)) {
		if s := p.rooms[name]; s.answered && (l.Room == "" || l.Room == name) {
			p.check.settle(p, s, l)
			s.live = true
		}
	}
	p.live = p.live || l.Room == ""
	if l.Cursor != "" && (p.live || !p.strict) {
		p.cursor = l.Cursor
	}
}

// seqOf a cursor, which is opaque to clients; 0 for none.
func seqOf(cursor string) uint64 {
	_, rest, _ := strings.Cut(cursor, "-")
	n, _, _ := strings.Cut(rest, "-")
	seq, _ := strconv.ParseUint(n, 10, 64)
	return seq
}
