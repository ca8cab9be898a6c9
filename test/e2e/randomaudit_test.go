package e2e_test

import (
	"math"
	"slices"
	"strings"
)

// audit goes through what one client has sent and received, and holds each
// step against the whole stream. Its methods do nothing on nil.
type audit struct {
	h        *chronicle
	wanderer *wanderer
	tally    *tally

	at     int      // entry of the log
	upTo   []uint64 // by entry: the edge's watermark was not beyond it
	lo     uint64   // the edge's watermark was at least this
	newest map[way]uint64
	broken bool
}

// tally is what all clients have seen.
type tally struct {
	Connects, Resumes, Recovered, False, Needless int
	Gaps, NeedlessGaps, Epochs                    int
	Live, Replayed, Snapshots, Dropped            int
	Refused, Opened, Closed                       int
	Codes                                         map[int]int
}

// way on which events of a room come, in stream order with all others on it.
type way int

const (
	byConnect way = iota
	byJoin        // a room alone
	afterGap      // a gap in the middle of a session
	byTail
)

// ledger is what the audit knows of a seat.
type ledger struct {
	way          way
	fresh        bool // until its first live
	gapDue, told bool // recovered:false was told, and no gap yet
	base         uint64
	pos          map[string]uint64 // given on this connection behind base, by type
	gaps         []gap             // told and not effective yet

	// over connections
	tracked  bool
	verified uint64
	since    uint64            // the client chose to resume from here: it was given no last values
	seen     map[uint64]bool   // handled after the client rule
	last     map[string]uint64 // last handled, by type
	excused  []gap
}

func (r *ledger) begin(from string, w way) {
	r.way, r.fresh, r.gapDue, r.told, r.gaps = w, from == "", false, false, nil
	r.base, r.pos = seqOf(from), map[string]uint64{}
	if r.seen == nil {
		r.seen, r.last = map[uint64]bool{}, map[string]uint64{}
	}
}

// track: who resumes from a cursor says to have everything up to it;
// mine names rooms by itself, which the client may not have known.
func (r *ledger) track(knowing bool) {
	if !r.tracked && !r.fresh {
		r.tracked, r.verified = true, r.base
		if knowing {
			r.since = r.base
		}
	}
}

func (a *audit) run() {
	w := a.wanderer
	p := newPupil(w.user, w.pupil.mine, w.pupil.strict)
	p.check = a
	if a.tally.Codes == nil {
		a.tally.Codes = map[int]int{}
	}
	a.bounds()
	for i, e := range w.log {
		a.at = i
		p.take(e)
		switch {
		case a.broken:
			return
		case e.verb == "end":
			a.tally.Codes[e.code]++
		case e.verb == "rest":
			a.rest(p)
		}
	}
}

// bounds finds for each entry an upper bound of the watermark under which it
// was sent: the next cursor that is told when nothing is on its way.
func (a *audit) bounds() {
	log := a.wanderer.log
	a.upTo = make([]uint64, len(log))
	bound := uint64(math.MaxUint64)
	for i, e := range slices.Backward(log) {
		switch {
		case e.verb == "end", e.verb == "connect", e.verb == "rest":
			bound = a.h.last
		case e.frame != nil && e.frame.Live != nil && e.frame.Live.Room == "":
			bound = seqOf(e.frame.Live.Cursor)
		}
		a.upTo[i] = min(bound, a.h.last)
	}
}

func (a *audit) fail(format string, args ...any) {
	t := a.wanderer.c.t
	t.Helper()
	if !a.broken {
		t.Errorf("%s, entry %d: "+format+"\n%s", append(append([]any{a.wanderer.name, a.at}, args...), a.wanderer.tail(a.at+1))...)
	}
	a.broken = true
}

func (a *audit) connect(*pupil) {
	if a == nil {
		return
	}
	a.lo, a.newest = 0, map[way]uint64{}
	a.tally.Connects++
}

func (a *audit) fate(_ *pupil, s *seat, recovered *bool) {
	if a == nil {
		return
	}
	if s.fresh != (recovered == nil) {
		a.fail("%s: the ask was fresh: %t, the answer says recovered: %t", s.room, s.fresh, recovered != nil)
	}
	if recovered == nil {
		return
	}
	a.tally.Resumes++
	s.gapDue = !*recovered
	s.told = s.gapDue
	if *recovered {
		a.tally.Recovered++
	} else {
		a.tally.False++
	}
}

func (a *audit) failed(p *pupil, f *frame) {
	if a == nil {
		return
	}
	if _, ok := p.renewed[f.ID]; ok {
		a.fail("a refresh failed: %+v", *f.Error)
	}
}

// window is between which watermarks the present frame was sent.
func (a *audit) window(seq uint64) (lo, hi uint64) {
	lo = max(a.lo, seq)
	return lo, max(lo, a.upTo[a.at])
}

func (a *audit) covers(p *pupil, room string) bool {
	if room == "user."+p.user || p.who.covers(room) {
		return true
	}
	for _, who := range p.renewed {
		if who.covers(room) {
			return true
		}
	}
	return false
}

// entitled fails if the user was not entitled at any watermark at which this
// may have been delivered.
func (a *audit) entitled(p *pupil, room string, seq uint64) {
	lo, hi := a.window(seq)
	if ok, _ := a.h.takesPart(p.user, room, lo, hi); !ok && !a.covers(p, room) {
		a.fail("#%d of %s was given although %s was not entitled from #%d to #%d", seq, room, p.user, lo, hi)
	}
}

// refused fails if the user was entitled all the time.
func (a *audit) refused(p *pupil, room, what string) {
	if a == nil {
		return
	}
	a.tally.Refused++
	lo, hi := a.window(0)
	s := p.rooms[room]
	_, always := a.h.takesPart(p.user, room, lo, hi)
	if (always || p.who.covers(room)) && len(p.renewed) == 0 && s != nil && s.named {
		a.fail("%s was %s although %s was entitled from #%d to #%d", room, what, p.user, lo, hi)
	}
}

func (a *audit) opened(p *pupil, s *seat, room string) {
	if a == nil {
		return
	}
	a.tally.Opened++
	if !p.mine || s != nil && s.answered {
		a.fail("%s was joined by mine: asked for %t, in it already %t", room, p.mine, s != nil)
	}
}

// closed fails if not everything came before the end.
func (a *audit) closed(p *pupil, s *seat, room string) {
	if a == nil {
		return
	}
	a.tally.Closed++
	if s == nil || !s.answered {
		a.fail("%s was left without having been joined", room)
		return
	}
	// After trouble the index is read again, and a booking that closed before
	// is left late: then nothing is due up to the next closing.
	if !a.h.listed(p.user, room, s.verified) {
		return
	}
	if end := a.h.closed(p.user, room, s.verified); end > 0 && s.tracked {
		a.complete(s, end)
	}
}

func (a *audit) history(p *pupil, o *history) {
	if a == nil {
		return
	}
	var before uint64
	for _, e := range o.Events {
		if e.Seq <= before || len(a.h.between(o.Room, e.Seq-1, e.Seq)) == 0 && !a.h.unsure(e.Seq-1, e.Seq) {
			a.fail("history has #%d behind #%d", e.Seq, before)
		}
		before = e.Seq
	}
	if before > 0 {
		a.entitled(p, o.Room, before)
	}
}

// event checks one event: asked for, entitled, new, in order, and nothing
// missing before it.
func (a *audit) event(p *pupil, s *seat, e *event) {
	if a == nil {
		return
	}
	switch {
	case s == nil || !s.answered:
		a.fail("#%d of %s came without having been joined", e.Seq, e.Room)
		return
	case s.gapDue:
		a.fail("#%d of %s came before the gap that recovered:false announces", e.Seq, e.Room)
	case len(a.h.between(e.Room, e.Seq-1, e.Seq)) == 0 && !a.h.unsure(e.Seq-1, e.Seq):
		a.fail("#%d of %s was never published", e.Seq, e.Room)
	}
	a.entitled(p, e.Room, e.Seq)
	after, known := s.pos[e.Type]
	if !known {
		after, known = s.base, !s.fresh
	}
	switch {
	case e.Snapshot:
		a.tally.Snapshots++
		appeared := !s.named && e.Seq <= s.base // mine found it since the cursor
		if !s.fresh && !appeared && !slices.ContainsFunc(s.gaps, func(g gap) bool { return g.Type == "*" || g.Type == e.Type }) {
			a.fail("#%d of %s is a snapshot without a gap", e.Seq, e.Room)
		}
	case known && e.Seq <= after:
		a.fail("#%d of %s %s came although everything up to #%d had been given", e.Seq, e.Room, e.Type, after)
	case s.way != byJoin && e.Seq <= a.newest[s.way]:
		a.fail("#%d of %s came behind #%d", e.Seq, e.Room, a.newest[s.way])
	case s.way != byJoin:
		a.newest[s.way] = e.Seq
	}
	s.pos[e.Type] = max(after, e.Seq)
	if s.handle(e) {
		if s.live && !e.Snapshot {
			a.tally.Live++
		} else if !e.Snapshot {
			a.tally.Replayed++
		}
	} else {
		a.tally.Dropped++
	}
	if s.live {
		a.complete(s, e.Seq)
	}
	a.lo = max(a.lo, e.Seq)
}

// handle applies the client rule; it reports whether the event is new.
func (r *ledger) handle(e *event) bool {
	if !e.Snapshot && e.Seq <= r.last[e.Type] {
		return false
	}
	r.last[e.Type] = e.Seq
	r.seen[e.Seq] = true
	return true
}

// complete fails if an event up to a sequence was neither handled nor covered
// by a gap.
func (a *audit) complete(s *seat, upTo uint64) {
	if !s.tracked {
		return
	}
	for _, e := range a.h.between(s.room, s.verified, upTo) {
		if !s.seen[e.seq] && !excuses(s.excused, e) && !excuses(s.gaps, e) {
			a.fail("#%d of %s %s is missing: the client is at #%d, and was told the gaps %+v", e.seq, s.room, e.typ, upTo, s.excused)
			return
		}
	}
	s.verified = max(s.verified, upTo)
}

func excuses(gaps []gap, e happening) bool {
	return slices.ContainsFunc(gaps, func(g gap) bool {
		return (g.Type == "*" || g.Type == e.typ) && (g.After < e.seq || g.Reason == "epoch") && e.seq < g.Before
	})
}

func (a *audit) gap(_ *pupil, s *seat, g *gap) {
	if a == nil {
		return
	}
	if s == nil || !s.answered {
		a.fail("a gap of %s came without having been joined", g.Room)
		return
	}
	a.tally.Gaps++
	if s.live {
		s.way = afterGap
	}
	s.gapDue = false
	s.gaps = append(s.gaps, *g)
	if g.Reason == "epoch" {
		a.tally.Epochs++
		s.base, s.pos, s.last = g.Before-1, map[string]uint64{}, map[string]uint64{}
		clear(a.newest)
	}
}

// settle checks that a room has everything up to the cursor of its live.
func (a *audit) settle(_ *pupil, s *seat, l *live) {
	if a == nil {
		return
	}
	if s.gapDue {
		a.fail("%s is live, the gap that recovered:false announces did not come", s.room)
	}
	to := seqOf(l.Cursor)
	a.states(s, to)
	a.weigh(s)
	s.excused = append(s.excused, s.gaps...)
	s.gaps = nil
	if s.fresh { // the cursor of a join may be older than what the join gave
		s.tracked, s.verified = true, max(to, a.lo)
	}
	a.complete(s, to)
	if !s.live {
		s.base, s.pos = to, map[string]uint64{}
	}
	s.fresh, s.told, s.way = false, false, byTail
	a.lo = max(a.lo, to)
}

// states checks that the last values came, to who joined afresh or was told a
// gap.
func (a *audit) states(s *seat, to uint64) {
	for _, typ := range []string{"status", "note"} {
		due := s.fresh || slices.ContainsFunc(s.gaps, func(g gap) bool { return g.Type == "*" || g.Type == typ })
		last := a.h.newest(s.room, typ, to)
		follows := a.h.newest(s.room, typ, to+500) > last
		if due && s.last[typ] < last && !follows && strings.HasPrefix(s.room, "booking.") {
			a.fail("%s is live at #%d with #%d as its last %s, which was #%d", s.room, to, s.last[typ], typ, last)
		}
	}
}

// weigh counts what was told without need.
func (a *audit) weigh(s *seat) {
	needed, epoch := false, false
	for _, g := range s.gaps {
		missing := slices.ContainsFunc(a.h.between(s.room, g.After, g.Before-1), func(e happening) bool {
			return (g.Type == "*" || g.Type == e.typ) && !s.seen[e.seq]
		})
		if g.Reason == "epoch" {
			epoch = true
		} else if !missing {
			a.tally.NeedlessGaps++
		}
		needed = needed || missing
	}
	if s.told && !needed && !epoch {
		a.tally.Needless++
	}
}

// ping checks that a cursor covers every room that is live.
func (a *audit) ping(p *pupil, cursor string) {
	if a == nil || !p.live {
		return
	}
	for _, s := range p.rooms {
		if s.live {
			a.complete(s, seqOf(cursor))
		}
	}
	a.lo = max(a.lo, seqOf(cursor))
}

// rest checks that a client is up to date in the end.
func (a *audit) rest(p *pupil) {
	for _, s := range p.rooms {
		a.complete(s, a.h.last)
		for _, typ := range []string{"status", "note"} {
			if last := a.h.newest(s.room, typ, a.h.last); last > s.since && strings.HasPrefix(s.room, "booking.") && s.last[typ] != last {
				a.fail("in the end %s has #%d as its last %s, which is #%d", s.room, s.last[typ], typ, last)
			}
		}
		if ok, _ := a.h.takesPart(p.user, s.room, a.h.last, a.h.last); !ok && !a.covers(p, s.room) {
			a.fail("in the end the client is in %s without being entitled", s.room)
		}
	}
	for room := range a.h.rooms {
		ok, _ := a.h.takesPart(p.user, room, a.h.last, a.h.last)
		if p.mine && ok && a.h.listed(p.user, room, a.h.last) && p.rooms[room] == nil && !p.left[room] && len(a.h.holes) == 0 {
			a.fail("in the end %s is open, and the client is not in it", room)
		}
	}
}
