package pgoutput

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// closeTime bounds each of the waits when a stream or a connection is closed.
const closeTime = 2 * time.Second

// patience is how long the server may take to end the copy by itself. In the
// middle of a large transaction it does not: then it is interrupted.
const patience = 300 * time.Millisecond

// Close tells the server what was confirmed last, ends the stream and closes
// the connection. If it returns nil the slot is free; else, or if Receive found
// the connection broken, the server frees it within Options.Timeout. It takes a
// few seconds at most.
func (s *Stream) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	close(s.stop)
	s.reporting.Wait()
	defer s.conn.Close()
	broken := s.wire.broken || errors.Is(s.err, ErrSilent)
	if s.err == nil {
		s.err = &Error{Phase: Streaming, Slot: s.slot, Err: net.ErrClosed}
	}
	if broken {
		return nil
	}
	if err := s.endCopy(); err != nil {
		return &Error{Phase: Closing, Slot: s.slot, Err: err}
	}
	return nil
}

// endCopy leaves the copy in good order (§55.2.6).
func (s *Stream) endCopy() error {
	if s.ended {
		// By an error, after which the server has yet to let go of the slot, or by
		// its own end.
		return s.drain(closeTime)
	}
	done, err := (&pgproto3.CopyDone{}).Encode(s.appendStatus(nil, false))
	if err != nil {
		return err
	}
	if err := s.write(done); err != nil {
		return err
	}
	err = s.drain(patience)
	if errors.Is(err, ErrSilent) {
		if err = s.cancel(); err == nil {
			err = s.drain(closeTime)
		}
	}
	if err != nil {
		return err
	}
	bye, err := (&pgproto3.Terminate{}).Encode(nil)
	if err != nil {
		return err
	}
	return s.write(bye)
}

// cancel interrupts what the server is at.
func (s *Stream) cancel() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if err := s.pg.CancelRequest(ctx); err != nil {
		return fmt.Errorf("cancel: %w", err)
	}
	return nil
}

// drain reads to the end of the command, by which the server has let go of the
// slot, for so long.
func (s *Stream) drain(limit time.Duration) error {
	s.wire.until(time.Now().Add(limit))
	for {
		m, err := s.frontend.Receive()
		if s.wire.broken {
			return nil // the walsender is gone, which it is after a fatal error
		}
		if err != nil {
			return err
		}
		if _, ok := m.(*pgproto3.ReadyForQuery); ok {
			return nil
		}
	}
}
