package outbox

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// place in the batch log: entry row of batch n. A batch has a random tag, so
// that a batch 17 that was made after a restore from a backup, or after the
// outbox was removed and made again, is not taken for the former batch 17.
type place struct {
	n   int64
	tag string
	row int
}

// String writes "17-4f2a91c0/3".
func (p place) String() string {
	b := make([]byte, 0, 32)
	b = append(strconv.AppendInt(b, p.n, 10), '-')
	b = append(append(b, p.tag...), '/')
	return string(strconv.AppendInt(b, int64(p.row), 10))
}

func parsePlace(s string) (place, error) {
	batch, row, ok := strings.Cut(s, "/")
	number, tag, tagged := strings.Cut(batch, "-")
	n, err1 := strconv.ParseInt(number, 10, 64)
	i, err2 := strconv.Atoi(row)
	if !ok || !tagged || err1 != nil || err2 != nil || n < 0 || i < 0 {
		return place{}, fmt.Errorf("place %q is not one of an outbox, such as 17-4f2a91c0/3", s)
	}
	return place{n: n, tag: tag, row: i}, nil
}

// Compare orders two places. What is no place of this source is before all.
func (s *Source) Compare(a, b string) int {
	x, errX := parsePlace(a)
	y, errY := parsePlace(b)
	if errX != nil || errY != nil {
		return cmp.Compare(valid(errX), valid(errY))
	}
	return cmp.Or(cmp.Compare(x.n, y.n), cmp.Compare(x.row, y.row))
}

func valid(err error) int {
	if err == nil {
		return 1
	}
	return 0
}
