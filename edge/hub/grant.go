package hub

import (
	"container/list"

	"github.com/petpro/fabric/edge/access"
	"github.com/petpro/fabric/subjects"
)

// grant is what a shard knows, at its watermark, of a room's access record, or
// for a user's room of the user's last log-out.
type grant struct {
	// known is set once the record, or its absence, is certain.
	known bool
	// access is nil if there is no record.
	access *subjects.Access
	// notBefore, unix seconds, for a user's room.
	notBefore int64
}

// grantOf reads a record; nil means that there is none.
func grantOf(m *Message) grant {
	g := grant{known: true}
	if m == nil {
		return g
	}
	switch rec := m.Record.(type) {
	case *subjects.Access:
		g.access = rec
	case *subjects.Control:
		g.notBefore = rec.NotBefore
	}
	return g
}

// admits reports whether the record names the user.
func (g grant) admits(user string) bool {
	if g.access == nil {
		return false
	}
	_, ok := g.access.Participants[user]
	return ok
}

// verdict on a session and a room at the shard's watermark.
type verdict uint8

const (
	unknown verdict = iota // the record must be read first
	granted
	denied
	missing // no record: nobody, once the epoch has settled
)

// judge decides with what is known: own room, token, record.
func (sh *shard) judge(who access.Identity, r *room) verdict {
	if r.name.Kind() == subjects.UserKind {
		switch {
		case r.name.ID() != who.User:
			return denied
		case !sh.know(r):
			return unknown
		case who.LoggedOut(r.grant.notBefore):
			return denied
		}
		return granted
	}
	if sh.hub.cfg.Policy.Covers(who, string(r.name)) {
		return granted
	}
	switch {
	case !sh.know(r):
		return unknown
	case r.grant.admits(who.User):
		return granted
	case r.grant.access == nil:
		return missing
	}
	return denied
}

// know tries to learn the room's record from the ring: the newest one in it is
// the newest there is.
func (sh *shard) know(r *room) bool {
	if r.grant.known {
		return true
	}
	if m, _ := sh.ringGrant(r.name, sh.view.From-1); m != nil {
		r.grant = grantOf(m)
	}
	return r.grant.known
}

// ringGrant finds the newest record of a room in the ring behind after, up to
// the watermark; nil if there is none. ok is false if the ring does not go
// back that far.
func (sh *shard) ringGrant(name subjects.Room, after uint64) (m *Message, ok bool) {
	msgs, ok := sh.hub.feed.Room(sh.gen, name, after, sh.w, sh.scratch[:0])
	sh.scratch = msgs[:0]
	for _, m := range msgs {
		if m.Name.Class == subjects.Grant || m.Name.Class == subjects.Logout {
			return m, ok
		}
	}
	return nil, ok
}

// learn takes the record that History found as of upTo, brought up to the
// watermark by the ring, unless the tail has told a newer one. The record stays
// unknown if the ring does not reach back to upTo, or if the one found is
// itself ahead of the watermark.
func (sh *shard) learn(r *room, found *Message, upTo uint64) {
	if r.grant.known || found != nil && found.Seq > sh.w {
		return
	}
	if upTo < sh.w {
		m, ok := sh.ringGrant(r.name, upTo)
		if !ok || upTo+1 < sh.view.ExactFrom {
			return
		}
		if m != nil {
			found = m
		}
	}
	r.grant = grantOf(found)
}

// grantCache remembers the records of rooms that have no member just now, the
// most recently used ones. The tail keeps it true.
type grantCache struct {
	max   int
	byKey map[subjects.Room]*list.Element
	order *list.List // of *cachedGrant, newest first
}

type cachedGrant struct {
	room  subjects.Room
	grant grant
}

func newGrantCache(max int) *grantCache {
	return &grantCache{max: max, byKey: map[subjects.Room]*list.Element{}, order: list.New()}
}

// put remembers what is known of a room; what is unknown is not kept.
func (c *grantCache) put(room subjects.Room, g grant) {
	if !g.known {
		return
	}
	if e := c.byKey[room]; e != nil {
		e.Value.(*cachedGrant).grant = g
		c.order.MoveToFront(e)
		return
	}
	c.byKey[room] = c.order.PushFront(&cachedGrant{room, g})
	if c.order.Len() > c.max {
		oldest := c.order.Back()
		delete(c.byKey, c.order.Remove(oldest).(*cachedGrant).room)
	}
}

// take returns what is known of a room and forgets it: from now on the room
// itself keeps it.
func (c *grantCache) take(room subjects.Room) grant {
	e := c.byKey[room]
	if e == nil {
		return grant{}
	}
	delete(c.byKey, room)
	return c.order.Remove(e).(*cachedGrant).grant
}

// get returns what is remembered of a room.
func (c *grantCache) get(room subjects.Room) grant {
	e := c.byKey[room]
	if e == nil {
		return grant{}
	}
	c.order.MoveToFront(e)
	return e.Value.(*cachedGrant).grant
}

// update follows the tail: only rooms that are remembered change.
func (c *grantCache) update(room subjects.Room, g grant) {
	if e := c.byKey[room]; e != nil {
		e.Value.(*cachedGrant).grant = g
	}
}

func (c *grantCache) clear() {
	clear(c.byKey)
	c.order.Init()
}
