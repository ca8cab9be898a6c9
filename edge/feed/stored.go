package feed

import (
	"context"
	"fmt"
	"math"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/subjects"
)

// Stored implements hub.History. The stream is read forwards only, and a room
// holds at most keep messages of each type, so all of it is read.
func (f *Feed) Stored(ctx context.Context, gen uint64, room subjects.Room, before uint64, limit int) (msgs []*hub.Message, more bool, err error) {
	defer f.metrics.timed("stored")()
	if before == 0 {
		before = math.MaxUint64
	}
	doing := fmt.Sprintf("read %d events of %s before %d", limit, room, before)
	err = f.again(ctx, gen, doing, func(v hub.View) error {
		lasts, _, err := f.lasts(ctx, gen, []subjects.Room{room})
		if err != nil {
			return err
		}
		s := storedBefore{before: before, limit: limit, seen: map[string]uint64{}}
		if err := f.eachPage(ctx, room.Pattern(), s.visit(f, v.Epoch)); err != nil {
			return err
		}
		if !s.reached(lasts[room]) {
			return fmt.Errorf("%w: the replica that answered lags", errTorn)
		}
		msgs, more = s.events, s.more
		return nil
	})
	return msgs, more, err
}

// storedBefore keeps the newest events below a sequence.
type storedBefore struct {
	before uint64
	limit  int
	events []*hub.Message
	more   bool
	seen   map[string]uint64
}

func (s *storedBefore) visit(f *Feed, epoch string) func(stored) bool {
	return func(m stored) bool {
		if m.seq >= s.before {
			return false
		}
		s.seen[m.subject] = m.seq
		name, err := f.cfg.Kinds.Parse(m.subject)
		if err != nil || name.Class != subjects.Event {
			return true
		}
		s.events = append(s.events, f.decode.message(epoch, m))
		if len(s.events) > s.limit {
			s.events, s.more = s.events[1:], true
		}
		return true
	}
}

// reached reports whether everything that is known to be there was seen.
func (s *storedBefore) reached(lasts newest) bool {
	for _, l := range lasts {
		if l.Seq < s.before && s.seen[l.subject] < l.Seq {
			return false
		}
	}
	return true
}
