package hub_test

import (
	"maps"
	"slices"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/subjects"
)

// refused checks that the user is not entitled to a room everywhere.
func (p *pupil) refused(room subjects.Room, t tag, what string) {
	h := p.m.oracle.at(t.hi, t.stamp)
	always := h != nil && len(p.renewed) == 0
	if always {
		_, always = p.m.oracle.entitled(h, p.who, room, t.lo, t.hi)
	}
	if s := p.rooms[room]; p.mine && (s == nil || !s.named) {
		// What mine holds ends with the index too, and that may have been read
		// a while before.
		for w := min(t.lo, p.asked.Seq); always && w <= t.hi; w++ {
			always = h.listed(p.user, room, w)
		}
	}
	if always {
		p.fail("%s was %s although %s is entitled to it from #%d to #%d", room, what, p.user, t.lo, t.hi)
	}
	p.drop(room)
}

// event checks one event: asked for, entitled, new, in order, and nothing
// missing before it.
func (p *pupil) event(m *hub.Message, snapshot bool, t tag) {
	room, typ := m.Name.Room, m.Name.Type
	s := p.rooms[room]
	if s == nil || !s.answered {
		p.fail("#%d of %s came without having been joined", m.Seq, room)
	}
	if s.gapDue {
		p.fail("#%d of %s came before the gap that recovered:false announces", m.Seq, room)
	}
	h := p.m.oracle.at(m.Seq, m.Stamp)
	if h == nil {
		p.fail("#%d of %s was never published", m.Seq, room)
	}
	p.entitled(room, m.Seq, t)
	after, known := s.pos[typ]
	if !known {
		after, known = s.base, !s.fresh
	}
	switch {
	case snapshot:
		appeared := p.mine && !s.named && s.way == byConnect && m.Seq <= s.base // mine found it since the cursor
		if !s.fresh && !appeared && !slices.ContainsFunc(s.gaps, func(g protocol.Gap) bool { return g.Type == protocol.AnyType || g.Type == typ }) {
			p.fail("#%d of %s is a snapshot without a gap", m.Seq, room)
		}
	case known && m.Seq <= after:
		p.fail("#%d of %s %s came although everything up to #%d had been given", m.Seq, room, typ, after)
	case known:
		p.covered(s, h, typ, after, m.Seq-1)
	}
	s.pos[typ] = max(after, m.Seq)
	if snapshot && !known {
		s.pos[typ] = m.Seq
	}
	s.handled[happened{m.Seq, m.Stamp}] = true
	s.last[typ] = m.Seq
	if !snapshot && s.way != byJoin {
		if m.Seq <= p.newest[s.way] {
			p.fail("#%d of %s came behind #%d", m.Seq, room, p.newest[s.way])
		}
		p.newest[s.way] = m.Seq
	}
	if s.live {
		p.cursor = m.Cursor()
	}
}

// entitled checks that the user may be given something of a room.
func (p *pupil) entitled(room subjects.Room, seq uint64, t tag) {
	h := p.m.oracle.at(t.hi, t.stamp)
	if h == nil {
		return // the edge had nothing
	}
	for _, who := range append(slices.Collect(maps.Values(p.renewed)), p.who) {
		if ok, _ := p.m.oracle.entitled(h, who, room, max(t.lo, min(seq, t.hi)), t.hi); ok {
			return
		}
	}
	p.fail("#%d of %s was given although %s was not entitled from #%d to #%d", seq, room, p.user, t.lo, t.hi)
}

// covered checks that no event with after < seq <= upTo is missing without a
// gap that says so.
func (p *pupil) covered(s *seat, h *chronicle, typ string, after, upTo uint64) {
	for _, e := range h.between(s.room, typ, after, upTo) {
		if e.seq <= s.pos[e.typ] || excuses(s.gaps, e) {
			continue
		}
		p.fail("#%d of %s %s is missing: the client had everything up to #%d and was told %v", e.seq, s.room, e.typ, after, s.gaps)
	}
}

func excuses(gaps []protocol.Gap, e happening) bool {
	return slices.ContainsFunc(gaps, func(g protocol.Gap) bool {
		return (g.Type == protocol.AnyType || g.Type == e.typ) && (g.After < e.seq || g.Reason == protocol.GapEpoch) && e.seq < g.Before
	})
}

func (p *pupil) gap(g *protocol.Gap, t tag) {
	s := p.rooms[subjects.Room(g.Room)]
	if s == nil || !s.answered {
		p.fail("a gap of %s came without having been joined", g.Room)
	}
	if from := s.from; g.Reason == protocol.GapEpoch && !s.live && from.Epoch == t.epoch {
		h := p.m.oracle.at(from.Seq, from.Time)
		if h != nil && h == p.m.oracle.at(t.hi, t.stamp) {
			p.fail("%s is told another epoch than that of %s, which the edge at #%d is in", s.room, from, t.hi)
		}
	}
	if s.live {
		s.live, s.way, s.from = false, afterGap, p.cursor
	}
	s.gapDue = false
	s.gaps = append(s.gaps, *g)
	p.m.gapTold(s, g)
	if g.Reason == protocol.GapEpoch {
		s.base, s.pos, s.last = g.Before-1, map[string]uint64{}, map[string]uint64{}
		clear(p.newest)
	}
}

// settle checks that a room has everything up to a cursor.
func (p *pupil) settle(s *seat, c protocol.Cursor, t tag) {
	if s.gapDue {
		p.fail("%s is live, the gap that recovered:false announces did not come", s.room)
	}
	h := p.m.oracle.at(c.Seq, c.Time)
	if h == nil {
		p.fail("live at %s, which never was", c)
	}
	if s.fresh {
		p.complete(s, h, c, t)
	} else {
		types := map[string]bool{}
		for _, e := range h.between(s.room, protocol.AnyType, s.base, c.Seq) {
			types[e.typ] = true
		}
		for typ := range types {
			p.covered(s, h, typ, max(s.base, s.pos[typ]), c.Seq)
		}
	}
	p.madeGood(s, h, c, t)
	p.remember(s, h, c)
	s.base, s.pos = c.Seq, map[string]uint64{}
	s.live, s.fresh, s.way, s.gaps = true, false, byTail, nil
}

// complete checks that a fresh join knows the last value of each state, unless
// a newer one was published already and follows.
func (p *pupil) complete(s *seat, h *chronicle, c protocol.Cursor, t tag) {
	w := c.Seq
	for _, typ := range []string{"status", "note"} {
		newer := p.m.oracle.follows(s.room, typ, c, t.end)
		if last := h.last(s.room, typ, w); last > 0 && s.pos[typ] < last && !newer {
			p.fail("%s is live at #%d with #%d as its last %s, which was #%d", s.room, w, s.pos[typ], typ, last)
		}
	}
	for typ, pos := range s.pos {
		p.covered(s, h, typ, pos, w)
	}
}

// madeGood checks that the last values followed the gaps.
func (p *pupil) madeGood(s *seat, h *chronicle, c protocol.Cursor, t tag) {
	w := c.Seq
	for _, g := range s.gaps {
		for _, typ := range []string{"status", "note"} {
			if g.Type != protocol.AnyType && g.Type != typ {
				continue
			}
			last := h.last(s.room, typ, w)
			newer := p.m.oracle.follows(s.room, typ, c, t.end)
			if last > 0 && (last > g.After || g.Reason == protocol.GapEpoch) && s.last[typ] != last && !newer {
				p.fail("%s is live at #%d behind %v with #%d as its last %s, which was #%d", s.room, w, g, s.last[typ], typ, last)
			}
		}
	}
}

// remember checks what the user has been shown over all connections.
func (p *pupil) remember(s *seat, h *chronicle, c protocol.Cursor) {
	for _, g := range s.gaps {
		if g.Reason == protocol.GapEpoch {
			s.tracked, s.verified = true, g.Before-1
			s.excused = nil
		}
	}
	s.excused = append(s.excused, s.gaps...)
	if !s.tracked {
		s.tracked, s.verified = true, c.Seq
	}
	for _, e := range h.between(s.room, protocol.AnyType, s.verified, c.Seq) {
		if !s.handled[happened{e.seq, h.stamps[e.seq]}] && !excuses(s.excused, e) {
			p.fail("#%d of %s %s was never shown, verified up to #%d", e.seq, s.room, e.typ, s.verified)
		}
	}
	s.verified = max(s.verified, c.Seq)
}
