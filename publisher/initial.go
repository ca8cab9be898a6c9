package publisher

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/petpro/fabric/subjects"
)

// unknown is what is not known of a source that is published anew: what
// happened behind a place, which the stream reached at a time, up to its present
// state.
type unknown struct {
	place string
	at    time.Time
}

// publishInitial publishes the present state of sources that were never
// published, or lost what was to be published next, and closes it with a
// fabric.position.
func (s *session) publishInitial(ctx context.Context) error {
	s.sink.quiet, s.initializing = true, true
	s.mapper.Forget()
	rooms, places := map[string]int{}, map[string]string{}
	for _, src := range s.fresh {
		begin := time.Now()
		place, err := s.snapshot(ctx, src, rooms)
		if err != nil {
			return err
		}
		places[src.Name()] = place
		s.log.Info("initial publication", "source", src.Name(), "place", place, "seq", s.sink.last, "took", time.Since(begin))
	}
	gone, err := s.revokeGone(ctx)
	if err != nil {
		return err
	}
	for name, place := range places {
		s.sink.pos.Sources[name] = Position{Place: place}
	}
	s.sink.quiet, s.sink.until = false, nil
	s.sink.pushPosition()
	if err := s.sink.send(s.doubt); err != nil {
		return err
	}
	s.report(rooms, gone)
	s.initializing, s.gaveWay = false, 0
	if len(s.lost) > 0 {
		s.renewed = time.Now()
	}
	clear(s.lost)
	clear(s.unknown)
	return nil
}

func (s *session) snapshot(ctx context.Context, src Source, rooms map[string]int) (place string, err error) {
	err = s.pumped(ctx, func(ctx context.Context, rows chan<- []outgoing) error {
		place, err = src.Snapshot(ctx, func(e Entry) error {
			msgs, err := s.mapEntry(src, e, about{})
			if err != nil {
				return err
			}
			for _, m := range msgs {
				if strings.HasSuffix(m.Subject, "."+subjects.AccessType) {
					rooms[src.Name()]++
				}
			}
			return s.handOver(ctx, rows, unrollInitial(src.Name(), e.Time, msgs), time.Now())
		})
		if err != nil && ctx.Err() == nil {
			return &sourceError{source: src.Name(), err: fmt.Errorf("snapshot: %w", err)}
		}
		return err
	})
	return place, err
}

// revokeGone takes away, under a new epoch, the access to rooms whose rows are
// gone, if sources with rows are published anew.
func (s *session) revokeGone(ctx context.Context) (gone int, err error) {
	source := s.freshRows()
	if s.epoch == 0 || source == "" {
		return 0, nil
	}
	err = s.pumped(ctx, func(ctx context.Context, rows chan<- []outgoing) error {
		gone, err = s.revoke(ctx, func(msgs []Message) error {
			return s.handOver(ctx, rows, unrollInitial(source, time.Time{}, msgs), time.Now())
		})
		return err
	})
	return gone, err
}

// freshRows names a source with rows that is published from its present state;
// empty if there is none.
func (s *session) freshRows() string {
	for _, src := range s.fresh {
		if i := s.cfg.index(src.Name()); i < 0 || s.cfg.Sources[i].Kind != KindIngest {
			return src.Name()
		}
	}
	return ""
}

// pumped publishes what fill hands over, until all of it is in the stream.
func (s *session) pumped(ctx context.Context, fill func(context.Context, chan<- []outgoing) error) error {
	rows := make(chan []outgoing, rowsWaiting)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(rows)
		return fill(ctx, rows)
	})
	g.Go(func() error { return s.pump(ctx, rows) })
	return g.Wait()
}

// unrollInitial gives messages the position of an initial publication under
// way.
func unrollInitial(source string, at time.Time, msgs []Message) []outgoing {
	out := make([]outgoing, len(msgs))
	for i := range msgs {
		out[i] = outgoing{message: &msgs[i], source: source, position: Position{Place: InitPlace}, time: at}
	}
	return out
}

// report tells what an epoch could not make up for.
func (s *session) report(rooms map[string]int, gone int) {
	s.metrics.revoked.Add(float64(gone))
	for _, src := range s.fresh {
		u, ok := s.unknown[src.Name()]
		if !ok {
			continue
		}
		between := time.Since(u.at)
		s.metrics.unknown.Add(between.Seconds())
		s.metrics.renewed.Add(float64(rooms[src.Name()]))
		s.log.Warn("source published anew: its present state is in the stream, what led to it is not",
			"source", src.Name(), "from", u.place, "to", s.sink.pos.Sources[src.Name()].Place, "between", between.Round(time.Second),
			"rooms", rooms[src.Name()], "rooms_gone", gone)
	}
}
