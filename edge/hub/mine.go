package hub

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/subjects"
)

// closedKept is how long the publisher keeps index records of closed bookings:
// a cursor older than this cannot know which closed meanwhile.
const closedKept = 24 * time.Hour

// joinMine enters every open booking of the user.
func (s *Session) joinMine(id int64) {
	if !s.ready(id) {
		return
	}
	u := s.newUnit(unitMine)
	u.id, u.mine = id, true
	u.begin()
}

// readIndex asks for the reverse index, off the shard.
func (u *unit) readIndex() {
	sh := u.s.shard
	u.try++
	u.phase = indexing
	sh.hub.fetch.index(sh.gen, u.s.who.User, u, u.try)
}

// indexed takes the answer, in the shard's goroutine.
func (u *unit) indexed(try int, ans IndexAnswer, err error) {
	if u.ended || try != u.try {
		return
	}
	if err != nil {
		u.unanswered(err)
		return
	}
	u.found = ans
	u.phase = merging
	u.mergeIndex()
}

// mergeIndex brings the index up to the watermark by the ring, takes the rooms
// on board, and from this step on follows the tail.
func (u *unit) mergeIndex() {
	s, sh := u.s, u.s.shard
	if u.found.UpTo > sh.w {
		u.park(u.found.UpTo)
		return
	}
	if u.found.UpTo+1 < max(sh.view.From, sh.view.ExactFrom) {
		u.phase = indexing
		u.pause()
		return
	}
	msgs, ok := sh.hub.feed.Room(sh.gen, subjects.UserRoom(s.who.User), u.found.UpTo, sh.w, sh.scratch[:0])
	if !ok {
		u.phase = indexing
		u.pause()
		return
	}
	sh.scratch = msgs[:0]
	newest := map[subjects.Room]*Message{}
	for _, m := range slices.Concat(u.found.Records, msgs) {
		if m.Name.Class == subjects.Indexed && m.Seq <= sh.w && (newest[m.Name.Target] == nil || newest[m.Name.Target].Seq < m.Seq) {
			newest[m.Name.Target] = m
		}
	}
	u.found = IndexAnswer{}
	u.mine = false
	if u.kind == unitFollow {
		u.end()
		s.catchUp(newest, u.after)
		return
	}
	s.mine = true
	u.board(newest)
	u.phase = asking
	u.ask()
}

// skipIndex goes on without the index, if it was still being read.
func (u *unit) skipIndex() {
	if !u.mine {
		return
	}
	u.mine, u.phase = false, asking
	u.try++
	u.park(0)
	u.proceed()
}

// follow reads the index again after a jump or a reset: what it said meanwhile
// is not on the tail any more.
func (s *Session) follow(from protocol.Cursor, reason protocol.GapReason) {
	for _, u := range s.units {
		if u.phase == indexing || u.phase == merging {
			return // under way, and at the start again
		}
	}
	u := s.newUnit(unitFollow)
	u.told, u.mine = true, true
	if reason == "" {
		u.after = from.Seq
	}
	u.begin()
}

// catchUp does what the session would have done with the records behind after.
func (s *Session) catchUp(records map[subjects.Room]*Message, after uint64) {
	if !s.mine {
		return // left meanwhile
	}
	for _, m := range slices.SortedFunc(maps.Values(records), func(a, b *Message) int { return cmp.Compare(a.Seq, b.Seq) }) {
		if m.Seq > after {
			s.indexed(m)
		}
	}
}

// board makes legs of the index records: the open ones, newest updated first,
// and those that closed after the cursor.
func (u *unit) board(records map[subjects.Room]*Message) {
	s := u.s
	var open, closed []*Message
	resumes := !u.cursor.IsZero() && u.cursor.Epoch == s.shard.epoch
	for _, m := range records {
		rec := m.Record.(*subjects.Index)
		newer := resumes && m.Seq > u.cursor.Seq
		switch {
		case rec.Open && !rec.Revoked:
			open = append(open, m)
		case rec.Revoked && newer:
			u.withdrawn = append(u.withdrawn, m.Name.Target)
		case newer && !rec.Revoked:
			closed = append(closed, m)
		}
	}
	slices.Sort(u.withdrawn)
	slices.SortFunc(open, func(a, b *Message) int {
		x, y := a.Record.(*subjects.Index), b.Record.(*subjects.Index)
		return cmp.Or(cmp.Compare(y.Updated, x.Updated), cmp.Compare(b.Seq, a.Seq))
	})
	limit := s.shard.hub.cfg.MineMax
	if len(open) > limit {
		s.shard.hub.log.Warn("user has more open rooms than one session may hold", "user", s.who.User, "rooms", len(open), "limit", limit)
		open = open[:limit]
	}
	for _, m := range open {
		u.take(m, 0)
	}
	for _, m := range closed {
		u.take(m, m.Seq)
	}
	u.old = !u.cursor.IsZero() && time.Since(time.UnixMicro(u.cursor.Time)) > closedKept
}

// take makes a leg of one index record. A room joined by name stays when its
// booking closes.
func (u *unit) take(rec *Message, until uint64) {
	s := u.s
	if m := s.find(rec.Name.Target); m != nil {
		m.mine = m.mine || until == 0
		return
	}
	resumes := !u.cursor.IsZero()
	m := s.shard.enter(s, rec.Name.Target)
	m.mine = true
	u.add(&leg{
		m: m, name: string(rec.Name.Target), until: until,
		since: u.cursor, fresh: !resumes,
		appeared: resumes && until == 0 && rec.Seq > u.cursor.Seq,
	})
}

// stepIndex follows the index on the tail: a booking that opens is joined, one
// that closes is left, in the step of its record.
func (sh *shard) stepIndex(m *Message) {
	own := sh.rooms[m.Name.Room]
	if own == nil {
		return
	}
	for _, of := range slices.Clone(own.members) {
		if of.s.mine {
			of.s.indexed(m)
		}
	}
}

// indexed follows one record.
func (s *Session) indexed(m *Message) {
	if rec := m.Record.(*subjects.Index); rec.Open && !rec.Revoked {
		s.opened(m)
	} else if held := s.find(m.Name.Target); held != nil && held.mine {
		s.closeMine(held, m.Seq)
	}
}

// opened joins a booking that has appeared in the index.
func (s *Session) opened(rec *Message) {
	if m := s.find(rec.Name.Target); m != nil {
		m.mine = true
		if u := m.unit; u != nil {
			u.leg(m).reopen(u.told, rec)
		}
		return
	}
	mine := 0
	for _, m := range s.members {
		if m.mine {
			mine++
		}
	}
	if mine >= s.shard.hub.cfg.MineMax {
		return
	}
	for _, u := range s.units {
		if !u.told && (u.kind == unitMine || u.kind == unitConnect) {
			u.take(rec, 0) // the reply will name it
			return
		}
	}
	m := s.shard.enter(s, rec.Name.Target)
	m.mine = true
	s.send(&protocol.RoomJoined{Room: string(rec.Name.Target)})
	u := s.newUnit(unitIndex)
	u.told = true
	u.add(&leg{m: m, name: string(rec.Name.Target), fresh: true, from: rec.Seq})
	u.begin()
}

// closeMine leaves a booking that has closed, unless it was joined by name too;
// one that is still being replayed is left when it has been delivered up to
// there.
func (s *Session) closeMine(m *member, seq uint64) {
	if m.named {
		m.mine = false
		return
	}
	if m.unit == nil {
		s.shard.exit(m)
		s.send(&protocol.RoomLeft{Room: string(m.room.name), Reason: "closed"})
		return
	}
	l := m.unit.leg(m)
	l.reopened = nil
	if l.until == 0 {
		l.until = seq
	}
}

// reopen keeps a booking that was about to be left. Once it has been told, the
// replay of the unit may be past its end already: then it is left first, or
// its events would come behind later ones of other rooms.
func (l *leg) reopen(told bool, rec *Message) {
	if l.until > 0 && told {
		l.reopened = rec
	} else {
		l.until = 0
	}
}

// leaveClosed ends a booking that has been delivered up to its closing.
func (s *Session) leaveClosed(l *leg) {
	if l.m.gone() {
		return
	}
	s.shard.exit(l.m)
	s.send(&protocol.RoomLeft{Room: string(l.m.room.name), Reason: "closed"})
	s.later = append(s.later, func() {
		for _, j := range l.joins {
			s.join(j.id, l.m.room.name, j.cursor)
		}
		if l.reopened != nil {
			s.opened(l.reopened)
		}
	})
}
