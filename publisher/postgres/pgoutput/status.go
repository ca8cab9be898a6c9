package pgoutput

import (
	"context"
	"encoding/binary"
	"time"
)

// statusesPerTimeout is how often the server hears of us, and we of it: each
// status asks for a keepalive.
const statusesPerTimeout = 10

// Confirm says that nothing before l is needed again: the server may forget
// what committed before l, and the slot starts there the next time. It goes to
// the server with the next status, and with Close. A smaller l than before has
// no effect.
func (s *Stream) Confirm(l LSN) {
	for {
		old := s.confirmed.Load()
		if uint64(l) <= old || s.confirmed.CompareAndSwap(old, uint64(l)) {
			return
		}
	}
}

// wake has a status sent at once.
func (s *Stream) wake() {
	select {
	case s.due <- struct{}{}:
	default: // one is due already
	}
}

// report sends a status every tenth of the timeout, and when one is due, until
// Close. It does so in a goroutine of its own because whoever calls Receive may
// be busy with a message for longer than the server waits.
func (s *Stream) report(ctx context.Context) {
	tick := time.NewTicker(s.opts.Timeout / statusesPerTimeout)
	defer tick.Stop()
	var buf []byte
	for {
		ping := false
		select {
		case <-ctx.Done():
			s.wire.interrupt(ctx.Err())
			return
		case <-s.stop:
			return
		case <-tick.C:
			ping = true
		case <-s.due:
		}
		buf = s.appendStatus(buf[:0], ping)
		if err := s.write(buf); err != nil {
			s.wire.interrupt(err)
			return
		}
	}
}

// writeTime is how long the kernel may take for a status. It has room for
// hundreds, unless the server has stopped to read them.
const writeTime = 2 * time.Second

func (s *Stream) write(b []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	_, err := s.conn.Write(b)
	return err
}

// appendStatus appends the Standby status update messages that are due
// (§55.4).
//
// What was confirmed is told once, when it is new; all other statuses leave it
// open how much was flushed. A server that is shutting down waits until its
// clients have flushed all that was sent, and with synchronous_standby_names
// '*' every commit would wait for the same. But what we confirm is what is safe
// in the stream, and that can be minutes behind: where nothing is said the
// server makes do with what was received.
func (s *Stream) appendStatus(buf []byte, ping bool) []byte {
	received := LSN(s.received.Load())
	if l := LSN(s.confirmed.Load()); l != s.told {
		s.told = l
		buf = appendStatus(buf, max(received, l), l, false)
	}
	return appendStatus(buf, received, 0, ping)
}

func appendStatus(buf []byte, received, flushed LSN, ping bool) []byte {
	const size = 1 + 8 + 8 + 8 + 8 + 1
	buf = append(buf, 'd')
	buf = binary.BigEndian.AppendUint32(buf, 4+size)
	buf = append(buf, 'r')
	buf = binary.BigEndian.AppendUint64(buf, uint64(received))
	buf = binary.BigEndian.AppendUint64(buf, uint64(flushed)) // 0: not said
	buf = binary.BigEndian.AppendUint64(buf, uint64(flushed)) // applied
	buf = binary.BigEndian.AppendUint64(buf, uint64(toMicroseconds(time.Now())))
	if ping {
		return append(buf, 1)
	}
	return append(buf, 0)
}
