package pgoutput

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// readBuffer is how much one system call reads at most. The server sends pieces
// of 8 KiB; when we lag behind it, several are there at once.
const readBuffer = 64 << 10

// wire is the reading end of a connection, whose reads can be interrupted and
// have a deadline each.
type wire struct {
	buffer *bufio.Reader
	from   io.Reader

	// broken is set when a read failed for good. Owned by the reader.
	broken bool

	mu sync.Mutex
	// Guarded by mu. Until listen conn is nil, and all is left to pgconn. Reads
	// have time until the moment, or so long each if that is zero.
	conn    net.Conn
	silence time.Duration
	moment  time.Time
	cause   error
}

func newWire(from io.Reader) *wire {
	w := &wire{from: from}
	w.buffer = bufio.NewReaderSize(w, readBuffer)
	return w
}

// listen gives every read from now on so much time.
func (w *wire) listen(conn net.Conn, silence time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn, w.silence = conn, silence
}

// until gives all reads from now on time until one moment. It undoes interrupt.
func (w *wire) until(moment time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moment, w.cause = moment, nil
}

// interrupt ends the read under way, and all others, with cause. It may be
// called from any goroutine.
func (w *wire) interrupt(cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause == nil {
		w.cause = cause
		w.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// Read returns the cause of interrupt, or ErrSilent, if nothing came in time.
func (w *wire) Read(p []byte) (int, error) {
	if err := w.arm(); err != nil {
		return 0, err
	}
	n, err := w.from.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return n, w.missed(err)
	}
	w.broken = w.broken || err != nil
	return n, err
}

func (w *wire) arm() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn == nil {
		return nil
	}
	if w.cause != nil {
		return w.cause
	}
	deadline := w.moment
	if deadline.IsZero() {
		deadline = time.Now().Add(w.silence)
	}
	return w.conn.SetReadDeadline(deadline)
}

// missed tells why a deadline passed.
func (w *wire) missed(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.conn == nil:
		return err
	case w.cause != nil:
		return w.cause
	default:
		return ErrSilent
	}
}
