package hub

import (
	"context"
	"errors"
	"time"

	"github.com/petpro/fabric/subjects"
)

// Errors that Feed and History answer with.
var (
	// ErrUnavailable is returned when the broker cannot be reached or did not
	// answer in time. Asking again later may succeed.
	ErrUnavailable = errors.New("the broker is away")
	// ErrGeneration is returned when the history has been replaced (new epoch,
	// reset) since the generation that the question named.
	ErrGeneration = errors.New("the history is another one")
)

// Feed is the stream as this edge follows it: one tail for all its clients and
// a ring of the newest messages. Shards pull from it; nothing is queued per
// shard. All methods may be called from any goroutine and, but for End, never
// block.
type Feed interface {
	// Attach registers wake, which is called without blocking, from the feed's
	// goroutine, each time View may have changed. Call it before the feed runs.
	Attach(wake func())

	// View is the state of the feed now.
	View() View

	// Read appends to buf, up to its capacity, the messages of every kind with
	// sequences behind after, ascending and without a hole, and returns the
	// view they belong to. ok is false if that cannot be done: the generation
	// is another one, or after+1 is below From or ExactFrom (the ring ran past
	// the reader, or the stream dropped messages before the tail read them).
	Read(gen, after uint64, buf []*Message) (msgs []*Message, v View, ok bool)

	// Room appends to buf the messages of one room, records included, with
	// after < sequence <= upTo that the ring holds, newest first. ok is false
	// if the generation is another one or after+1 < From.
	Room(gen uint64, room subjects.Room, after, upTo uint64, buf []*Message) (msgs []*Message, ok bool)

	// Agrees reports whether a message with this sequence could have had this
	// stream time (µs): equal to that of the ring's entry, or between those of
	// its neighbours. True if the ring cannot tell.
	Agrees(gen, seq uint64, stamp int64) bool

	// End asks the stream's leader for the last sequence. One question is
	// under way at a time; its answer serves all who wait. It returns
	// ErrUnavailable or ErrGeneration.
	End(ctx context.Context, gen uint64) (uint64, error)
}

// View is a consistent look at a feed.
type View struct {
	// Ready is set once the ring is warmed and the identity of the stream was
	// checked with its leader.
	Ready bool
	// Gen counts histories: it grows with every reset and every new epoch.
	// What was begun under another generation is dropped.
	Gen uint64
	// Epoch is the identity of the history, from fabric.epoch.
	Epoch string
	// Keep is how many messages the stream keeps per subject, Retention how
	// long a retired booking is kept at least. Both are the epoch's.
	Keep      int
	Retention time.Duration
	// Settled is set once a fabric.position newer than the epoch was seen:
	// only then does a missing access record mean "nobody".
	Settled bool
	// From is the oldest sequence in the ring; ExactFrom the first from which
	// the tail has seen every message; Last the newest that may be read (the
	// watermark), LastStamp its stream time in µs. From and ExactFrom are
	// Last+1 if there is nothing.
	From, ExactFrom, Last uint64
	LastStamp             int64
	// Stale is set while the broker or the publisher is away: data may lag.
	Stale bool
	Since time.Time
	// Away is set while the broker itself cannot be reached.
	Away bool
}

// History answers what the ring cannot: older messages and last values,
// straight from the stream. An answer may come from a lagging replica, or from
// one ahead of this edge's tail; UpTo tells. All methods block until ctx ends
// at the latest and may be called from any goroutine; they return
// ErrUnavailable or ErrGeneration.
type History interface {
	// Fetch answers for each of the asks, in their order.
	Fetch(ctx context.Context, gen uint64, asks []Ask) (Answer, error)
	// Index reads the newest index record of each room of a user.
	Index(ctx context.Context, gen uint64, user string) (IndexAnswer, error)
	// Stored reads up to limit events of a room with sequences below before
	// (0 = the newest), oldest first; more tells that older ones are stored.
	Stored(ctx context.Context, gen uint64, room subjects.Room, before uint64, limit int) (msgs []*Message, more bool, err error)
}

// Ask is a question about one room.
type Ask struct {
	Room subjects.Room
	// Since: what is newer is wanted. Fresh asks for last values only.
	Since uint64
	Fresh bool
}

// Answer is what the stream held, as of UpTo.
type Answer struct {
	// UpTo is the sequence up to which the answer is complete. Messages behind
	// it may be included but are not complete: count them, do not deliver them.
	UpTo  uint64
	Rooms []Found
}

// Found is the answer for one room.
type Found struct {
	Room subjects.Room
	// Grant is the last access record of the room (for a user's room: the last
	// control record); nil if there is none.
	Grant *Message
	// Last holds the last event of each type.
	Last []*Message
	// Newer holds every stored event newer than Since, also those behind UpTo,
	// ascending. Empty for a Fresh ask.
	Newer []*Message
	// Over is set if Newer was cut because the asks together exceed what one
	// resume may replay.
	Over bool
	// Torn is set if the stream could not be read completely in several tries:
	// messages may be missing from Newer.
	Torn bool
}

// IndexAnswer holds the newest index record of each room of a user, as of UpTo.
type IndexAnswer struct {
	UpTo    uint64
	Records []*Message
}
