package e2e_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/subjects"
)

// recorder keeps every message of the stream. A consumer alone would miss what
// the stream drops before it is read, so the publisher is listened to as well:
// what it expects the stream to end with says which sequence a message got.
type recorder struct {
	mu      sync.Mutex
	msgs    map[uint64]taped
	sure    map[uint64]bool   // read from the stream itself
	batches map[string]uint64 // sequence before the batch
}

type taped struct {
	subject string
	data    []byte
}

func record(s *stack) *recorder {
	s.t.Helper()
	r := &recorder{msgs: map[uint64]taped{}, sure: map[uint64]bool{}, batches: map[string]uint64{}}
	nc := s.nats.Conn(s.t)
	sub, err := nc.Subscribe(">", r.heard)
	if err != nil {
		s.t.Fatal(err)
	}
	sub.SetPendingLimits(-1, -1)
	js, err := jetstream.New(nc)
	if err != nil {
		s.t.Fatal(err)
	}
	cons, err := js.OrderedConsumer(s.t.Context(), "FABRIC", jetstream.OrderedConsumerConfig{})
	if err != nil {
		s.t.Fatal(err)
	}
	reading, err := cons.Consume(r.read)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(reading.Stop)
	return r
}

func (r *recorder) read(m jetstream.Msg) {
	meta, err := m.Metadata()
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.msgs[meta.Sequence.Stream] = taped{m.Subject(), m.Data()}
	r.sure[meta.Sequence.Stream] = true
}

// heard takes what was published. A later try for the same place is the one
// that counts: the earlier one was refused, or was the same.
func (r *recorder) heard(m *nats.Msg) {
	first, _, _ := strings.Cut(m.Subject, ".")
	if first != "booking" && first != "user" && first != "fabric" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	last, err := strconv.ParseUint(one(m, jetstream.ExpectedLastSeqHeader), 10, 64)
	batch := one(m, "Nats-Batch-Id")
	n := uint64(1)
	if batch != "" {
		if err == nil {
			r.batches[batch] = last
		}
		n, err = strconv.ParseUint(one(m, "Nats-Batch-Sequence"), 10, 64)
		known := false
		if last, known = r.batches[batch]; !known {
			return
		}
	}
	if err == nil && !r.sure[last+n] {
		r.msgs[last+n] = taped{m.Subject, m.Data}
	}
}

func one(m *nats.Msg, key string) string {
	if v := m.Header[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// find returns the sequence of a message that was read from the stream and
// holds text, 0 if there is none.
func (r *recorder) find(subject, text string) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	for seq := range r.sure {
		if m := r.msgs[seq]; m.subject == subject && strings.Contains(string(m.data), text) {
			return seq
		}
	}
	return 0
}

// chronicle is what the recorder has, in order and by room.
type chronicle struct {
	last     uint64
	holes    []uint64
	rooms    map[string]*annals
	epochs   []uint64
	versions map[string][]string // updatedAt by subject
}

// annals of one room.
type annals struct {
	events []happening
	grants []ruling
	index  []listing
}

type (
	happening struct {
		seq uint64
		typ string
	}
	ruling struct {
		seq   uint64
		users map[string]string
	}
	listing struct {
		seq  uint64
		user string
		open bool
	}
)

func (r *recorder) chronicle(last uint64) *chronicle {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := &chronicle{last: last, rooms: map[string]*annals{}, versions: map[string][]string{}}
	for seq := uint64(1); seq <= last; seq++ {
		m, ok := r.msgs[seq]
		if !ok {
			h.holes = append(h.holes, seq)
			continue
		}
		h.add(seq, m)
	}
	return h
}

func (h *chronicle) add(seq uint64, m taped) {
	name, err := subjects.Kinds{"booking"}.Parse(m.subject)
	if err != nil {
		return
	}
	switch name.Class {
	case subjects.Event:
		a := h.room(string(name.Room))
		a.events = append(a.events, happening{seq, name.Type})
		var p struct{ UpdatedAt string }
		json.Unmarshal(m.data, &p)
		h.versions[m.subject] = append(h.versions[m.subject], p.UpdatedAt)
	case subjects.Grant:
		var rec subjects.Access
		json.Unmarshal(m.data, &rec) // empty once nobody may
		a := h.room(string(name.Room))
		a.grants = append(a.grants, ruling{seq, rec.Participants})
	case subjects.Indexed:
		var rec subjects.Index
		json.Unmarshal(m.data, &rec)
		a := h.room(string(name.Target))
		a.index = append(a.index, listing{seq, name.Room.ID(), rec.Open && !rec.Revoked})
	case subjects.NewEpoch:
		h.epochs = append(h.epochs, seq)
	}
}

func (h *chronicle) room(name string) *annals {
	a := h.rooms[name]
	if a == nil {
		a = &annals{}
		h.rooms[name] = a
	}
	return a
}

// between lists the events of a room with after < seq <= upTo.
func (h *chronicle) between(room string, after, upTo uint64) []happening {
	events := h.room(room).events
	from, _ := slices.BinarySearchFunc(events, after+1, bySeq)
	to, _ := slices.BinarySearchFunc(events, upTo+1, bySeq)
	return events[min(from, to):to]
}

func bySeq(e happening, seq uint64) int {
	switch {
	case e.seq < seq:
		return -1
	case e.seq > seq:
		return 1
	}
	return 0
}

// newest event of a type up to a sequence; 0 if there is none.
func (h *chronicle) newest(room, typ string, upTo uint64) uint64 {
	for _, e := range slices.Backward(h.between(room, 0, upTo)) {
		if e.typ == typ {
			return e.seq
		}
	}
	return 0
}

// unsure reports whether a message in the range is not recorded.
func (h *chronicle) unsure(after, upTo uint64) bool {
	return slices.ContainsFunc(h.holes, func(seq uint64) bool { return after < seq && seq <= upTo })
}

// takesPart reports whether a user takes part in a room at any watermark from
// lo to hi, and at all of them.
func (h *chronicle) takesPart(user, room string, lo, hi uint64) (sometimes, always bool) {
	always = true
	judge := func(users map[string]string) {
		_, ok := users[user]
		sometimes, always = sometimes || ok, always && ok
	}
	grants := h.room(room).grants
	before := map[string]string(nil)
	since := uint64(0)
	for _, g := range grants {
		if g.seq <= lo {
			before, since = g.users, g.seq
		}
	}
	judge(before)
	for _, g := range grants {
		if lo < g.seq && g.seq <= hi {
			judge(g.users)
		}
	}
	if h.unsure(since, hi) {
		return true, false
	}
	return sometimes, always
}

// listed reports whether a room is open in a user's index at a watermark.
func (h *chronicle) listed(user, room string, w uint64) bool {
	for _, l := range slices.Backward(h.room(room).index) {
		if l.user == user && l.seq <= w {
			return l.open
		}
	}
	return false
}

// closed is the first record behind after that closes a room for a user; 0 if
// there is none.
func (h *chronicle) closed(user, room string, after uint64) uint64 {
	for _, l := range h.room(room).index {
		if l.user == user && !l.open && l.seq > after {
			return l.seq
		}
	}
	return 0
}
