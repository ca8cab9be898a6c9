package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/petpro/fabric/publisher"
)

// Run emits the change log from a place on; see publisher.Source. No
// transaction is open while emit runs, except for the followed tables at the
// start. It also ends, with an error that names them, when mapped tables or
// columns vanish or the file is replaced, and with publisher.ErrLost where
// triggers had been removed. At the end of ctx it returns ctx.Err().
func (s *Source) Run(ctx context.Context, from string, emit func(publisher.Entry) error) error {
	p, err := parsePlace(from)
	if err != nil {
		return s.failed("run", fmt.Errorf("%w: %w", publisher.ErrHalt, err))
	}
	c, err := openReader(ctx, s.cfg.Path)
	if err != nil {
		return s.ended(ctx, "run", err)
	}
	defer c.Close()
	s.pruner.begin()
	defer s.pruner.end()
	err = s.run(ctx, c, p, func(e publisher.Entry) error {
		if err := emit(e); err != nil {
			return emitError{err}
		}
		return nil
	})
	return s.ended(ctx, "run from "+from, err)
}

func (s *Source) run(ctx context.Context, c *connection, p place, emit func(publisher.Entry) error) error {
	// Before the first read, so that no write falls between the two.
	w, err := newWatch(s.cfg.Path, s.cfg.Poll)
	if err != nil {
		return err
	}
	defer w.close()
	if w.deaf != nil {
		s.log.Warn("the file system does not tell of writes: polling", "poll", s.cfg.Poll, "err", w.deaf)
	}
	t, err := s.newTail(ctx, c, p)
	if err != nil {
		return err
	}
	defer t.close()
	if err := t.verify(ctx); err != nil {
		return err
	}
	if err := s.loadAt(ctx, c, p, emit); err != nil {
		return err
	}
	for {
		if err := t.advance(ctx, emit); err != nil {
			return err
		}
		if err := w.alive(emit); err != nil {
			return err
		}
		if err := w.wait(ctx); err != nil {
			return err
		}
	}
}

// emitError tells errors of emit, which are returned as they are, from others.
type emitError struct{ error }

// ended is what a call returns that ended with err: the error of emit, the end
// of the context (which SQLite reports as an interruption), or what failed.
func (s *Source) ended(ctx context.Context, doing string, err error) error {
	if e, ok := errors.AsType[emitError](err); ok {
		return e.error
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.failed(doing, err)
}
