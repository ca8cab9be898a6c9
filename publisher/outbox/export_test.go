package outbox

import "strings"

// LimitBatch makes batches of so many rows.
func (s *Source) LimitBatch(rows string) {
	s.queries.move = strings.ReplaceAll(s.queries.move, "LIMIT 1000", "LIMIT "+rows)
}

// ParsePlace takes a place apart.
func ParsePlace(s string) (n int64, row int) {
	p, err := parsePlace(s)
	if err != nil {
		panic(err)
	}
	return p.n, p.row
}
