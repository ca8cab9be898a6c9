package feed

import (
	"sort"
	"strings"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/subjects"
)

// ring holds the newest messages of the stream, bounded in bytes. Every entry
// knows the previous one of its room, so the recent messages of a room are
// found in as many steps as there are. It is guarded by its window.
//
// Entries are numbered from 1 on as they come; a number names the same entry
// as long as it is held, and sequences rise with numbers.
type ring struct {
	limit int // bytes
	size  int

	// entries is circular and a power of two long: number n is at n & (len-1).
	entries []entry
	// head is the number of the oldest entry, next that of the one to come.
	head, next uint64

	threads map[subjects.Room]*thread
	// types makes messages share the strings of their types, so that none
	// holds on to the subject it was cut from.
	types map[string]string
}

type entry struct {
	m *hub.Message
	// prev is the number of the previous entry of the same room. It may be
	// below head, which is the end of the chain.
	prev uint64
}

// thread is the chain of one room's entries.
type thread struct {
	room   subjects.Room
	newest uint64
}

// Bounds of what the ring shares and where it begins.
const (
	maxTypes   = 256
	minEntries = 64
)

func newRing(limit int) ring {
	return ring{limit: limit, head: 1, next: 1, threads: map[subjects.Room]*thread{}, types: map[string]string{}}
}

// clear drops everything.
func (r *ring) clear() { *r = newRing(r.limit) }

func (r *ring) len() int { return int(r.next - r.head) }

func (r *ring) at(n uint64) *entry { return &r.entries[n&uint64(len(r.entries)-1)] }

// oldest returns the oldest message, nil if there is none.
func (r *ring) oldest() *hub.Message {
	if r.len() == 0 {
		return nil
	}
	return r.at(r.head).m
}

// add appends m, whose sequence must be above all others, and drops the oldest
// entries beyond the limit. The newest is held whatever its size. It replaces
// the strings of m's name by shared ones.
func (r *ring) add(m *hub.Message) {
	size := cost(m)
	for r.len() > 0 && r.size+size > r.limit {
		r.drop()
	}
	if r.len() == len(r.entries) {
		r.grow()
	}
	e := r.at(r.next)
	e.m, e.prev = m, 0
	if m.Name.Room != "" {
		t := r.threads[m.Name.Room]
		if t == nil {
			t = &thread{room: subjects.Room(strings.Clone(string(m.Name.Room)))}
			r.threads[t.room] = t
		}
		e.prev, t.newest = t.newest, r.next
		m.Name.Room = t.room
		m.Name.Type = r.shared(m.Name.Type)
	}
	r.size += size
	r.next++
}

// cost is the memory of a message: a decoded record takes three times its JSON
// and a bit on top.
func cost(m *hub.Message) int {
	if m.Record == nil {
		return m.Size()
	}
	return m.Size() + 3*len(m.Data) + 64
}

func (r *ring) shared(typ string) string {
	if s, ok := r.types[typ]; ok {
		return s
	}
	if len(r.types) == maxTypes {
		return typ
	}
	s := strings.Clone(typ)
	r.types[s] = s
	return s
}

// drop forgets the oldest entry.
func (r *ring) drop() {
	e := r.at(r.head)
	if t := r.threads[e.m.Name.Room]; t != nil && t.newest == r.head {
		delete(r.threads, t.room)
	}
	r.size -= cost(e.m)
	*e = entry{}
	r.head++
}

func (r *ring) grow() {
	old := r.entries
	r.entries = make([]entry, max(2*len(old), minEntries))
	for n := r.head; n != r.next; n++ {
		*r.at(n) = old[n&uint64(len(old)-1)]
	}
}

// find returns the number of the first entry with at least this sequence, next
// if there is none. Where the stream has no holes that is a subtraction.
func (r *ring) find(seq uint64) uint64 {
	n := r.len()
	if n == 0 {
		return r.next
	}
	if last := r.at(r.next - 1).m.Seq; seq > last {
		return r.next
	} else if back := last - seq; back < uint64(n) {
		if guess := r.next - 1 - back; r.at(guess).m.Seq == seq {
			return guess
		}
	}
	return r.head + uint64(sort.Search(n, func(i int) bool { return r.at(r.head+uint64(i)).m.Seq >= seq }))
}

// read appends to buf, up to its capacity, what has a sequence in (after,
// upTo], ascending.
func (r *ring) read(after, upTo uint64, buf []*hub.Message) []*hub.Message {
	for n := r.find(after + 1); n != r.next && len(buf) < cap(buf); n++ {
		m := r.at(n).m
		if m.Seq > upTo {
			break
		}
		buf = append(buf, m)
	}
	return buf
}

// room appends to buf the messages of a room with a sequence in (after, upTo],
// newest first.
func (r *ring) room(room subjects.Room, after, upTo uint64, buf []*hub.Message) []*hub.Message {
	t := r.threads[room]
	if t == nil {
		return buf
	}
	for n := t.newest; n >= r.head; {
		e := r.at(n)
		if e.m.Seq <= after {
			break
		}
		if e.m.Seq <= upTo {
			buf = append(buf, e.m)
		}
		n = e.prev
	}
	return buf
}

// agrees reports whether a message with this sequence could have had this
// stream time, as far as the ring can tell.
func (r *ring) agrees(seq uint64, stamp int64) bool {
	n := r.find(seq)
	if n == r.next {
		return true // newer than all, or nothing here
	}
	next := r.at(n).m
	if next.Seq == seq {
		return next.Stamp == stamp
	}
	if n == r.head {
		return true // older than all
	}
	return r.at(n-1).m.Stamp <= stamp && stamp <= next.Stamp
}
