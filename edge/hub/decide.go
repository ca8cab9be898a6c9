package hub

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/subjects"
)

// item is one thing a unit still has to give to its client.
type item struct {
	leg      *leg // for which it was collected
	m        *Message
	snapshot bool
	out      protocol.Out // instead of m
}

// ringMayMiss reports whether messages newer than the leg's position may have
// been dropped by the stream before this edge warmed its ring: below ExactFrom
// the ring is as incomplete as the stream was, and the rule of decide applies.
func (sh *shard) ringMayMiss(l *leg) bool {
	msgs, ok := sh.hub.feed.Room(sh.gen, l.m.room.name, l.since.Seq, sh.w, sh.scratch[:0])
	if !ok {
		return true
	}
	sh.scratch = msgs[:0]
	if sh.outlived(l.since) {
		return true
	}
	newer := map[string]int{}
	for _, m := range msgs {
		if m.Name.Class == subjects.Event {
			if newer[m.Name.Type]++; newer[m.Name.Type] >= sh.view.Keep {
				return true
			}
		}
	}
	return false
}

// outlived reports whether a booking may have been retired since the cursor
// was given.
func (sh *shard) outlived(c protocol.Cursor) bool {
	return sh.view.Retention > 0 && time.Since(time.UnixMicro(c.Time)) >= sh.view.Retention
}

// decide says what a leg that was read from history is given, as of upTo, and
// which gaps it must be told first. Nothing was lost if on every type fewer
// than keep stored messages are newer than the position (they go oldest first,
// so a loss leaves at least that many) and the position is younger than the
// retention. Messages behind upTo count, but the ring will deliver them.
func (u *unit) decide(l *leg, upTo uint64) []item {
	switch {
	case l.fresh:
		return u.snapshots(l, upTo, "")
	case l.forced != "":
		return u.gapAll(l, upTo, l.forced)
	case l.found.Over:
		return u.gapAll(l, upTo, protocol.GapLimit)
	case l.found.Torn:
		return u.gapAll(l, upTo, protocol.GapTrimmed)
	case u.s.shard.outlived(l.since):
		return u.gapAll(l, upTo, protocol.GapRetired)
	}
	newer := map[string]int{}
	for _, m := range l.found.Newer {
		newer[m.Name.Type]++
	}
	var items []item
	if l.appeared {
		items = u.snapshots(l, l.since.Seq, "") // what is newer follows as events
	}
	for _, typ := range slices.Sorted(maps.Keys(newer)) {
		if newer[typ] >= u.s.shard.view.Keep {
			items = append(items, u.gapType(l, upTo, typ)...)
		}
	}
	for _, m := range l.found.Newer {
		if m.Seq <= upTo && newer[m.Name.Type] < u.s.shard.view.Keep {
			items = append(items, item{leg: l, m: m})
		}
	}
	return items
}

// gapAll tells that anything of the room may be missing; the last values of
// state types stand in.
func (u *unit) gapAll(l *leg, upTo uint64, reason protocol.GapReason) []item {
	l.gaps = append(l.gaps, protocol.Gap{
		Room: string(l.m.room.name), Type: protocol.AnyType,
		After: l.since.Seq, Before: l.pos + 1, Reason: reason,
	})
	return u.snapshots(l, upTo, "")
}

// gapType tells that one type was trimmed. State is made good by its last
// value; of events, those that are stored follow.
func (u *unit) gapType(l *leg, upTo uint64, typ string) []item {
	g := protocol.Gap{
		Room: string(l.m.room.name), Type: typ,
		After: l.since.Seq, Before: l.pos + 1, Reason: protocol.GapTrimmed,
	}
	var items []item
	if u.s.shard.isState(typ) {
		items = u.snapshots(l, upTo, typ)
	} else {
		for _, m := range l.found.Newer {
			if m.Name.Type == typ && m.Seq <= upTo {
				items = append(items, item{leg: l, m: m})
			}
		}
	}
	if len(items) > 0 {
		g.Before = items[0].m.Seq
	}
	l.gaps = append(l.gaps, g)
	return items
}

// snapshots gives the last value of each state type of a room, or of one type.
// A value behind upTo is left to the ring, and so is one behind the sequence
// at which the room appeared.
func (u *unit) snapshots(l *leg, upTo uint64, typ string) []item {
	if l.from > 0 {
		upTo = min(upTo, l.from)
	}
	var items []item
	for _, m := range l.found.Last {
		if m.Seq <= upTo && u.s.shard.isState(m.Name.Type) && (typ == "" || typ == m.Name.Type) {
			items = append(items, item{leg: l, m: m, snapshot: true})
		}
	}
	return items
}

func (sh *shard) isState(typ string) bool { return !slices.Contains(sh.hub.cfg.EventsOnly, typ) }

// tell decides every leg at upTo, sends the reply and begins the replay.
func (u *unit) tell(upTo uint64) {
	sh := u.s.shard
	events, bytes := 0, 0
	var items []item
	for _, l := range u.legs {
		missed, ok := u.missed(l, upTo)
		if !ok {
			u.overrun()
			return
		}
		for _, it := range missed {
			switch {
			case it.snapshot: // even of a booking that closed before it
			case l.until > 0 && it.m.Seq > l.until:
				continue
			default:
				events++
				bytes += it.m.Size()
			}
			items = append(items, it)
		}
	}
	if events > sh.hub.cfg.ReplayEvents || bytes > sh.hub.cfg.ReplayBytes {
		u.limit()
		return
	}
	slices.SortStableFunc(items, func(a, b item) int { return cmp.Compare(a.m.Seq, b.m.Seq) })
	if gaps := u.gapItems(); len(gaps) > 0 {
		items = append(gaps, items...)
	}
	u.items, u.next = items, 0
	if !u.told {
		u.told = true
		u.reply()
	}
	u.phase = replay
	u.s.pump()
}

// missed gives what a leg is due up to upTo, and moves its position there; ok
// is false if the ring, which was to serve it, does not reach back any more.
func (u *unit) missed(l *leg, upTo uint64) (items []item, ok bool) {
	sh := u.s.shard
	l.gaps = nil
	if l.ring {
		sh.hub.stats.FromRing.Add(1)
		return u.fromRing(l, upTo)
	}
	sh.hub.stats.FromHistory.Add(1)
	if l.from+1 < max(sh.view.From, sh.view.ExactFrom) {
		l.from = 0 // the ring no longer has what came after it appeared
	}
	switch {
	case l.from > 0:
		l.pos = min(upTo, l.from)
	case l.fresh || l.forced == protocol.GapEpoch:
		l.pos = upTo
	default:
		l.pos = max(upTo, l.since.Seq) // a stale answer may end before the position
	}
	return u.decide(l, upTo), true
}

// fromRing gives what a leg missed up to upTo, so that rooms read from history
// and from the ring come in one order; the rest is read as replay goes on.
func (u *unit) fromRing(l *leg, upTo uint64) (items []item, ok bool) {
	sh := u.s.shard
	l.pos = max(l.since.Seq, upTo)
	if l.since.Seq >= upTo {
		return nil, true
	}
	msgs, ok := sh.hub.feed.Room(sh.gen, l.m.room.name, l.since.Seq, upTo, sh.scratch[:0])
	sh.scratch = msgs[:0]
	items = make([]item, 0, len(msgs))
	for _, m := range msgs {
		if m.Name.Class == subjects.Event {
			items = append(items, item{leg: l, m: m})
		}
	}
	return items, ok
}

// gapItems are told before anything else of the unit.
func (u *unit) gapItems() []item {
	var items []item
	for _, l := range u.legs {
		for i := range l.gaps {
			items = append(items, item{leg: l, out: &l.gaps[i]})
		}
		u.s.shard.hub.stats.Gaps.Add(uint64(len(l.gaps)))
		if len(l.gaps) == 0 && !l.fresh {
			u.s.shard.hub.stats.Recovered.Add(1)
		}
	}
	return items
}

// limit: more was missed than one resume may replay. Every leg that resumes is
// told a gap instead.
func (u *unit) limit() {
	for _, l := range u.legs {
		if !l.fresh {
			l.forced = protocol.GapLimit
		}
	}
	u.ask()
}
