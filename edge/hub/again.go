package hub

import (
	"slices"
	"time"

	"github.com/petpro/fabric/edge/protocol"
)

// restart puts the session's live rooms on their way again, in one unit and so
// in stream order, from a cursor that covers them all: after a jump, a reset
// (reason epoch), or when access to one of them must be read first. What was on
// its way already begins again.
func (s *Session) restart(from protocol.Cursor, reason protocol.GapReason) {
	for _, u := range slices.Clone(s.units) {
		u.restart(reason)
	}
	s.repair(from, reason)
	if s.mine {
		s.follow(from, reason)
	}
}

// repair makes a unit of all live rooms.
func (s *Session) repair(from protocol.Cursor, reason protocol.GapReason) {
	var u *unit
	for _, m := range s.members {
		if m.unit != nil {
			continue
		}
		if u == nil {
			u = s.newUnit(unitRepair)
			u.told, u.whole, u.held = true, true, from.String()
		}
		u.add(&leg{m: m, name: string(m.room.name), since: from, trusted: true, forced: reason})
	}
	if u != nil {
		u.begin()
	}
}

// restart begins again after a jump or a reset of the shard.
func (u *unit) restart(reason protocol.GapReason) {
	switch {
	case u.phase == indexing || u.phase == merging:
		u.phase = indexing
		if reason != "" {
			u.after = 0
		}
	case !u.told:
		u.phase = asking
		if reason != "" {
			u.forget()
		}
	case reason != "":
		u.items, u.next = nil, 0
		u.forget()
		u.rewind(reason)
	case u.phase == replay || u.phase == judging:
		// What it holds is still right. Where to read on it finds out by
		// itself, but access may have been lost in what was jumped over.
		u.hold()
	default: // reading for a repair was under way
		u.phase = asking
	}
	u.try++ // drops what is being read
	u.park(0)
}

// forget drops what was certain in the old history only. The index is read
// again, and tells which bookings are closed.
func (u *unit) forget() {
	for _, l := range u.legs {
		l.forced, l.until, l.reopened = "", 0, nil
		for _, j := range l.joins {
			u.s.rejoin(j.id, l.m, j.cursor)
		}
		l.joins = nil
	}
}

// again sends a unit that was being replayed back to history: the ring has run
// past it.
func (u *unit) again() {
	u.rewind("")
	u.try++
	u.overrun()
}

// rewind makes the last event collected for each room the position that the
// unit resumes from.
func (u *unit) rewind(reason protocol.GapReason) {
	sh := u.s.shard
	for _, l := range u.legs {
		at := l.since.Time // the position is newer; older is the safe side
		if l.fresh || l.forced != "" || sh.outlived(l.since) {
			at = sh.stamp // what was lost before has been told
		}
		l.since = protocol.Cursor{Epoch: sh.epoch, Seq: l.pos, Time: at}
		l.fresh, l.appeared, l.trusted, l.from, l.forced = false, false, true, 0, reason
	}
	u.phase, u.begun = asking, time.Now()
}

// hold stops a replay until access has been judged again.
func (u *unit) hold() { u.phase, u.begun = judging, time.Now() }

// rejudge goes on with a held replay once it is known, at the watermark, that
// each of its rooms may still be given.
func (u *unit) rejudge() {
	sh := u.s.shard
	u.try++
	var asks []Ask
	for _, l := range u.legs {
		l.found = nil
		if sh.judge(u.s.who, l.m.room) == unknown {
			asks = append(asks, Ask{Room: l.m.room.name, Fresh: true})
		}
	}
	if len(asks) == 0 {
		u.rejudged(nil)
		return
	}
	try := u.try
	sh.hub.fetch.get(sh, asks, func(results []fetchResult) {
		if !u.ended && try == u.try {
			u.rejudged(results)
		}
	})
}

// rejudged takes the records that history found. Those that do not fit the
// watermark are asked for again.
func (u *unit) rejudged(results []fetchResult) {
	sh := u.s.shard
	if !sh.steady() {
		u.park(0)
		return
	}
	if err := u.match(results); err != nil {
		sh.hub.stats.FetchErrors.Add(1)
		u.pause()
		return
	}
	if u.admit() {
		u.phase = replay
		u.s.pump()
	}
}
