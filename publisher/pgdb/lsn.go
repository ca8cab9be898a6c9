package pgdb

import (
	"fmt"
	"strconv"
	"strings"
)

// LSN is a place in the write-ahead log, a count of bytes
// (https://www.postgresql.org/docs/current/datatype-pg-lsn.html).
type LSN uint64

// ParseLSN reads "0/16B3748".
func ParseLSN(s string) (LSN, error) {
	high, low, ok := strings.Cut(s, "/")
	h, err1 := strconv.ParseUint(high, 16, 32)
	l, err2 := strconv.ParseUint(low, 16, 32)
	if !ok || err1 != nil || err2 != nil {
		return 0, fmt.Errorf("%q is no LSN like 0/16B3748", s)
	}
	return LSN(h<<32 | l), nil
}

// String writes it as PostgreSQL does: "0/16B3748".
func (l LSN) String() string {
	b := make([]byte, 0, 17)
	b = strconv.AppendUint(b, uint64(l)>>32, 16)
	b = append(b, '/')
	b = strconv.AppendUint(b, uint64(l)&0xffffffff, 16)
	return strings.ToUpper(string(b))
}
