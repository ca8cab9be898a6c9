package pgoutput

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Stream is a connection that receives changes. Receive and Close are called
// from one goroutine, Confirm from any.
type Stream struct {
	// Static after Start.
	slot     string
	opts     Options
	conn     net.Conn
	wire     *wire
	frontend *pgproto3.Frontend
	pg       *pgconn.PgConn // hijacked; only for CancelRequest

	// Owned by the goroutine of Receive and Close.
	decoder   Decoder
	keepalive Keepalive
	told      LSN   // by the last status; before Close of report
	err       error // what Receive returns from now on
	ended     bool  // the server has ended the copy
	closed    bool

	// Between that goroutine, those of Confirm, and the one of report.
	received  atomic.Uint64 // LSN up to which all was received
	confirmed atomic.Uint64 // LSN of Confirm
	due       chan struct{} // holds one: a status is wanted at once
	stop      chan struct{}
	reporting sync.WaitGroup
}

// Start streams what commits at from or behind it, or behind what the slot has
// confirmed if that is later, of the tables in the publication. ctx ends the
// stream, also after Start returned. The Conn must not be used any more,
// whether Start fails or not, except to Close it. SQLSTATE 42704: no such slot;
// 55006: it is in use; 55000: it is invalid, or its log is gone. A publication
// that is missing is found at the first change only (Receive: 42704).
func (c *Conn) Start(ctx context.Context, slot, publication string, from LSN) (*Stream, error) {
	s, err := c.start(ctx, slot, publication, from)
	if err != nil {
		return nil, c.fail(ctx, Starting, slot, err)
	}
	s.reporting.Go(func() { s.report(ctx) })
	return s, nil
}

func (c *Conn) start(ctx context.Context, slot, publication string, from LSN) (*Stream, error) {
	c.pg.Frontend().SendQuery(&pgproto3.Query{String: startCommand(slot, publication, from)})
	if err := c.pg.Frontend().Flush(); err != nil {
		return nil, err
	}
	if err := c.awaitCopy(ctx); err != nil {
		return nil, err
	}
	raw, err := c.pg.Hijack()
	if err != nil {
		return nil, err
	}
	s := &Stream{
		slot:     slot,
		opts:     c.opts,
		conn:     raw.Conn,
		wire:     c.wire,
		frontend: raw.Frontend,
		pg:       c.pg,
		due:      make(chan struct{}, 1),
		stop:     make(chan struct{}),
	}
	c.pg = nil
	s.wire.listen(s.conn, s.opts.Silence)
	return s, nil
}

// startCommand names the publication as an identifier (the server splits the
// option at commas and folds it to lower case) inside a literal.
func startCommand(slot, publication string, from LSN) string {
	literal := "'" + strings.ReplaceAll(quote(publication), "'", "''") + "'"
	return fmt.Sprintf("START_REPLICATION SLOT %s LOGICAL %s (proto_version '1', publication_names %s)",
		quote(slot), from, literal)
}

func (c *Conn) awaitCopy(ctx context.Context) error {
	for {
		m, err := c.pg.ReceiveMessage(ctx)
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *pgproto3.CopyBothResponse:
			return nil
		case *pgproto3.ErrorResponse:
			return pgconn.ErrorResponseToPgError(m)
		case *pgproto3.NoticeResponse, *pgproto3.ParameterStatus:
		default:
			return fmt.Errorf("the server answers with %T", m)
		}
	}
}

// Receive waits for the next message. It returns the error of the context given
// to Start as soon as that ends. After an error it returns the same again.
func (s *Stream) Receive() (Message, error) {
	if s.err != nil {
		return nil, s.err
	}
	m, err := s.receive()
	if err != nil {
		s.err = s.fail(err)
	}
	return m, s.err
}

func (s *Stream) receive() (Message, error) {
	data, err := s.copyData()
	if err != nil {
		return nil, err
	}
	return s.unwrap(data)
}

// fail makes an Error. Those of contexts stay as they are: they got here by
// wire.interrupt.
func (s *Stream) fail(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &Error{Phase: Streaming, Slot: s.slot, Err: err}
}

// copyData returns the next piece of the copy.
func (s *Stream) copyData() ([]byte, error) {
	for {
		m, err := s.frontend.Receive()
		if err != nil {
			return nil, err
		}
		switch m := m.(type) {
		case *pgproto3.CopyData:
			return m.Data, nil
		case *pgproto3.ErrorResponse:
			s.ended = true
			return nil, pgconn.ErrorResponseToPgError(m)
		case *pgproto3.CopyDone, *pgproto3.CommandComplete:
			s.ended = true
			return nil, ErrEnded
		case *pgproto3.NoticeResponse, *pgproto3.ParameterStatus:
		default:
			return nil, fmt.Errorf("the server sends %T in a copy", m)
		}
	}
}

// Sizes of the two wrappers (§55.4), with their type.
const (
	sizeXLogData  = 1 + 8 + 8 + 8
	sizeKeepalive = 1 + 8 + 8 + 1
)

func (s *Stream) unwrap(data []byte) (Message, error) {
	switch {
	case len(data) >= sizeXLogData && data[0] == 'w':
		s.saw(LSN(binary.BigEndian.Uint64(data[1:])))
		return s.decoder.Decode(data[sizeXLogData:])
	case len(data) == sizeKeepalive && data[0] == 'k':
		s.keepalive = Keepalive{
			End:  LSN(binary.BigEndian.Uint64(data[1:])),
			Time: fromMicroseconds(int64(binary.BigEndian.Uint64(data[9:]))),
		}
		s.saw(s.keepalive.End)
		if data[17] != 0 {
			s.wake()
		}
		return &s.keepalive, nil
	}
	return nil, fmt.Errorf("%d bytes that are neither XLogData nor a keepalive", len(data))
}

// saw notes what was received. Only Receive's goroutine writes it.
func (s *Stream) saw(l LSN) {
	if uint64(l) > s.received.Load() {
		s.received.Store(uint64(l))
	}
}
