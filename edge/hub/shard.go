package hub

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/subjects"
)

// Sizes of a shard's work, chosen so that one step of its loop stays well
// below a millisecond.
const (
	readBatch  = 256    // messages read from the feed at a time
	flushBatch = 64     // clients flushed before the inbox is looked at again
	grantsKept = 65_536 // records remembered of rooms without members
)

// shard is one goroutine and the sessions it owns. All fields but in are its
// goroutine's alone.
type shard struct {
	hub *Hub
	in  *inbox

	// view is the feed's as of the last look; gen, epoch and w say up to where
	// of which history every message has been stepped, stamp the time of w.
	view    View
	started bool
	gen     uint64
	epoch   string
	w       uint64
	stamp   int64

	sessions map[*Session]struct{}
	// follows: there are sessions, so the feed wakes this shard. Set by its
	// goroutine, read by the feed's.
	follows atomic.Bool
	rooms   map[subjects.Room]*room
	grants  *grantCache
	// waiting units look again when the watermark or the view has moved.
	waiting map[*unit]struct{}
	dirty   []*Session
	// question numbers the questions to the leader; asking is set while one is
	// under way.
	question uint64
	asking   bool
	// moved: the watermark or the view has changed since waiting units looked.
	moved bool
	// buf is read into, scratch used by ring look-ups.
	buf, scratch []*Message
}

func newShard(h *Hub) *shard {
	return &shard{
		hub: h, in: newInbox(),
		sessions: map[*Session]struct{}{},
		rooms:    map[subjects.Room]*room{},
		grants:   newGrantCache(grantsKept),
		waiting:  map[*unit]struct{}{},
		buf:      make([]*Message, 0, readBatch),
	}
}

// run drains the inbox and the feed before it flushes: what has piled up for a
// client then goes out in one write.
func (sh *shard) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			sh.finish()
			return
		case <-sh.in.wake:
		}
		for more := true; more; {
			for _, task := range sh.in.take() {
				task()
			}
			more = sh.advance()
			sh.retry()
			more = more || sh.moved
			more = sh.flush(more) || more
		}
	}
}

// finish runs what is still in the inbox, so that nobody waits for an answer.
func (sh *shard) finish() {
	for tasks := sh.in.take(); len(tasks) > 0; tasks = sh.in.take() {
		for _, task := range tasks {
			task()
		}
	}
	sh.flush(false)
}

// advance takes the next messages from the feed. It reports whether there may
// be more.
func (sh *shard) advance() bool {
	v := sh.hub.feed.View()
	sh.look(v)
	switch {
	case !v.Ready:
		return false
	case !sh.started:
		sh.started = true
		sh.begin(v)
		sh.hub.log.Debug("shard follows the stream", "epoch", v.Epoch, "seq", v.Last)
		return false
	case v.Gen != sh.gen:
		sh.reset(v)
		return true
	case v.Last <= sh.w:
		return false
	}
	msgs, v, ok := sh.hub.feed.Read(sh.gen, sh.w, sh.buf[:0])
	sh.look(v)
	if !ok {
		if v.Gen == sh.gen {
			sh.jump(v)
		}
		return true
	}
	for i, m := range msgs {
		sh.step(m)
		sh.w, sh.stamp, sh.moved = m.Seq, m.Stamp, true
		msgs[i] = nil
	}
	return sh.w < v.Last
}

// wakeUp brings a shard that had no sessions to where the feed is: the first
// one would otherwise be routed from an old watermark.
func (sh *shard) wakeUp() {
	if sh.follows.Swap(true) {
		return
	}
	for sh.advance() {
	}
}

// steady reports whether the view is of the history that the watermark is of.
// While it is not, everything on its way waits.
func (sh *shard) steady() bool {
	return sh.started && sh.view.Ready && sh.view.Gen == sh.gen
}

// look takes note of a new view; sessions are told when the data turns stale
// and when it is fresh again.
func (sh *shard) look(v View) {
	was := sh.view.Stale
	sh.moved = sh.moved || v != sh.view
	sh.view = v
	if v.Stale == was {
		return
	}
	for s := range sh.sessions {
		s.send(&protocol.State{Stale: v.Stale, Since: v.Since})
	}
}

// step judges and delivers one message. Members on their way to live are left
// out: they read it from the ring.
func (sh *shard) step(m *Message) {
	switch m.Name.Class {
	case subjects.Event:
		if r := sh.rooms[m.Name.Room]; r != nil {
			for _, mem := range r.members {
				if mem.unit == nil {
					mem.s.event(m, false)
				}
			}
		}
	case subjects.Grant:
		sh.stepGrant(m)
	case subjects.Logout:
		sh.stepLogout(m)
	case subjects.Indexed:
		sh.stepIndex(m)
	}
}

// stepGrant cuts the members that the new record does not name, before any
// later message reaches them.
func (sh *shard) stepGrant(m *Message) {
	g := grantOf(m)
	r := sh.rooms[m.Name.Room]
	if r == nil {
		sh.grants.update(m.Name.Room, g)
		return
	}
	r.grant = g
	for i := len(r.members) - 1; i >= 0; i-- { // exit swaps with the last
		mem := r.members[i]
		if mem.unit != nil && !mem.unit.told {
			continue // judged at its hand-over
		}
		if sh.judge(mem.s.who, r) != granted {
			sh.revoke(mem)
		}
	}
}

// revoke ends a membership that is no longer deserved.
func (sh *shard) revoke(m *member) {
	sh.hub.stats.Revoked.Add(1)
	var joins []laterJoin
	if m.unit != nil {
		joins = m.unit.leg(m).joins
	}
	sh.exit(m)
	m.s.send(&protocol.Revoked{Room: string(m.room.name), Reason: "no longer a participant"})
	for _, j := range joins {
		m.s.fail(j.id, protocol.CodeNotEntitled, "not entitled to "+string(m.room.name))
	}
}

// stepLogout ends the sessions of a user whose tokens are older than the
// log-out.
func (sh *shard) stepLogout(m *Message) {
	g := grantOf(m)
	r := sh.rooms[m.Name.Room]
	if r == nil {
		sh.grants.update(m.Name.Room, g)
		return
	}
	r.grant = g
	for i := len(r.members) - 1; i >= 0; i-- {
		if s := r.members[i].s; s.who.LoggedOut(g.notBefore) {
			s.close(protocol.CloseLoggedOut)
		}
	}
}

// begin takes up the history of a view at its end.
func (sh *shard) begin(v View) {
	sh.gen, sh.epoch, sh.w, sh.stamp = v.Gen, v.Epoch, v.Last, v.LastStamp
}

// reset begins another history: everything known under the old one is void.
func (sh *shard) reset(v View) {
	sh.hub.stats.Resets.Add(1)
	old := sh.cursor()
	sh.begin(v)
	sh.forgetGrants()
	for s := range sh.sessions {
		s.restart(old, protocol.GapEpoch)
	}
}

// jump skips what can no longer be read in order; every session resumes from
// the old watermark like one that was away.
func (sh *shard) jump(v View) {
	sh.hub.stats.Jumps.Add(1)
	old := sh.cursor()
	sh.w, sh.stamp = v.Last, v.LastStamp
	sh.forgetGrants()
	for s := range sh.sessions {
		s.restart(old, "")
	}
}

func (sh *shard) forgetGrants() {
	sh.grants.clear()
	for _, r := range sh.rooms {
		r.grant = grant{}
	}
}

// cursor at the watermark.
func (sh *shard) cursor() protocol.Cursor {
	return protocol.Cursor{Epoch: sh.epoch, Seq: sh.w, Time: sh.stamp}
}

// retry lets waiting units look again.
func (sh *shard) retry() {
	if !sh.moved {
		return
	}
	sh.moved = false
	for _, u := range slices.Collect(maps.Keys(sh.waiting)) {
		u.proceed()
	}
}

// flush writes out a few of the clients that have something queued, all of
// them if nothing else is to be done. It reports whether some are left.
func (sh *shard) flush(busy bool) bool {
	n := len(sh.dirty)
	if busy && n > flushBatch {
		n = flushBatch
	}
	for i, s := range sh.dirty[:n] {
		s.dirty = false
		if !s.closed {
			s.client.Flush()
		}
		sh.dirty[i] = nil
	}
	sh.dirty = append(sh.dirty[:0], sh.dirty[n:]...)
	return len(sh.dirty) > 0
}

// onTick looks at what only time changes.
func (sh *shard) onTick() {
	now := time.Now()
	for s := range sh.sessions {
		if !now.Before(s.who.Expires) {
			s.close(protocol.CloseExpired)
			continue
		}
		for _, u := range slices.Clone(s.units) {
			u.tick(now)
		}
	}
	sh.moved = true // units that pause look again
}
