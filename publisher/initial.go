package publisher

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// publishInitial publishes the present state of sources that were never
// published, and closes it with a fabric.position.
func (s *session) publishInitial(ctx context.Context) error {
	s.sink.quiet, s.initializing = true, true
	s.mapper.Forget()
	for _, src := range s.fresh {
		begin := time.Now()
		place, err := s.snapshot(ctx, src)
		if err != nil {
			return err
		}
		s.sink.pos.Sources[src.Name()] = Position{Place: place}
		s.log.Info("initial publication", "source", src.Name(), "place", place, "seq", s.sink.last, "took", time.Since(begin))
	}
	s.sink.quiet, s.sink.until = false, nil
	s.sink.pushPosition()
	if err := s.sink.send(ctx); err != nil {
		return err
	}
	s.initializing, s.gaveWay = false, 0
	clear(s.lost)
	return nil
}

func (s *session) snapshot(ctx context.Context, src Source) (place string, err error) {
	rows := make(chan []outgoing, rowsWaiting)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(rows)
		place, err = src.Snapshot(ctx, func(e Entry) error {
			msgs, err := s.mapEntry(src, e)
			if err != nil || len(msgs) == 0 {
				return err
			}
			out := unroll(src.Name(), InitPlace, e.Time, msgs, 0)
			for i := range out {
				out[i].position = Position{Place: InitPlace}
			}
			return handOver(ctx, rows, out)
		})
		if err != nil && ctx.Err() == nil {
			return &sourceError{source: src.Name(), err: fmt.Errorf("snapshot: %w", err)}
		}
		return err
	})
	g.Go(func() error { return s.pump(ctx, rows) })
	if err := g.Wait(); err != nil {
		return "", err
	}
	return place, nil
}
