package hub

import (
	"errors"
	"slices"

	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/subjects"
)

// route says where what a leg missed can be read.
type route uint8

const (
	viaRing route = iota
	viaHistory
	ahead // the position is beyond this edge's watermark
)

// route judges one leg at the watermark.
func (sh *shard) route(l *leg) route {
	switch {
	case l.forced != "" || l.fresh:
		return viaHistory
	case l.since.Epoch != sh.epoch:
		l.forced = protocol.GapEpoch
		return viaHistory
	case l.since.Seq > sh.w:
		return ahead
	case !l.trusted && !sh.agrees(l.since):
		l.forced = protocol.GapEpoch
		return viaHistory
	}
	if l.appeared || sh.judge(l.m.s.who, l.m.room) == unknown {
		return viaHistory
	}
	switch {
	case l.since.Seq+1 < sh.view.From:
		return viaHistory
	case l.since.Seq+1 < sh.view.ExactFrom && sh.ringMayMiss(l):
		return viaHistory
	}
	return viaRing
}

// agrees reports whether a cursor of this epoch can be of this history.
func (sh *shard) agrees(c protocol.Cursor) bool {
	if c.Seq == sh.w {
		return c.Time == sh.stamp
	}
	return sh.hub.feed.Agrees(sh.gen, c.Seq, c.Time)
}

// ask routes every leg, and reads from history what the ring cannot serve.
func (u *unit) ask() {
	sh := u.s.shard
	u.phase = asking
	u.try++
	var asks []Ask
	for _, l := range u.legs {
		l.found, l.ring = nil, false
		switch sh.route(l) {
		case ahead:
			sh.askEnd(u)
			u.park(0)
			return
		case viaRing:
			l.ring = true
			l.vetted = sh.view.ExactFrom
		case viaHistory:
			asks = append(asks, Ask{
				Room: l.m.room.name, Since: l.since.Seq, Fresh: l.fresh || l.forced != "",
			})
		}
	}
	if len(asks) == 0 {
		u.handOver()
		return
	}
	u.phase = fetching
	try := u.try
	sh.hub.fetch.get(sh, asks, func(results []fetchResult) { u.answered(try, results) })
}

// answered takes what history found, in the shard's goroutine. results holds
// an entry for each leg that was asked for, by room.
func (u *unit) answered(try int, results []fetchResult) {
	if u.ended || try != u.try {
		return
	}
	u.phase = asking
	if err := u.match(results); err != nil {
		u.unanswered(err)
		return
	}
	u.handOver()
}

// match gives each leg what was found for it, or returns the first error.
func (u *unit) match(results []fetchResult) error {
	of := make(map[subjects.Room]*leg, len(u.legs))
	for _, l := range u.legs {
		of[l.m.room.name] = l
	}
	for _, r := range results {
		if r.err != nil {
			return r.err
		}
		if l := of[r.found.Room]; l != nil { // not left meanwhile
			l.found, l.upTo = r.found, r.upTo
		}
	}
	return nil
}

// unanswered: joins are told so, everything else waits for the broker.
func (u *unit) unanswered(err error) {
	u.s.shard.hub.stats.FetchErrors.Add(1)
	if (u.kind == unitJoin || u.kind == unitMine) && !u.told && errors.Is(err, ErrUnavailable) {
		u.refuse(protocol.CodeUnavailable, "the broker is away, try again later")
		return
	}
	u.pause()
}

// handOver is the moment at which history, ring and watermark must fit. It
// runs at the shard's watermark W; what does not fit is waited for or asked
// again, never assumed.
func (u *unit) handOver() {
	sh := u.s.shard
	if !sh.steady() {
		u.park(0) // still asking: the shard is about to reset
		return
	}
	u.phase = handing
	upTo, read, old := sh.w, false, false
	for _, l := range u.legs {
		switch {
		case l.ring && l.since.Seq+1 < sh.view.From,
			l.ring && l.since.Seq+1 < sh.view.ExactFrom && l.vetted != sh.view.ExactFrom,
			!l.ring && l.found == nil:
			u.ask() // the ring ran past it meanwhile
			return
		case !l.ring:
			upTo, read = min(upTo, l.upTo), true
			// Last values from before the cursor may not be those at the cursor.
			old = old || l.appeared && l.upTo < l.since.Seq
			if need := l.readUpTo(); need > sh.w {
				u.park(need) // the answer is ahead of the tail
				return
			}
		}
	}
	if old || read && upTo+1 < max(sh.view.From, sh.view.ExactFrom) {
		u.phase = asking // the answer is too old to go on from
		u.pause()
		return
	}
	if u.admit() {
		u.tell(upTo)
	}
}

// overrun begins again because the ring has run past what it was to serve since
// the view was last looked at; the shard looks before the unit proceeds.
func (u *unit) overrun() {
	u.phase = asking
	u.park(0)
	u.s.shard.moved = true
}

// readUpTo is how far the tail must be before what history found can be used:
// the answer's own end, and the record, which another replica may have given.
func (l *leg) readUpTo() uint64 {
	if l.found.Grant != nil {
		return max(l.upTo, l.found.Grant.Seq)
	}
	return l.upTo
}

// admit judges every leg at the watermark. Refused ones leave the unit; false
// means that the unit must wait, ask again, or has ended.
func (u *unit) admit() bool {
	sh := u.s.shard
	for _, l := range slices.Clone(u.legs) {
		if l.found != nil {
			sh.learn(l.m.room, l.found.Grant, l.upTo)
		}
		switch sh.judge(u.s.who, l.m.room) {
		case granted:
			continue
		case unknown: // the ring has just run past what was read
			if u.phase == handing {
				u.phase = asking
			}
			u.pause()
			return false
		case missing:
			if !sh.view.Settled {
				u.park(0) // the publisher is still writing this epoch's records
				return false
			}
		}
		if !u.reject(l) {
			return false
		}
	}
	return true
}

// reject puts out a leg the session is not entitled to. It reports whether the
// unit goes on.
func (u *unit) reject(l *leg) bool {
	sh := u.s.shard
	if l.m.room.name == subjects.UserRoom(u.s.who.User) {
		if !u.told {
			u.s.fail(u.id, protocol.CodeUnauthorized, "the token was issued before the user logged out")
		}
		u.s.close(protocol.CloseLoggedOut)
		return false
	}
	if u.told {
		sh.revoke(l.m)
		return len(u.legs) > 0 || u.finishEmpty()
	}
	sh.hub.stats.Refused.Add(1)
	refusal := protocol.Error{Code: protocol.CodeNotEntitled, Message: "not entitled to " + l.name}
	named := l.m.named
	sh.exit(l.m)
	switch u.kind {
	case unitJoin:
		for _, id := range append([]int64{u.id}, l.also...) {
			u.s.send(&protocol.Failed{ID: id, Error: refusal})
		}
		u.end()
		return false
	case unitIndex:
		u.end()
		return false
	case unitConnect:
		if named {
			u.fates = append(u.fates, protocol.RoomFate{Room: l.name, Error: &refusal})
		}
	}
	for _, id := range l.also {
		u.s.send(&protocol.Failed{ID: id, Error: refusal})
	}
	return true
}
