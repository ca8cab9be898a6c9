package publisher

import (
	"context"
	"errors"
)

// ErrLost is returned by Source.Run when the source no longer has what follows
// the place it was asked to start from. What happens then is Config.OnLost.
var ErrLost = errors.New("the source no longer has what follows the position")

// ErrHalt is wrapped by errors of a source or mapper that trying again does not
// mend, such as a mapped column that was dropped: the publisher ends with it.
// After any other error the source is run again.
var ErrHalt = errors.New("publishing cannot go on")

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
	// ctx ends or emit fails. emit may block: that is the back-pressure.
	// Returns ErrLost if entries behind from are gone.
	Run(ctx context.Context, from string, emit func(Entry) error) error

	// Confirm says that everything up to place, included, is safe in the
	// stream, and may be forgotten, the entry at place itself excepted.
	Confirm(ctx context.Context, place string) error

	// Compare orders two places: <0 if a is before b.
	Compare(a, b string) int
}

// Mapper turns a change into messages. It is deterministic: the same change,
// the same messages in the same order (access, opening index records, events,
// closing index records). Calls come one at a time. An error ends the publisher.
type Mapper interface {
	Map(e Entry) ([]Message, error)
	// Hash of the mapping, for positions.
	Hash() string
	// Forget empties the memory of followed tables: Load fills it anew.
	Forget()
}
