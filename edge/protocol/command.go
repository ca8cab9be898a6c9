package protocol

import (
	"bytes"
	"encoding/json"
)

// Verb names what a client asks for.
type Verb string

// The verbs. Empty is a frame "{}": the answer to a ping.
const (
	VerbConnect Verb = "connect"
	VerbJoin    Verb = "join"
	VerbLeave   Verb = "leave"
	VerbRefresh Verb = "refresh"
	VerbHistory Verb = "history"
	VerbPing    Verb = "ping"
	VerbPong    Verb = ""
)

// Mine in place of a room stands for every open booking of the user.
const Mine = "mine"

// Command is one decoded client command. Exactly the member that Verb names
// is set.
type Command struct {
	ID      int64
	Verb    Verb
	Connect *Connect
	Join    *RoomRef
	Leave   *RoomRef
	Refresh *Refresh
	History *HistoryAsk
}

// Connect authenticates, names the rooms and the cursor to resume from.
type Connect struct {
	Token  string
	Cursor string
	Rooms  []RoomRef
	// Client names the program, for logs.
	Client string
}

// RoomRef names a room, and where to resume it from.
type RoomRef struct {
	Room string
	// Cursor: absent = resume from the connect's own cursor (in connect) or a
	// fresh join (in join); null = a fresh join; a string = resume from there.
	Cursor CursorRef
}

// CursorRef tells an absent cursor from a null one.
type CursorRef struct {
	// Given is set if the key was there.
	Given bool
	// Value is empty for null.
	Value string
}

// UnmarshalJSON takes a string or null.
func (c *CursorRef) UnmarshalJSON(b []byte) error {
	c.Given = true
	if string(b) == "null" {
		return nil
	}
	return unquote(b, &c.Value)
}

// unquote reads a JSON string, by hand if nothing in it is escaped.
func unquote(b []byte, into *string) error {
	if len(b) < 2 || b[0] != '"' || bytes.IndexByte(b, '\\') >= 0 {
		return json.Unmarshal(b, into)
	}
	*into = string(b[1 : len(b)-1])
	return nil
}

// Refresh renews the token of a session.
type Refresh struct{ Token string }

// HistoryAsk asks for stored events of a room, newest last.
type HistoryAsk struct {
	Room  string
	Limit int
	// Before is the sequence below which events are wanted; 0 = the newest.
	Before uint64
}
