package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
	"github.com/petpro/fabric/publisher/postgres/pgoutput"
)

// Run emits the log from a place on; see publisher.Source. At the end of ctx it
// returns ctx.Err().
func (s *Source) Run(ctx context.Context, from string, emit func(publisher.Entry) error) error {
	p, err := parsePlace(from)
	if err != nil {
		return s.failed("run", fmt.Errorf("%w: %w", publisher.ErrHalt, err))
	}
	run, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { cancel((&watch{s: s}).run(run)) })
	err = s.run(run, p, func(e publisher.Entry) error {
		if err := emit(e); err != nil {
			return emitError{err}
		}
		return nil
	})
	if cause := context.Cause(run); cause != nil && errors.Is(err, context.Canceled) {
		err = cause
	}
	cancel(nil)
	watching.Wait()
	s.queries.close()
	return s.ended(ctx, "run from "+from, err)
}

// emitError tells errors of emit, which are returned as they are, from others.
type emitError struct{ error }

// ended is what a call returns that ended with err: the error of emit, the end
// of the context, or what failed.
func (s *Source) ended(ctx context.Context, doing string, err error) error {
	if e, ok := errors.AsType[emitError](err); ok {
		return e.error
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.failed(doing, pgdb.Translate(err))
}

func (s *Source) run(ctx context.Context, from place, emit func(publisher.Entry) error) error {
	b, err := s.binder(ctx)
	if err != nil {
		return err
	}
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close() // unless a stream has it by then
	history, err := s.judge(ctx, c, from)
	if err != nil {
		return err
	}
	undone, err := s.loadAt(ctx, c, newWalk(b, history, from), emit)
	if err != nil {
		return err
	}
	if undone { // which took the connection
		if c, err = s.connect(ctx); err != nil {
			return err
		}
		defer c.Close()
	}
	stream, err := s.start(ctx, c, from)
	if err != nil {
		return err
	}
	defer s.end(stream)
	// Only now nobody else can confirm anything.
	if err := s.judgeSlot(ctx, from); err != nil {
		return err
	}
	return s.tail(ctx, stream, newWalk(b, history, from), emit)
}

// binder reads the catalog, for what has to be known of the tables is theirs.
func (s *Source) binder(ctx context.Context) (binder, error) {
	b := binder{plan: s.plan, read: func() (*pgdb.Catalog, error) { return s.readCatalog(ctx) }}
	if err := b.refresh(); err != nil {
		return b, err
	}
	for _, t := range s.plan.sorted() {
		if b.catalog.Tables[t.name] == nil {
			return b, t.missing(s.mapping.Relation(t.name))
		}
	}
	return b, nil
}

// missing says that there is no such table.
func (t *table) missing(relation string) error {
	return fmt.Errorf("%w: there is no table %s any more; name the right one in the mapping (%s.from) and start again", publisher.ErrHalt, relation, t.name)
}

func (s *Source) readCatalog(ctx context.Context) (catalog *pgdb.Catalog, err error) {
	err = s.queries.do(ctx, func(conn *pgx.Conn) (err error) {
		if err := conn.QueryRow(ctx, "SELECT pg_catalog.current_database()").Scan(&s.database); err != nil {
			return err
		}
		catalog, err = pgdb.ReadCatalog(ctx, conn, s.mapping)
		return err
	})
	return catalog, err
}

// start begins to stream on c once nobody else uses the slot.
func (s *Source) start(ctx context.Context, c *pgoutput.Conn, from place) (*pgoutput.Stream, error) {
	if err := s.freeSlot(ctx); err != nil {
		return nil, err
	}
	stream, err := c.Start(ctx, s.cfg.Slot, s.cfg.Publication, pgoutput.LSN(from.lsn))
	if err != nil {
		return nil, s.diagnose(ctx, err)
	}
	return stream, nil
}

// end ends a stream; a slot that it could not free is waited for by the next
// start.
func (s *Source) end(stream *pgoutput.Stream) {
	if err := stream.Close(); err != nil {
		s.log.Debug("the stream was not ended in good order", "err", err)
	}
}

// receive returns the next message.
func (s *Source) receive(ctx context.Context, stream *pgoutput.Stream) (pgoutput.Message, error) {
	m, err := stream.Receive()
	if err != nil {
		return nil, s.diagnose(ctx, err)
	}
	return m, nil
}

// diagnose says what an error of replication means.
func (s *Source) diagnose(ctx context.Context, err error) error {
	var failed *pgoutput.Error
	switch state := pgdb.State(err); {
	case ctx.Err() != nil:
		return ctx.Err()
	case state == undefinedObject && errors.As(err, &failed) && failed.Phase == pgoutput.Streaming:
		return lostf("publication %s was dropped, or made after what is to be published was written (%w)", s.cfg.Publication, err)
	case state == undefinedObject, state == fileMissing:
		return lostf("replication slot %s: %w", s.cfg.Slot, err)
	case state == notReady:
		// Invalidated, most likely: the server's catalog has the better words.
		if err := s.judgeSlot(ctx, place{lsn: ^pgdb.LSN(0)}); err != nil {
			return err
		}
	case errors.Is(err, pgoutput.ErrSilent), errors.Is(err, pgoutput.ErrEnded):
		return fmt.Errorf("%w: %w", publisher.ErrAway, err)
	}
	return pgdb.Translate(err)
}
