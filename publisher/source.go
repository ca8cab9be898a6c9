package publisher

import (
	"context"
	"errors"
	"time"
)

// ErrLost is returned by Source.Run when the source no longer has what follows
// the place it was asked to start from. What happens then is Config.OnLost.
var ErrLost = errors.New("the source no longer has what follows the position")

// ErrHalt is wrapped by errors of a source or mapper that trying again does not
// mend, such as a mapped column that was dropped: the publisher ends with it.
// After any other error the source is run again.
var ErrHalt = errors.New("publishing cannot go on")

// ErrAway is wrapped by errors of a source that cannot be reached at the moment
// (connection refused, starting up, failing over). It is tried again, at the
// first Check too, while any other failure there ends the publisher.
var ErrAway = errors.New("the source cannot be reached")

// Pulse is how often Run emits at least: if nothing else, the zero Entry. A
// source that is silent for long counts as stalled.
const Pulse = 5 * time.Second

// Problem is something that keeps a source from working, or working well. Check
// returns them joined.
type Problem struct {
	// What is wrong, in a sentence.
	What string
	// Mend is the SQL or setting that mends it, ready to be pasted; empty if
	// What says it all.
	Mend string
	// Advice is a problem that the source works with.
	Advice bool
}

func (p Problem) Error() string {
	if p.Mend == "" {
		return p.What
	}
	return p.What + ": " + p.Mend
}

// Source is a log of changes. Its methods are called from one goroutine at a
// time, but for Confirm, which may be called while Run runs. publisher/
// sourcetest holds every implementation to this contract.
type Source interface {
	// Name of the source in positions.
	Name() string

	// Check reports all that keeps the source from working (missing file,
	// wrong settings, unknown columns), each with what mends it, and prepares
	// what the source owns itself. It is called before Snapshot and Run.
	Check(ctx context.Context) error

	// Snapshot emits the followed tables as Load, then each row of the mapped
	// tables as Snapshot, all as of one moment, and returns the place of that
	// moment: Run from there emits exactly what is not in the snapshot. Sources
	// without rows emit nothing.
	Snapshot(ctx context.Context, emit func(Entry) error) (place string, err error)

	// Run first emits the followed tables as they were at place from (Load),
	// then every entry from that place on in commit order, the entry at from
	// included if the source still has it, and goes on as changes happen, until
	// ctx ends or emit fails. emit may block: that is the back-pressure. Between
	// two calls of emit lie at most Pulse, if emit returns at once.
	// Returns ErrLost if entries behind from are gone.
	Run(ctx context.Context, from string, emit func(Entry) error) error

	// Confirm says that everything up to place, included, is safe in the
	// stream, and may be forgotten, the entry at place itself excepted.
	Confirm(ctx context.Context, place string) error

	// Compare orders two places: <0 if a is before b.
	Compare(a, b string) int
}

// Exclusive is a Source that one publisher at a time may read. The publisher
// acquires it before it reads the stream back, and keeps it across sessions.
//
// That is for economy and a calm log; it is not what keeps two publishers from
// interleaving. Whoever wrongly believes to be the one is refused by the stream
// (Nats-Expected-Last-Sequence).
type Exclusive interface {
	Source
	// Acquire waits until nobody else has the source: that is what a standby
	// does. waiting is called from within Acquire with who has it, at first and
	// whenever that changes; it does not block. When ctx ends, Acquire returns its
	// error and leaves nothing behind. It is called after Check, and again after
	// the Release of an earlier Hold.
	Acquire(ctx context.Context, waiting func(holder string)) (Hold, error)
}

// Hold is a source acquired.
type Hold interface {
	// Lost is closed when the source may have been taken by another.
	Lost() <-chan struct{}
	// Release lets a standby take over at once. It is called once for each Hold,
	// also after Lost: then it frees what the hold uses, and does not touch the
	// hold of whoever has the source now.
	Release()
}

// Past is what the stream holds of the subjects that a mapping makes.
type Past interface {
	// Last returns the payload last published on the subject before the entry
	// being mapped, counting what is on its way to the stream; ok is false if
	// there is none. For an entry that an earlier run has published in part,
	// its own messages do not count.
	Last(subject string) (data []byte, ok bool, err error)
}

// Mapper turns a change into messages. It is deterministic: the same change,
// the same messages in the same order (access, opening index records, events,
// closing index records). Calls come one at a time. An error ends the publisher,
// unless it wraps one of the Past: then the entry is mapped again later.
type Mapper interface {
	Map(e Entry) ([]Message, error)
	// Hash of the mapping, for positions.
	Hash() string
	// Forget empties the memory of followed tables: Load fills it anew.
	Forget()
	// Recall names the past that changes with Change.Recall are compared with;
	// without one, all of them count as changed.
	Recall(Past)
}
