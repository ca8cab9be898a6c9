package hub

import (
	"slices"
	"time"

	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/subjects"
)

// unit is a set of rooms of one session on their way from a position to live:
// a connect, a join, a booking that "mine" found, or the repair of rooms after
// a hole. It belongs to the session's shard.
type unit struct {
	s    *Session
	kind unitKind
	id   int64 // of the command that is answered
	// whole: a connect or a repair over all rooms. Until it is live, pings
	// repeat held, the cursor the client had at its start.
	whole bool
	held  string
	// cursor given in a connect; zero if none.
	cursor protocol.Cursor
	// fates of rooms that were refused before anything was read.
	fates []protocol.RoomFate
	legs  []*leg
	mine  bool        // the reverse index is to be read first
	after uint64      // index records up to it are known already (unitFollow)
	found IndexAnswer // the index as it was read, until it is merged
	// withdrawn are rooms that "mine" finds revoked since the cursor.
	withdrawn []subjects.Room
	// old: the cursor is older than the index records of closed bookings are
	// kept, so nothing is promised for all of "mine".
	old bool

	phase phase
	begun time.Time
	// try numbers the questions; answers to earlier ones are dropped.
	try int
	// needW parks the unit until the watermark is there, notBefore until then.
	needW     uint64
	notBefore time.Time
	// question to the leader whose answer the unit waits for; 0 = none.
	question uint64
	ended    bool

	// told: the reply has been sent; the rest is replay.
	told       bool
	items      []item
	next       int
	wantsDrain bool
}

type unitKind uint8

const (
	unitConnect unitKind = iota
	unitJoin
	unitMine   // join{"room":"mine"}
	unitIndex  // one booking that appeared in the index
	unitFollow // the index again, for what was missed of it
	unitRepair // rooms that were live
)

// phase of a unit. Units that read or replay are not in shard.waiting.
type phase uint8

const (
	indexing phase = iota // reading the reverse index, off the shard
	merging               // the index was read and may have to wait for the tail
	asking                // to be routed: ring or history
	fetching              // reading history, off the shard
	handing               // everything is read; the watermark may have to catch up
	replay                // told; replaying from the items and the ring
	judging               // told; replay is held until access is judged again
)

// leg is one room of a unit.
type leg struct {
	m    *member
	name string  // as the client wrote it
	also []int64 // further joins of the same room, answered alike

	// fresh: the last values come first; otherwise what is newer than since.
	fresh bool
	since protocol.Cursor
	// trusted: since is this shard's own, so its time needs no proof.
	trusted bool
	// forced is a gap that is certain already (epoch).
	forced protocol.GapReason
	// from: a booking that appeared at this sequence; what is newer are events,
	// not snapshots. 0 = none.
	from uint64
	// appeared: "mine" names it since the cursor, so the client may never have
	// seen it: last values that are older than the cursor come too.
	appeared bool
	// until: the booking closed at this sequence; the room is left once it has
	// been delivered up to there. 0 = it stays.
	until uint64
	// What came for the room after that, in the middle of its replay, begins
	// once it has been left: the record that opened it again, joins by name.
	reopened *Message
	joins    []laterJoin

	ring  bool // the ring alone serves it
	found *Found
	upTo  uint64 // of found
	// pos: everything up to it has been collected for replay.
	pos uint64
	// vetted is the ExactFrom under which reading the ring below it was judged
	// harmless.
	vetted uint64

	gaps []protocol.Gap
}

// laterJoin is a join of a room that must be left first.
type laterJoin struct {
	id     int64
	cursor protocol.Cursor
}

func (s *Session) newUnit(kind unitKind) *unit {
	u := &unit{s: s, kind: kind, phase: asking, begun: time.Now()}
	s.units = append(s.units, u)
	return u
}

// add puts a member on its way.
func (u *unit) add(l *leg) {
	l.m.unit = u
	l.pos = l.since.Seq
	u.legs = append(u.legs, l)
}

// drop takes a member that has left out of the unit.
func (u *unit) drop(m *member) {
	u.legs = slices.DeleteFunc(u.legs, func(l *leg) bool { return l.m == m })
	m.unit = nil
}

func (u *unit) leg(m *member) *leg {
	for _, l := range u.legs {
		if l.m == m {
			return l
		}
	}
	return nil
}

// park waits until the watermark has reached w (0 = until anything moves).
func (u *unit) park(w uint64) {
	u.needW = w
	if _, ok := u.s.shard.waiting[u]; !ok {
		u.s.shard.waiting[u] = struct{}{}
		u.s.shard.hub.stats.Parked.Add(1)
	}
}

// unpark takes the unit out of those that wait.
func (u *unit) unpark() {
	if _, ok := u.s.shard.waiting[u]; ok {
		delete(u.s.shard.waiting, u)
		u.s.shard.hub.stats.Parked.Add(-1)
	}
}

// pause waits for a while before the next try, longer each time.
func (u *unit) pause() {
	wait := min(time.Duration(u.try)*20*time.Millisecond, time.Second)
	sh := u.s.shard
	u.notBefore = time.Now().Add(wait)
	u.park(0)
	time.AfterFunc(wait, func() { sh.in.post(func() { sh.moved = true }) })
}

// proceed goes on if what the unit waits for has come.
func (u *unit) proceed() {
	sh := u.s.shard
	if u.ended || !sh.steady() || sh.w < u.needW || time.Now().Before(u.notBefore) {
		return
	}
	u.unpark()
	u.needW = 0
	switch u.phase {
	case indexing:
		u.readIndex()
	case merging:
		u.mergeIndex()
	case asking:
		u.ask()
	case handing:
		u.handOver()
	case judging:
		u.rejudge()
	}
}

// begin starts the way. A connect without a ready feed is parked.
func (u *unit) begin() {
	if u.mine {
		u.phase = indexing
	}
	u.park(0)
	u.proceed()
}

// finishEmpty ends a unit whose last room is gone.
func (u *unit) finishEmpty() bool {
	u.finish()
	return false
}

// refuse answers the unit's command with an error and gives up its rooms.
func (u *unit) refuse(code protocol.Code, message string) {
	ids := []int64{u.id}
	for _, l := range slices.Clone(u.legs) {
		ids = append(ids, l.also...)
		u.s.shard.exit(l.m)
	}
	for _, id := range ids {
		u.s.fail(id, code, message)
	}
	if u.kind == unitMine {
		u.s.mine = false
	}
	u.end()
}

// end takes the unit out of its session and shard; its members, if any are
// left, are no longer on their way.
func (u *unit) end() {
	if u.ended {
		return
	}
	u.ended = true
	u.unpark()
	for _, l := range u.legs {
		l.m.unit = nil
	}
	u.s.units = slices.DeleteFunc(u.s.units, func(o *unit) bool { return o == u })
	if len(u.s.units) > 0 {
		u.s.post(u.s.pump) // who waited for this one may be done
	}
}

// tick ends a wait that has lasted too long.
func (u *unit) tick(now time.Time) {
	if u.ended || u.phase == replay || now.Sub(u.begun) < u.s.shard.hub.cfg.ParkMax {
		return
	}
	if !u.told && (u.kind == unitJoin || u.kind == unitMine) {
		u.refuse(protocol.CodeUnavailable, "the broker is away, try again later")
		return
	}
	u.s.close(protocol.CloseUnavailable)
}
