package hub_test

import (
	"slices"
	"strings"
	"time"

	"github.com/petpro/fabric/edge/access"
	"github.com/petpro/fabric/edge/hub/hubtest"
	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/subjects"
)

// oracle knows every message that was ever published, in every history: what
// the model test holds the hub against.
type oracle struct {
	stream *hubtest.Stream
	// histories, the newest last; a truncation makes a new one that shares the
	// beginning.
	histories []*chronicle
	policy    access.Policy
}

// chronicle is one history from its first message on.
type chronicle struct {
	stamps []int64 // by sequence
	rooms  map[subjects.Room]*annals
}

// annals of one room.
type annals struct {
	events []happening
	grants []ruling
	// index holds the records of this room in the users' reverse indexes.
	index []listing
	// retired: everything up to it has been purged.
	retired uint64
}

type happening struct {
	seq uint64
	typ string
}

// listing is one index record.
type listing struct {
	seq  uint64
	user string
	open bool
}

// ruling is one access record.
type ruling struct {
	seq   uint64
	users []string
}

func newOracle(s *hubtest.Stream, policy access.Policy) *oracle {
	o := &oracle{stream: s, policy: policy}
	o.histories = []*chronicle{{rooms: map[subjects.Room]*annals{}}}
	o.stamp()
	return o
}

func (o *oracle) now() *chronicle { return o.histories[len(o.histories)-1] }

// stamp notes the times of the newest messages.
func (o *oracle) stamp() {
	h := o.now()
	for seq := uint64(len(h.stamps)); seq <= o.stream.Last(); seq++ {
		h.stamps = append(h.stamps, o.stream.CursorAt(seq).Time)
	}
}

func (h *chronicle) room(name subjects.Room) *annals {
	r := h.rooms[name]
	if r == nil {
		r = &annals{}
		h.rooms[name] = r
	}
	return r
}

// event publishes an event.
func (o *oracle) event(room subjects.Room, typ string) {
	seq := o.stream.Publish(room.Subject(typ), typ)
	o.stamp()
	r := o.now().room(room)
	r.events = append(r.events, happening{seq, typ})
}

// grant publishes an access record.
func (o *oracle) grant(id string, users ...string) {
	seq := o.stream.Access(id, users...)
	o.stamp()
	r := o.now().room(booking(id))
	r.grants = append(r.grants, ruling{seq, users})
}

// index publishes the index record of a user.
func (o *oracle) index(user, id string, open, revoked bool) {
	var seq uint64
	if revoked {
		seq = o.stream.Unindex(user, id)
	} else {
		seq = o.stream.Index(user, id, open)
	}
	o.stamp()
	r := o.now().room(booking(id))
	r.index = append(r.index, listing{seq, user, open})
}

// retire purges a room if its last message is older than the retention.
func (o *oracle) retire(room subjects.Room, retention time.Duration) bool {
	h := o.now()
	r := h.room(room)
	last := uint64(0)
	if n := len(r.events); n > 0 {
		last = r.events[n-1].seq
	}
	if n := len(r.grants); n > 0 {
		last = max(last, r.grants[n-1].seq)
	}
	if last == 0 || time.Since(time.UnixMicro(h.stamps[last])) <= retention {
		return false
	}
	o.stream.Retire(room)
	r.retired = last
	return true
}

// truncate loses the newest messages and begins an epoch, as the publisher
// does.
func (o *oracle) truncate(last uint64, epoch string, keep int) {
	old := o.now()
	h := &chronicle{stamps: slices.Clone(old.stamps[:last+1]), rooms: map[subjects.Room]*annals{}}
	for name, r := range old.rooms {
		h.rooms[name] = &annals{
			events:  slices.DeleteFunc(slices.Clone(r.events), func(e happening) bool { return e.seq > last }),
			grants:  slices.DeleteFunc(slices.Clone(r.grants), func(g ruling) bool { return g.seq > last }),
			index:   slices.DeleteFunc(slices.Clone(r.index), func(l listing) bool { return l.seq > last }),
			retired: min(r.retired, last),
		}
	}
	o.histories = append(o.histories, h)
	o.stream.Truncate(last)
	o.stream.NewEpoch(epoch, keep)
	o.stamp()
}

// at finds the newest history in which a sequence had this time; nil if there
// is none.
func (o *oracle) at(seq uint64, stamp int64) *chronicle {
	for _, h := range slices.Backward(o.histories) {
		if seq < uint64(len(h.stamps)) && h.stamps[seq] == stamp {
			return h
		}
	}
	return nil
}

// follows reports whether an event of a type was published behind a cursor, in
// any history that the cursor may be of: it may have been lost since.
func (o *oracle) follows(room subjects.Room, typ string, c protocol.Cursor, upTo uint64) bool {
	return slices.ContainsFunc(o.histories, func(h *chronicle) bool {
		return c.Seq < uint64(len(h.stamps)) && h.stamps[c.Seq] == c.Time && len(h.between(room, typ, c.Seq, upTo)) > 0
	})
}

// between lists the events of a room with after < seq <= upTo; typ "*" is any.
func (h *chronicle) between(room subjects.Room, typ string, after, upTo uint64) []happening {
	r := h.rooms[room]
	if r == nil {
		return nil
	}
	var found []happening
	for i := len(r.events) - 1; i >= 0 && r.events[i].seq > after; i-- {
		if e := r.events[i]; e.seq <= upTo && (typ == protocol.AnyType || e.typ == typ) {
			found = append(found, e)
		}
	}
	slices.Reverse(found)
	return found
}

// last is the newest event of a type up to a sequence that has not been
// purged; 0 if there is none.
func (h *chronicle) last(room subjects.Room, typ string, upTo uint64) uint64 {
	found := h.between(room, typ, h.room(room).retired, upTo)
	if len(found) == 0 {
		return 0
	}
	return found[len(found)-1].seq
}

// listed reports whether a room is open in a user's index at a watermark.
func (h *chronicle) listed(user string, room subjects.Room, w uint64) bool {
	for _, l := range slices.Backward(h.room(room).index) {
		if l.user == user && l.seq <= w {
			return l.open
		}
	}
	return false
}

// closings lists the records behind after, up to a watermark, that close a
// room in a user's index.
func (h *chronicle) closings(user string, room subjects.Room, after, upTo uint64) []uint64 {
	var seqs []uint64
	for _, l := range h.room(room).index {
		if l.user == user && !l.open && after < l.seq && l.seq <= upTo {
			seqs = append(seqs, l.seq)
		}
	}
	return seqs
}

// may reports whether who is entitled to a room at a watermark. Records of
// retired rooms are gone for some and remembered by others: unsure.
func (o *oracle) may(h *chronicle, who access.Identity, room subjects.Room, w uint64) (ok, sure bool) {
	if strings.HasPrefix(string(room), "user.") {
		return room == subjects.UserRoom(who.User), true
	}
	if o.policy.Covers(who, string(room)) {
		return true, true
	}
	r := h.room(room)
	for _, g := range slices.Backward(r.grants) {
		if g.seq <= w {
			return slices.Contains(g.users, who.User), g.seq > r.retired
		}
	}
	return false, true
}

// entitled reports whether who may be given something of a room at any
// watermark from lo to hi; never, whether at none of them surely.
func (o *oracle) entitled(h *chronicle, who access.Identity, room subjects.Room, lo, hi uint64) (sometimes, always bool) {
	always = true
	for w := min(lo, hi); w <= hi; w++ {
		ok, sure := o.may(h, who, room, w)
		sometimes = sometimes || ok || !sure
		always = always && ok && sure
	}
	return sometimes, always
}
