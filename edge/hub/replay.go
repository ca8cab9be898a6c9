package hub

import (
	"cmp"
	"slices"
	"time"

	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/subjects"
)

// collectMax is how many events a unit takes from the ring at a time: the ring
// stays the buffer, a session holds little.
const collectMax = 512

// pump lets the session's units replay as far as half the queue reaches; the
// rest follows when the client has drained it. Live events of other rooms use
// the other half.
//
// What a client takes for live must be covered by the newest cursor it has
// seen. So a unit over all rooms finishes when every room that the client knows
// of has caught up; and while rooms are under repair, which the client takes
// for live, nothing else becomes live, or its events would carry cursors that
// the repaired rooms have not reached.
func (s *Session) pump() {
	var ready []*unit
	behind, repairing := false, false
	for _, u := range slices.Clone(s.units) {
		repairing = repairing || u.kind == unitRepair
		if u.phase == replay && !u.wantsDrain && u.pump() {
			ready = append(ready, u)
		} else if u.told || u.whole {
			behind = true
		}
	}
	for _, u := range ready {
		if !u.whole && !(behind && repairing) {
			u.finish()
		}
	}
	for _, u := range ready {
		if u.whole && !behind {
			u.finish() // and tells that all is live
		}
	}
	later := s.later
	s.later = nil
	for _, do := range later {
		do()
	}
}

// pump gives what fits; it reports whether the unit is at the watermark.
func (u *unit) pump() bool {
	for {
		for u.next < len(u.items) {
			if !u.give(u.items[u.next]) {
				return false
			}
			u.items[u.next] = item{}
			u.next++
		}
		u.items, u.next = nil, 0
		if !u.collect() {
			u.again()
			return false
		}
		if len(u.items) == 0 {
			return true
		}
	}
}

// give queues one item; false if the queue is half full.
func (u *unit) give(it item) bool {
	s := u.s
	if it.leg.m.gone() {
		return true // left or revoked meanwhile, and perhaps joined anew
	}
	frames, bytes := s.client.Room()
	if frames < s.frames && (frames <= s.frames/2 || bytes <= s.bytes/2) {
		u.wantsDrain = true
		s.client.NotifyDrained()
		return false
	}
	if it.out != nil {
		s.send(it.out)
		return true
	}
	s.event(it.m, it.snapshot)
	if it.snapshot {
		s.shard.hub.stats.Snapshots.Add(1)
	}
	return true
}

// collect takes the next events of the unit's rooms from the ring, in stream
// order. false if the ring has run past one of them.
func (u *unit) collect() bool {
	sh := u.s.shard
	buf := sh.scratch[:0]
	defer func() { sh.scratch = buf[:0] }()
	for _, l := range u.legs {
		if l.pos >= sh.w {
			continue
		}
		if l.pos+1 < sh.view.ExactFrom && l.vetted != sh.view.ExactFrom {
			return false
		}
		mark, ok := len(buf), false
		if buf, ok = sh.hub.feed.Room(sh.gen, l.m.room.name, l.pos, sh.w, buf); !ok {
			return false
		}
		keep := slices.DeleteFunc(buf[mark:], func(m *Message) bool {
			return m.Name.Class != subjects.Event || l.until > 0 && m.Seq > l.until
		})
		buf = buf[:mark+len(keep)]
	}
	slices.SortFunc(buf, func(a, b *Message) int { return cmp.Compare(a.Seq, b.Seq) })
	pos := sh.w
	if len(buf) > collectMax {
		pos = buf[collectMax-1].Seq
	}
	u.queue(buf[:min(len(buf), collectMax)])
	for _, l := range u.legs {
		l.pos = max(l.pos, pos)
	}
	return true
}

// queue makes items of events of the unit's rooms.
func (u *unit) queue(events []*Message) {
	if len(events) == 0 {
		return
	}
	of := make(map[subjects.Room]*leg, len(u.legs))
	for _, l := range u.legs {
		of[l.m.room.name] = l
	}
	for _, m := range events {
		u.items = append(u.items, item{leg: of[m.Name.Room], m: m})
	}
}

// finish makes the unit's rooms live at the watermark: everything up to it has
// been queued, everything behind it will be stepped.
func (u *unit) finish() {
	s, sh := u.s, u.s.shard
	legs := u.legs
	u.end()
	for _, l := range legs {
		if l.until > 0 {
			s.leaveClosed(l)
		}
	}
	if u.whole {
		if !slices.ContainsFunc(s.units, func(o *unit) bool { return o.whole }) {
			s.send(&protocol.Live{Cursor: sh.cursor()})
		}
		return
	}
	for _, l := range legs {
		if !l.m.gone() {
			s.send(&protocol.Live{Room: string(l.m.room.name), Cursor: sh.cursor()})
		}
	}
}

// reply answers the command that made the unit, once the fate of its rooms is
// decided and before anything is replayed.
func (u *unit) reply() {
	s := u.s
	switch u.kind {
	case unitConnect:
		s.send(u.connected())
		for _, room := range u.withdrawn {
			if s.find(room) == nil { // not given back meanwhile
				s.send(&protocol.Revoked{Room: string(room), Reason: "no longer a participant"})
			}
		}
	case unitJoin:
		l := u.legs[0]
		s.send(&protocol.Joined{ID: u.id, Room: l.name, Resumed: l.resumed(), Recovered: len(l.gaps) == 0})
	case unitMine:
		r := &protocol.Joined{ID: u.id, Room: protocol.Mine}
		for _, l := range u.legs {
			r.Rooms = append(r.Rooms, l.fate())
		}
		s.send(r)
	}
	for _, l := range u.legs {
		for _, id := range l.also {
			s.send(&protocol.Joined{ID: id, Room: l.name, Resumed: l.resumed(), Recovered: len(l.gaps) == 0})
		}
		l.also = nil
	}
}

// connected: recovered is true only if a cursor was given and no room has a
// gap.
func (u *unit) connected() *protocol.Connected {
	s := u.s
	r := &protocol.Connected{
		ID: u.id, Session: s.ID(), User: s.who.User,
		Ping: s.shard.hub.cfg.Ping, Expires: time.Until(s.who.Expires),
		Recovered: !u.cursor.IsZero() && !u.old,
		Rooms:     u.fates,
	}
	for _, l := range u.legs {
		if len(l.gaps) > 0 {
			r.Recovered = false
		}
		r.Rooms = append(r.Rooms, l.fate())
	}
	return r
}

func (l *leg) resumed() bool { return !l.fresh }

func (l *leg) fate() protocol.RoomFate {
	return protocol.RoomFate{Room: l.name, Resumed: l.resumed(), Recovered: l.resumed() && len(l.gaps) == 0}
}
