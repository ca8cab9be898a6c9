package outbox

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher/pgdb"
)

// conn is a connection, direct or through a pooler.
type conn struct {
	*pgx.Conn
	// pooled is true if nothing of the session survives a transaction.
	pooled bool
}

// closeWait bounds the farewell to a server that does not answer.
const closeWait = time.Second

// connect opens a connection of the kind that the way to the server allows.
func (s *Source) connect(ctx context.Context) (*conn, error) {
	pooled, err := s.pooling(ctx)
	if err != nil {
		return nil, err
	}
	c, err := pgdb.Connect(ctx, s.cfg.DSN, pgdb.Options{Application: "fabric " + s.name, Pooled: pooled})
	if err != nil {
		return nil, err
	}
	return &conn{c, pooled}, nil
}

// pooling finds out once whether there is a pooler. One in session mode counts
// too: it refuses the settings of a direct connection.
func (s *Source) pooling(ctx context.Context) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.asked {
		mode, err := pgdb.Pooling(ctx, s.cfg.DSN)
		if err != nil {
			return false, err
		}
		s.pooled, s.asked = mode != pgdb.Direct, true
		if s.pooled {
			s.log.Info("polling, for LISTEN does not work through a pooler", "mode", mode.String(), "poll", s.cfg.Poll)
		}
	}
	return s.pooled, nil
}

func (c *conn) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	_ = c.Close(ctx)
}

// withConn lends a connection to f, and says what failed.
func (s *Source) withConn(ctx context.Context, doing string, f func(*conn) error) error {
	c, err := s.connect(ctx)
	if err == nil {
		defer c.close()
		err = f(c)
	}
	return s.ended(ctx, doing, err)
}

// ended is what a call returns that ended with err: the error of emit, the end
// of the context, or what failed.
func (s *Source) ended(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[emitError](err); ok {
		return e.error
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.failed(doing, err)
}

// SQLSTATEs that are dealt with here
// (https://www.postgresql.org/docs/current/errcodes-appendix.html).
const (
	uniqueViolation      = "23505"
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	undefinedTable       = "42P01"
	undefinedSchema      = "3F000"
	invalidText          = "22P02"
	outOfRange           = "22003"
)

// collided says whether a statement failed because another publisher did the
// same at that moment.
func collided(err error) bool {
	switch pgdb.State(err) {
	case uniqueViolation, serializationFailure, deadlockDetected:
		return true
	}
	return false
}
