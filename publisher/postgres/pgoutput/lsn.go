package pgoutput

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// LSN is a place in the write-ahead log, in bytes since its beginning. Zero is
// no place.
type LSN uint64

// String is the LSN as PostgreSQL prints it: "0/16B3748".
func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l)) }

// ParseLSN reads what String and PostgreSQL's pg_lsn print.
func ParseLSN(s string) (LSN, error) {
	high, low, ok := strings.Cut(s, "/")
	h, err1 := parseHalf(high)
	l, err2 := parseHalf(low)
	if !ok || err1 != nil || err2 != nil {
		return 0, fmt.Errorf("%q is not an LSN such as 0/16B3748", s)
	}
	return LSN(h<<32 | l), nil
}

func parseHalf(s string) (uint64, error) {
	if len(s) > 8 {
		return 0, strconv.ErrRange
	}
	return strconv.ParseUint(s, 16, 32)
}

// epoch is where PostgreSQL counts time from, in microseconds: 2000-01-01 UTC.
const epoch = 946_684_800_000_000

func fromMicroseconds(t int64) time.Time { return time.UnixMicro(t + epoch).UTC() }

func toMicroseconds(t time.Time) int64 { return t.UnixMicro() - epoch }
