package websocket

import (
	"encoding/binary"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/edge/protocol"
)

// First bytes of a frame that is whole (FIN) and its opcode: RFC 6455 §5.2.
const (
	opText  = 0x81
	opClose = 0x88
	opPong  = 0x8a
)

// headroom is the longest header of a frame from a server (no mask). Payloads
// are built behind that much room, so that the header needs no copy.
const headroom = 10

// seal writes the header of the payload b[headroom:] right before it and
// returns the frame.
func seal(op byte, b []byte) []byte {
	switch n := len(b) - headroom; {
	case n <= 125:
		b = b[headroom-2:]
		b[1] = byte(n)
	case n <= 1<<16-1:
		b = b[headroom-4:]
		b[1] = 126
		binary.BigEndian.PutUint16(b[2:], uint16(n))
	default:
		b[1] = 127
		binary.BigEndian.PutUint64(b[2:], uint64(n))
	}
	b[0] = op
	return b
}

// eventFrame and snapshotFrame build what hub.Message.Frame keeps and all
// connections share.
func eventFrame(m *hub.Message) []byte    { return messageFrame(m, false) }
func snapshotFrame(m *hub.Message) []byte { return messageFrame(m, true) }

func messageFrame(m *hub.Message, snapshot bool) []byte {
	room, typ := string(m.Name.Room), m.Name.Type
	b := make([]byte, headroom, headroom+protocol.EventOverhead+len(room)+len(typ)+len(m.Data))
	return seal(opText, protocol.AppendEvent(b, room, typ, m.Seq, m.Cursor(), snapshot, m.Time, m.Data))
}

// outFrame is a reply or a push of one connection.
func outFrame(o protocol.Out) []byte {
	return seal(opText, protocol.Append(make([]byte, headroom, 256), o))
}

// closeFrame carries the code and the machine-readable reason.
func closeFrame(c protocol.Close) []byte {
	b := binary.BigEndian.AppendUint16(make([]byte, headroom, headroom+32), uint16(c.Code))
	return seal(opClose, c.AppendReason(b))
}

// controlFrame carries what the client sent back to it: a pong, or the echo of
// a close. The payload is at most 125 bytes; gorilla has checked.
func controlFrame(op byte, payload []byte) []byte {
	return seal(op, append(make([]byte, headroom, headroom+len(payload)), payload...))
}
