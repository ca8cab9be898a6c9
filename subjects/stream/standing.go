package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/subjects"
)

// Standing is where a stream stands: its end, and the newest word on how far
// the sources have been published.
type Standing struct {
	// Last is the stream's last sequence, what Append expects; 0 if the stream
	// is empty.
	Last uint64
	// Position is the newest Fabric-Position header; empty if nothing has been
	// published yet. Seq and Time are those of the message that carries it.
	Position string
	Seq      uint64
	Time     time.Time
	// Now is the leader's clock, by which Time is, when it answered.
	Now time.Time
	// Foreign counts the messages found behind it, which somebody else must
	// have written: the publisher sends none without the header.
	Foreign int
}

// Standing reads where the stream stands. Usually that is in the header of its
// last message. If somebody else has written behind the publisher, the stream
// is read back from its end, at most to the newest fabric.position. readable
// tells positions from what somebody else put into the header; nil takes all.
func (l Leader) Standing(ctx context.Context, readable func(position string) bool) (Standing, error) {
	state, err := l.State(ctx)
	if err != nil {
		return Standing{}, err
	}
	s := Standing{Last: state.Last, Now: state.Now}
	accept := func(m *jetstream.RawStreamMsg) bool {
		pos := m.Header.Get(subjects.PositionHeader)
		if pos == "" || readable != nil && !readable(pos) {
			return false
		}
		s.Position, s.Seq, s.Time = pos, m.Sequence, m.Time
		return true
	}
	newest, err := l.Last(ctx, ">")
	if errors.Is(err, ErrNotFound) {
		return s, nil
	}
	if err != nil {
		return Standing{}, err
	}
	if accept(newest) {
		return s, nil
	}
	floor := max(state.First, 1)
	progress, err := l.Last(ctx, subjects.PositionSubject)
	switch {
	case err == nil:
		floor = progress.Sequence
	case !errors.Is(err, ErrNotFound):
		return Standing{}, err
	}
	for seq := newest.Sequence; seq >= floor; seq-- {
		m, err := l.Get(ctx, seq)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return Standing{}, fmt.Errorf("look for the newest %s: %w", subjects.PositionHeader, err)
		}
		if accept(m) {
			return s, nil
		}
		if m.Subject != subjects.EpochSubject {
			s.Foreign++
		}
	}
	return s, nil
}
