package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/petpro/fabric/publisher"
)

// tick is how often Run looks after itself while nothing happens: a sign of
// life, figures for the metrics, the tables. It is also the longest sleep, so
// a wake-up that got lost would cost that much.
const tick = 2 * time.Second

// Run emits the batch log from a place on, and what is moved into it; see
// publisher.Source. No transaction is open while emit runs, except for the
// followed tables at the start. It also ends, with an error that names them,
// when mapped tables or columns vanish or triggers are missing. At the end of
// ctx it returns ctx.Err().
func (s *Source) Run(ctx context.Context, from string, emit func(publisher.Entry) error) error {
	p, err := parsePlace(from)
	if err != nil {
		return s.failed("run", fmt.Errorf("%w: %w", publisher.ErrHalt, err))
	}
	s.pruner.begin()
	defer s.pruner.end()
	return s.withConn(ctx, "run from "+from, func(c *conn) error {
		return s.run(ctx, c, p, guarded(ctx, emit))
	})
}

func (s *Source) run(ctx context.Context, c *conn, from place, emit func(publisher.Entry) error) error {
	r, err := s.newReader(ctx, c)
	if err != nil {
		return err
	}
	if err := r.prepare(ctx); err != nil {
		return err
	}
	if err := r.begin(ctx, from); err != nil {
		return err
	}
	if err := r.load(ctx, from, emit); err != nil {
		return err
	}
	w, err := r.newWaiter(ctx)
	if err != nil {
		return err
	}
	ticked := time.Now()
	for {
		b, err := w.next(ctx, ticked.Add(tick))
		if err != nil {
			return err
		}
		if b != nil {
			if err := r.emit(ctx, b, from, emit); err != nil {
				return err
			}
		}
		if time.Since(ticked) < tick {
			continue
		}
		ticked = time.Now()
		if err := r.tick(ctx); err != nil {
			return err
		}
		if err := emit(publisher.Entry{}); err != nil {
			return err
		}
	}
}

// emit the entries of a batch from the place on.
func (r *reader) emit(ctx context.Context, b *batch, from place, emit func(publisher.Entry) error) error {
	if err := r.understood(ctx, b); err != nil {
		return err
	}
	first := 0
	if b.n == from.n {
		first = from.row
	}
	for i := first; i < len(b.layout); i++ {
		e, err := r.entry(b, i)
		if err != nil {
			return err
		}
		if err := emit(e); err != nil {
			return err
		}
	}
	r.passed(b)
	return nil
}

// prepare looks at the tables and the layouts.
func (r *reader) prepare(ctx context.Context) error {
	in, err := r.source.inspect(ctx, r.conn)
	if err != nil {
		return err
	}
	if err := in.serious(); err != nil {
		return fmt.Errorf("%w: %w", publisher.ErrHalt, err)
	}
	if r.decode == nil {
		r.decode, err = r.source.newDecoder(ctx, r.conn, in.catalog)
	} else {
		err = r.decode.refresh(ctx, r.conn, in.catalog)
	}
	r.setLayouts()
	return err
}

// tick looks whether the tables still fit, and counts what waits.
func (r *reader) tick(ctx context.Context) error {
	if time.Since(r.horizon.since) > horizonLife {
		r.horizon.reset()
	}
	if err := r.prepare(ctx); err != nil {
		return err
	}
	var waiting, batches int64
	var oldest float64
	if err := r.conn.QueryRow(ctx, r.source.queries.stats, r.horizon.floor).Scan(&waiting, &oldest, &batches); err != nil {
		return err
	}
	m := r.source.metrics
	m.waiting.Set(float64(waiting))
	m.oldest.Set(max(0, oldest))
	m.batches.Set(float64(batches))
	return nil
}

// understood makes sure that a batch can be read: a trigger that was made, or a
// column that was renamed, since the last look needs another.
func (r *reader) understood(ctx context.Context, b *batch) error {
	for i := range b.layout {
		if r.decode.layouts[b.layout[i]] == nil || b.op[i] != opTouch && b.named[i].Valid {
			return r.prepare(ctx)
		}
	}
	return nil
}
