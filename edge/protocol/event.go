package protocol

import (
	"strconv"
	"time"
)

// EventOverhead is more than an event takes on the wire beside its room, type
// and payload. A buffer of that much and those three holds the frame.
const EventOverhead = 192

// AppendEvent writes {"event":{…}}. Room and type must be valid ids; data is
// JSON as it was stored. With room in dst it does not allocate, unless data
// spans lines.
func AppendEvent(dst []byte, room, typ string, seq uint64, cursor Cursor, snapshot bool, t time.Time, data []byte) []byte {
	dst = append(dst, `{"event":`...)
	dst = appendEventBody(dst, room, typ, seq, cursor, snapshot, t, data)
	return append(dst, '}')
}

func appendEventBody(dst []byte, room, typ string, seq uint64, cursor Cursor, snapshot bool, t time.Time, data []byte) []byte {
	dst = appendString(append(dst, `{"room":`...), room)
	dst = appendString(append(dst, `,"type":`...), typ)
	dst = strconv.AppendUint(append(dst, `,"seq":`...), seq, 10)
	dst = appendCursor(append(dst, `,"cursor":`...), cursor)
	if snapshot {
		dst = append(dst, `,"snapshot":true`...)
	}
	dst = appendTime(append(dst, `,"time":`...), t)
	dst = appendPayload(append(dst, `,"data":`...), data)
	return append(dst, '}')
}
