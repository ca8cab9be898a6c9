package hub

import (
	"sync/atomic"
	"time"

	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/subjects"
)

// Message is one message of the stream, as every shard and session of this
// edge shares it. It does not change after NewMessage but for the frames that
// transports cache on it.
type Message struct {
	// Epoch of the history in which the message was read: the first part of a
	// cursor.
	Epoch string
	// Seq is the stream sequence.
	Seq uint64
	// Stamp is the stream's own time of the message, microseconds since 1970:
	// the third part of a cursor.
	Stamp int64
	// Time of the change, from Fabric-Time; the stream's time if it is absent.
	Time time.Time
	// Name is the parsed subject. Class Unknown for a subject that is none of
	// the contract's; such a message only moves the watermark.
	Name subjects.Name
	// Data is the payload. Nobody may write to it.
	Data []byte

	// Record is the decoded payload of a message that is no event:
	// *subjects.Access, *subjects.Index, *subjects.Control or *subjects.Epoch.
	// A payload that does not decode leaves the zero value, which denies.
	Record any

	frames [frameSlots]atomic.Pointer[[]byte]
}

// Cursor is the place of m in the stream.
func (m *Message) Cursor() protocol.Cursor {
	return protocol.Cursor{Epoch: m.Epoch, Seq: m.Seq, Time: m.Stamp}
}

// FrameSlot is a place on a Message where one transport keeps one encoding.
type FrameSlot int

// The slots, one per wire form.
const (
	SlotNative FrameSlot = iota
	SlotNativeSnapshot
	SlotSSE
	SlotSocketIO
	frameSlots
)

// Frame returns the encoding kept in slot, building it on first use. Two
// shards may build it at the same time; both results are equal and one is
// kept.
func (m *Message) Frame(slot FrameSlot, build func(*Message) []byte) []byte {
	if f := m.frames[slot].Load(); f != nil {
		return *f
	}
	f := build(m)
	m.frames[slot].Store(&f)
	return f
}

// Size is what the message costs in memory, for bounded buffers.
func (m *Message) Size() int { return len(m.Data) + messageOverhead }

// messageOverhead: the struct, its strings and the ring's own bookkeeping.
const messageOverhead = 320
