package protocol

import "time"

// Out is anything the edge sends that is no event: a reply or a push.
// Transports switch over its concrete types.
type Out interface{ out() }

// Event is one event as history replies carry it; live events are encoded
// straight from the hub's message by AppendEvent.
type Event struct {
	Room     string
	Type     string
	Seq      uint64
	Cursor   Cursor
	Snapshot bool
	// Time of the change, UTC.
	Time time.Time
	// Data is the payload as it was stored: JSON, passed through untouched.
	Data []byte
}

// Connected answers connect. It is sent when the fate of every room is known.
type Connected struct {
	ID      int64
	Session string
	User    string
	// Ping is the interval of server pings.
	Ping time.Duration
	// Expires is the time left until the token ends.
	Expires time.Duration
	// Recovered is true if a cursor was given and no joined room has a gap.
	Recovered bool
	Rooms     []RoomFate
}

// RoomFate is what became of one room named in connect.
type RoomFate struct {
	Room string
	// Resumed is set if the room was resumed from a cursor; Recovered then
	// says whether everything missed follows.
	Resumed   bool
	Recovered bool
	// Error is set if the room was not joined.
	Error *Error
}

// Joined answers join. For "mine", Rooms lists the rooms joined.
type Joined struct {
	ID        int64
	Room      string
	Resumed   bool
	Recovered bool
	Rooms     []RoomFate
}

// Left answers leave.
type Left struct {
	ID   int64
	Room string
}

// Refreshed answers refresh.
type Refreshed struct {
	ID      int64
	Expires time.Duration
}

// HistoryReply answers history, oldest first.
type HistoryReply struct {
	ID     int64
	Room   string
	Events []Event
	// More is set if older events are stored.
	More bool
}

// Pong answers a client's ping with the current cursor.
type Pong struct {
	ID     int64
	Cursor string
}

// Failed is the error reply to a command.
type Failed struct {
	ID    int64
	Error Error
}

// Live says that replay is over: of one room, or of the session if Room is
// empty.
type Live struct {
	Room   string
	Cursor Cursor
}

// AnyType in a Gap stands for every type of the room.
const AnyType = "*"

// Gap says that events of a room and type with After < seq < Before may be
// missing.
type Gap struct {
	Room   string
	Type   string
	After  uint64
	Before uint64
	Reason GapReason
}

// GapReason says why something could not be recovered.
type GapReason string

// The reasons.
const (
	GapTrimmed GapReason = "trimmed" // more than keep messages were missed
	GapRetired GapReason = "retired" // away longer than the retention
	GapEpoch   GapReason = "epoch"   // the history is another one
	GapLimit   GapReason = "limit"   // more missed than one resume may replay
)

// RoomJoined pushes a room that "mine" has joined.
type RoomJoined struct{ Room string }

// RoomLeft pushes a room that "mine" has left.
type RoomLeft struct{ Room, Reason string }

// Revoked says that the session is no longer entitled to a room.
type Revoked struct{ Room, Reason string }

// State says that the edge's data may lag (broker or publisher away), or that
// it has caught up.
type State struct {
	Stale bool
	Since time.Time
}

// Ping is the server's ping. Cursor is empty if there is none yet.
type Ping struct{ Cursor string }

// Disconnect announces a close.
type Disconnect struct{ Close Close }

func (*Connected) out()    {}
func (*Joined) out()       {}
func (*Left) out()         {}
func (*Refreshed) out()    {}
func (*HistoryReply) out() {}
func (*Pong) out()         {}
func (*Failed) out()       {}
func (*Live) out()         {}
func (*Gap) out()          {}
func (*RoomJoined) out()   {}
func (*RoomLeft) out()     {}
func (*Revoked) out()      {}
func (*State) out()        {}
func (*Ping) out()         {}
func (*Disconnect) out()   {}
