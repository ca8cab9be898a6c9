package hubtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/subjects"
)

// Kinds of the streams of this package.
var Kinds = subjects.Kinds{"booking"}

// Stream is the stream of one fabric. All methods may be called from any
// goroutine.
type Stream struct {
	mu    sync.Mutex
	epoch subjects.Epoch
	// history counts truncations: what was read before is not this stream's.
	history int
	stored  []*entry // ascending; includes what was trimmed, for replicas
	live    map[string][]*entry
	last    uint64
	stamp   int64
	// ends holds the last sequence after each operation. An operation is a
	// publication, a purge or a truncation; replicas lag by operations.
	ends  []uint64
	begun int // the operation with which the epoch or the history began
	edges []*Edge
}

// entry is one message, stored from operation born until before died.
type entry struct {
	subject    string
	name       subjects.Name
	seq        uint64
	stamp      int64
	at         time.Time // of the change; zero = the stream's
	data       []byte
	born, died int
}

// NewStream begins a stream with its first epoch, "e1". It is not settled until
// Settle.
func NewStream(keep int, retention time.Duration) *Stream {
	s := &Stream{live: map[string][]*entry{}, ends: []uint64{0}}
	s.epoch = subjects.Epoch{Epoch: "e1", Reason: "first", Keep: keep, Retention: subjects.Duration(retention)}
	s.publish(subjects.EpochSubject, s.epoch)
	return s
}

// Publish appends a message with payload as JSON, lets the tails that follow
// by themselves read it, and returns its sequence. A subject that is none of
// the contract's is stored too.
func (s *Stream) Publish(subject string, payload any) uint64 {
	seq := s.publish(subject, payload)
	s.followed()
	return seq
}

// PublishRaw appends a message as it is, with the time of its change unless
// that is zero.
func (s *Stream) PublishRaw(subject string, data []byte, at time.Time) uint64 {
	seq := s.append(subject, data, at)
	s.followed()
	return seq
}

// Status publishes the status of a booking.
func (s *Stream) Status(id, status string) uint64 {
	return s.Publish("booking."+id+".status", map[string]string{"bookingId": id, "status": status})
}

// Access publishes who takes part in a booking; nobody if no user is named.
func (s *Stream) Access(id string, users ...string) uint64 {
	rec := subjects.Access{Participants: map[string]string{}}
	for _, u := range users {
		rec.Participants[u] = "customer"
	}
	return s.Publish("booking."+id+".access", rec)
}

// Index publishes the reverse index record of a booking.
func (s *Stream) Index(user, id string, open bool) uint64 {
	return s.Publish(subjects.IndexSubject(user, subjects.Room("booking."+id)), subjects.Index{
		Role: "vendor", Open: open, Updated: time.Now().UTC().Format(time.RFC3339),
	})
}

// Unindex publishes that a user takes part in a booking no more.
func (s *Stream) Unindex(user, id string) uint64 {
	return s.Publish(subjects.IndexSubject(user, subjects.Room("booking."+id)), subjects.Index{Revoked: true})
}

// Logout publishes that tokens of a user issued before t are dead.
func (s *Stream) Logout(user string, t time.Time) uint64 {
	return s.Publish(string(subjects.UserRoom(user))+".control", subjects.Control{NotBefore: t.Unix()})
}

// NewEpoch begins another epoch with another keep. It is not settled until
// Settle.
func (s *Stream) NewEpoch(name string, keep int) uint64 {
	s.mu.Lock()
	e := s.epoch
	e.Epoch, e.Reason = name, "test"
	stricter := keep < e.Keep
	e.Keep = keep
	if !stricter {
		s.epoch = e // made laxer before the epoch says so
	}
	s.mu.Unlock()
	seq := s.publish(subjects.EpochSubject, e)
	s.mu.Lock()
	s.epoch = e
	if stricter {
		for subject := range s.live {
			s.trim(subject)
		}
	}
	s.mu.Unlock()
	s.followed()
	return seq
}

// Settle publishes the fabric.position that closes an epoch.
func (s *Stream) Settle() uint64 { return s.Publish(subjects.PositionSubject, nil) }

// Retire purges every subject of a room. The caller sees to it that its last
// message is older than the retention.
func (s *Stream) Retire(room subjects.Room) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends = append(s.ends, s.last)
	for subject, held := range s.live {
		if subjects.Match(room.Pattern(), subject) {
			for _, e := range held {
				e.died = s.op()
			}
			delete(s.live, subject)
		}
	}
}

// Truncate takes the stream back to what it held when a sequence was its last
// one. Edges find out when they next follow the stream; the epoch is the old
// one until the test begins another.
func (s *Stream) Truncate(last uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history++
	s.stored = slices.DeleteFunc(s.stored, func(e *entry) bool { return e.seq > last })
	then := s.stored[len(s.stored)-1].born
	clear(s.live)
	for _, e := range s.stored {
		if e.held(then) {
			e.died = 0
			s.live[e.subject] = append(s.live[e.subject], e)
		}
	}
	s.last = last
	s.ends = append(s.ends, last)
	s.begun = s.op()
}

// Last is the last sequence.
func (s *Stream) Last() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// publish appends without waking anybody.
func (s *Stream) publish(subject string, payload any) uint64 {
	data, err := json.Marshal(payload)
	if err != nil {
		panic(fmt.Sprintf("payload of %s: %v", subject, err))
	}
	return s.append(subject, data, time.Time{})
}

func (s *Stream) append(subject string, data []byte, at time.Time) uint64 {
	name, _ := Kinds.Parse(subject) // Unknown is a class too
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	s.stamp = max(time.Now().UnixMicro(), s.stamp+1)
	s.ends = append(s.ends, s.last)
	e := &entry{subject: subject, name: name, seq: s.last, stamp: s.stamp, at: at, data: data, born: s.op()}
	if name.Class == subjects.NewEpoch {
		s.begun = s.op()
	}
	s.stored = append(s.stored, e)
	s.live[subject] = append(s.live[subject], e)
	s.trim(subject)
	return e.seq
}

// op is the number of the last operation.
func (s *Stream) op() int { return len(s.ends) - 1 }

// trim drops the oldest messages of a subject beyond keep.
func (s *Stream) trim(subject string) {
	held := s.live[subject]
	for len(held) > s.epoch.Keep {
		held[0].died = s.op()
		held = held[1:]
	}
	s.live[subject] = held
}

// followed lets the edges read what is new.
func (s *Stream) followed() {
	s.mu.Lock()
	edges := slices.Clone(s.edges)
	s.mu.Unlock()
	for _, e := range edges {
		e.notice()
	}
}

// held reports whether e was stored after operation op.
func (e *entry) held(op int) bool { return e.born <= op && (e.died == 0 || e.died > op) }

// message decodes e as an edge in this epoch reads it.
func (e *entry) message(epoch string) *hub.Message {
	m := &hub.Message{
		Epoch: epoch, Seq: e.seq, Stamp: e.stamp, Time: time.UnixMicro(e.stamp).UTC(),
		Name: e.name, Data: e.data,
	}
	if !e.at.IsZero() {
		m.Time = e.at
	}
	switch e.name.Class {
	case subjects.Grant:
		m.Record = new(subjects.Access)
	case subjects.Indexed:
		m.Record = new(subjects.Index)
	case subjects.Logout:
		m.Record = new(subjects.Control)
	case subjects.NewEpoch:
		m.Record = new(subjects.Epoch)
	default:
		return m
	}
	_ = json.Unmarshal(e.data, m.Record) // what does not decode denies
	return m
}

// CursorAt is the cursor that a client holds who has everything up to seq.
func (s *Stream) CursorAt(seq uint64) protocol.Cursor {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := protocol.Cursor{Epoch: s.epoch.Epoch, Seq: seq}
	for _, e := range s.stored {
		if e.seq <= seq {
			c.Time = e.stamp
		}
	}
	return c
}

// Holds reports whether a message is stored now.
func (s *Stream) Holds(seq uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := slices.BinarySearchFunc(s.stored, seq, func(e *entry, seq uint64) int { return cmp.Compare(e.seq, seq) })
	return ok && s.stored[i].held(s.op())
}

// Sequences lists every message of a subject that was ever published behind
// since, also what has been trimmed meanwhile.
func (s *Stream) Sequences(subject string, since uint64) []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var seqs []uint64
	for _, e := range s.stored {
		if e.subject == subject && e.seq > since {
			seqs = append(seqs, e.seq)
		}
	}
	return seqs
}
