package protocol

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// MaxCursor is the longest cursor in bytes.
const MaxCursor = 64

// ErrCursor is returned for a cursor that does not parse. Clients get CodeCursor.
var ErrCursor = errors.New("cursor not understood")

// Cursor is a place in the stream. Clients keep it as an opaque string:
// "<epoch>-<sequence>-<stream time of that message, µs, base 36>".
type Cursor struct {
	// Epoch names the history the sequence belongs to.
	Epoch string
	// Seq is the stream sequence up to which the holder has everything.
	Seq uint64
	// Time of message Seq in the stream, microseconds since 1970. A sequence
	// that was given away twice (a truncated stream grown again) is found out
	// by it.
	Time int64
}

// ParseCursor reads a cursor. It returns ErrCursor for anything that
// Cursor.String would not have written.
func ParseCursor(s string) (Cursor, error) {
	if len(s) > MaxCursor {
		return Cursor{}, fmt.Errorf("%w: longer than %d bytes", ErrCursor, MaxCursor)
	}
	epoch, rest, ok := strings.Cut(s, "-")
	seq, at, ok2 := strings.Cut(rest, "-")
	if !ok || !ok2 || !isEpoch(epoch) {
		return Cursor{}, ErrCursor
	}
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil {
		return Cursor{}, ErrCursor
	}
	t, err := strconv.ParseInt(at, 36, 64)
	if err != nil {
		return Cursor{}, ErrCursor
	}
	c := Cursor{Epoch: epoch, Seq: n, Time: t}
	if c.String() != s {
		return Cursor{}, ErrCursor
	}
	return c, nil
}

func isEpoch(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != "" && len(s) <= 24
}

// String is what a client is given.
func (c Cursor) String() string { return string(c.Append(make([]byte, 0, MaxCursor))) }

// Append writes the cursor without allocating.
func (c Cursor) Append(dst []byte) []byte {
	dst = append(dst, c.Epoch...)
	dst = append(dst, '-')
	dst = strconv.AppendUint(dst, c.Seq, 10)
	dst = append(dst, '-')
	return appendBase36(dst, c.Time)
}

// appendBase36 is strconv.AppendInt for a base it has no fast path for; the
// cursor would be half of an event's cost otherwise.
func appendBase36(dst []byte, n int64) []byte {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyz"
	u := uint64(n)
	if n < 0 {
		dst = append(dst, '-')
		u = -u
	}
	var b [13]byte // 36^13 > 2^64
	i := len(b)
	for {
		i--
		b[i] = digits[u%36]
		if u /= 36; u == 0 {
			return append(dst, b[i:]...)
		}
	}
}

// IsZero reports whether c is no cursor at all.
func (c Cursor) IsZero() bool { return c.Epoch == "" }
