package protocol

import (
	"fmt"
	"strconv"
)

// Append writes a reply or a push as one JSON object on one line. It panics on
// a type of Out that is not of this package.
func Append(dst []byte, o Out) []byte {
	switch o := o.(type) {
	case *Connected:
		return appendConnected(dst, o)
	case *Joined:
		return appendJoined(dst, o)
	case *Left:
		dst = appendString(append(appendID(dst, o.ID), `"leave":{"room":`...), o.Room)
		return append(dst, "}}"...)
	case *Refreshed:
		dst = appendSeconds(append(appendID(dst, o.ID), `"refresh":{"expires":`...), o.Expires)
		return append(dst, "}}"...)
	case *HistoryReply:
		return appendHistory(dst, o)
	case *Pong:
		return append(appendString(append(appendID(dst, o.ID), `"ping":`...), o.Cursor), '}')
	case *Failed:
		return append(appendError(append(appendID(dst, o.ID), `"error":`...), o.Error), '}')
	case *Live:
		return appendLive(dst, o)
	case *Gap:
		return appendGap(dst, o)
	case *RoomJoined:
		return append(appendString(append(dst, `{"joined":{"room":`...), o.Room), "}}"...)
	case *RoomLeft:
		return appendReason(append(dst, `{"left":`...), o.Room, o.Reason)
	case *Revoked:
		return appendReason(append(dst, `{"revoked":`...), o.Room, o.Reason)
	case *State:
		return appendState(dst, o)
	case *Ping:
		return append(appendString(append(dst, `{"ping":`...), o.Cursor), '}')
	case *Disconnect:
		return appendDisconnect(dst, o.Close)
	}
	panic(fmt.Sprintf("protocol: no encoding for %T", o))
}

// appendID opens an object with the id of the command it answers. An error
// whose command had no readable id is a push, so has none.
func appendID(dst []byte, id int64) []byte {
	dst = append(dst, '{')
	if id == 0 {
		return dst
	}
	return append(strconv.AppendInt(append(dst, `"id":`...), id, 10), ',')
}

func appendConnected(dst []byte, o *Connected) []byte {
	dst = appendString(append(appendID(dst, o.ID), `"connect":{"session":`...), o.Session)
	dst = appendString(append(dst, `,"user":`...), o.User)
	dst = appendSeconds(append(dst, `,"ping":`...), o.Ping)
	dst = appendSeconds(append(dst, `,"expires":`...), o.Expires)
	dst = strconv.AppendBool(append(dst, `,"recovered":`...), o.Recovered)
	dst = appendFates(append(dst, `,"rooms":`...), o.Rooms)
	return append(dst, "}}"...)
}

func appendJoined(dst []byte, o *Joined) []byte {
	dst = append(appendID(dst, o.ID), `"join":{`...)
	if o.Room == Mine {
		return append(appendFates(append(dst, `"rooms":`...), o.Rooms), "}}"...)
	}
	dst = appendString(append(dst, `"room":`...), o.Room)
	if o.Resumed {
		dst = strconv.AppendBool(append(dst, `,"recovered":`...), o.Recovered)
	}
	return append(dst, "}}"...)
}

func appendFates(dst []byte, fates []RoomFate) []byte {
	dst = append(dst, '{')
	for i, f := range fates {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, f.Room), ':', '{')
		switch {
		case f.Error != nil:
			dst = appendError(append(dst, `"error":`...), *f.Error)
		case f.Resumed:
			dst = strconv.AppendBool(append(dst, `"recovered":`...), f.Recovered)
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

func appendError(dst []byte, e Error) []byte {
	dst = strconv.AppendInt(append(dst, `{"code":`...), int64(e.Code), 10)
	dst = appendString(append(dst, `,"message":`...), e.Message)
	dst = strconv.AppendBool(append(dst, `,"temporary":`...), e.Code.Temporary())
	if e.After > 0 {
		dst = appendMillis(append(dst, `,"after":`...), e.After)
	}
	return append(dst, '}')
}

func appendHistory(dst []byte, o *HistoryReply) []byte {
	dst = appendString(append(appendID(dst, o.ID), `"history":{"room":`...), o.Room)
	dst = append(dst, `,"events":[`...)
	for i, e := range o.Events {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendEventBody(dst, e.Room, e.Type, e.Seq, e.Cursor, e.Snapshot, e.Time, e.Data)
	}
	dst = strconv.AppendBool(append(dst, `],"more":`...), o.More)
	return append(dst, "}}"...)
}

func appendLive(dst []byte, o *Live) []byte {
	dst = append(dst, `{"live":{`...)
	if o.Room != "" {
		dst = append(appendString(append(dst, `"room":`...), o.Room), ',')
	}
	dst = appendCursor(append(dst, `"cursor":`...), o.Cursor)
	return append(dst, "}}"...)
}

func appendGap(dst []byte, o *Gap) []byte {
	dst = appendString(append(dst, `{"gap":{"room":`...), o.Room)
	dst = appendString(append(dst, `,"type":`...), o.Type)
	dst = strconv.AppendUint(append(dst, `,"after":`...), o.After, 10)
	dst = strconv.AppendUint(append(dst, `,"before":`...), o.Before, 10)
	dst = appendString(append(dst, `,"reason":`...), string(o.Reason))
	return append(dst, "}}"...)
}

func appendReason(dst []byte, room, reason string) []byte {
	dst = appendString(append(dst, `{"room":`...), room)
	dst = appendString(append(dst, `,"reason":`...), reason)
	return append(dst, "}}"...)
}

func appendState(dst []byte, o *State) []byte {
	dst = strconv.AppendBool(append(dst, `{"state":{"stale":`...), o.Stale)
	if o.Stale && !o.Since.IsZero() {
		dst = appendTime(append(dst, `,"since":`...), o.Since)
	}
	return append(dst, "}}"...)
}

func appendDisconnect(dst []byte, c Close) []byte {
	dst = strconv.AppendInt(append(dst, `{"disconnect":{"code":`...), int64(c.Code), 10)
	dst = appendString(append(dst, `,"reason":`...), c.Reason)
	dst = strconv.AppendBool(append(dst, `,"reconnect":`...), c.Reconnect())
	if c.After > 0 {
		dst = appendMillis(append(dst, `,"after":`...), c.After)
	}
	return append(dst, "}}"...)
}

// AppendReason writes the reason of a close frame, which repeats what the
// disconnect push said for clients that see only the frame: {"after":ms}, or
// nothing if there is no time to wait.
func (c Close) AppendReason(dst []byte) []byte {
	if c.After <= 0 {
		return dst
	}
	return append(appendMillis(append(dst, `{"after":`...), c.After), '}')
}
