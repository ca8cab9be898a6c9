package feed

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/subjects"
)

// stored is a message as the stream holds it, whichever way it was read.
type stored struct {
	subject string
	seq     uint64
	// at is the stream's own time.
	at     time.Time
	header nats.Header
	data   []byte
}

// maxComplaints bounds the subjects remembered as complained about.
const maxComplaints = 1000

// decoder turns stored messages into those of the hub. Its methods may be
// called from any goroutine.
type decoder struct {
	kinds subjects.Kinds
	log   *slog.Logger

	mu         sync.Mutex
	complained map[string]struct{}
}

func newDecoder(kinds subjects.Kinds, log *slog.Logger) *decoder {
	return &decoder{kinds: kinds, log: log, complained: map[string]struct{}{}}
}

// message never fails: a subject that is none of the contract's has class
// Unknown, a record that does not decode is the zero value of its type.
func (d *decoder) message(epoch string, s stored) *hub.Message {
	m := &hub.Message{Epoch: epoch, Seq: s.seq, Stamp: s.at.UnixMicro()}
	name, err := d.kinds.Parse(s.subject)
	if err != nil || name.Class == subjects.Progress {
		// Neither is ever read, only passed: keep what moves the watermark.
		m.Name.Class, m.Time = name.Class, s.at
		return m
	}
	m.Name, m.Time, m.Data = name, s.time(), s.payload()
	switch name.Class {
	case subjects.Grant:
		m.Record = record[subjects.Access](d, s)
	case subjects.Indexed:
		m.Record = record[subjects.Index](d, s)
	case subjects.Logout:
		m.Record = record[subjects.Control](d, s)
	case subjects.NewEpoch:
		m.Record = record[subjects.Epoch](d, s)
	}
	return m
}

// time of the change. A publisher that does not know it leaves it out.
func (s stored) time() time.Time {
	if v := s.header.Get(subjects.TimeHeader); v != "" {
		if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return t.UTC()
		}
	}
	return s.at.UTC()
}

// payload without the headers that nats.go keeps in the same allocation: a
// message lives in the ring for long, and its Size does not count them.
func (s stored) payload() []byte {
	if len(s.header) == 0 {
		return s.data
	}
	return bytes.Clone(s.data)
}

// record decodes the payload of a record. An empty one is the zero value on
// purpose ("nobody"), any other that is no JSON of that shape is complained
// about.
func record[T any](d *decoder, s stored) *T {
	v := new(T)
	if len(s.data) == 0 {
		return v
	}
	if err := json.Unmarshal(s.data, v); err != nil {
		d.complain(s, err)
		return new(T) // not what was decoded before the error
	}
	return v
}

// complain logs a bad record once per subject: edges read records again and
// again.
func (d *decoder) complain(s stored, err error) {
	d.mu.Lock()
	_, known := d.complained[s.subject]
	if !known && len(d.complained) < maxComplaints {
		d.complained[s.subject] = struct{}{}
	}
	full := len(d.complained) == maxComplaints
	d.mu.Unlock()
	if !known && !full {
		d.log.Warn("record does not decode and counts as empty", "subject", s.subject, "seq", s.seq, "err", err)
	}
}
