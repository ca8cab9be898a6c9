package sqlite

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// place in the change log. "17/0" is change 17 itself, the form of all entries;
// "17/1" is behind it, the form of snapshots, which contain change 17.
type place struct {
	id     int64
	behind bool
}

func (p place) String() string {
	if p.behind {
		return strconv.FormatInt(p.id, 10) + "/1"
	}
	return strconv.FormatInt(p.id, 10) + "/0"
}

// next is the smallest id that Run emits from p.
func (p place) next() int64 {
	if p.behind {
		return p.id + 1
	}
	return p.id
}

func parsePlace(s string) (place, error) {
	id, side, _ := strings.Cut(s, "/")
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil || n < 0 || (side != "0" && side != "1") {
		return place{}, fmt.Errorf("place %q is not one of a SQLite change log, such as 17/0", s)
	}
	return place{id: n, behind: side == "1"}, nil
}

// Compare orders two places. What is no place of this source is before all.
func (s *Source) Compare(a, b string) int {
	return cmp.Compare(rank(a), rank(b))
}

func rank(s string) int64 {
	p, err := parsePlace(s)
	if err != nil {
		return -1
	}
	if p.behind {
		return 2*p.id + 1
	}
	return 2 * p.id
}
