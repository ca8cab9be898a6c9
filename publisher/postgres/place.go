package postgres

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/petpro/fabric/publisher/pgdb"
)

// place in the log of one database cluster.
//
//	7a1f-1/0/16B3748/3       row 3 of the transaction whose commit record is at 0/16B3748
//	7a1f-1/0/16B3748/3+0.b1  what row 3, of a followed table, makes of the mapped row b1
//	7a1f-1/0/16B3748/-1      everything before 0/16B3748; a transaction may still commit there
//
// A transaction is named by the LSN at which its commit record begins: those
// LSNs rise in the order of commits, which is the order of the log. Rows are
// counted from 0 and whatever table of the publication they belong to, so that
// neither another mapping nor another reading counts differently.
type place struct {
	timeline
	lsn pgdb.LSN
	row int
	// touch is nil for the row itself.
	touch *touchPlace
}

// timeline says in which history an LSN means anything.
type timeline struct {
	// system is the low half of the last four bytes of the cluster's system
	// identifier: enough to notice that it is another cluster.
	system uint16
	// id changes when a standby is promoted or a backup recovered
	// (https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-TIMELINES).
	id uint32
}

// touchPlace names a Touch by what it is, not by a count: the rows that point
// to a followed row are read when the log is, and another reading may find
// others. They are read in the order of their keys, so that a restart goes on
// behind the last key whichever rows came or went before it.
type touchPlace struct {
	// query counts the queries that a change of a followed row gives rise to.
	query int
	// key of the mapped row.
	key string
}

// idleRow is the row of a place before a transaction.
const idleRow = -1

// idle says that everything before the place, and nothing at it, is done.
func (p place) idle() bool { return p.row == idleRow }

func (p place) String() string { return string(p.append(nil)) }

func (p place) append(b []byte) []byte {
	b = p.timeline.appendLSN(b, p.lsn)
	b = strconv.AppendInt(b, int64(p.row), 10)
	if p.touch != nil {
		b = strconv.AppendInt(append(b, '+'), int64(p.touch.query), 10)
		b = append(append(b, '.'), url.QueryEscape(p.touch.key)...)
	}
	return b
}

// appendLSN writes what the places of one transaction have in common.
func (t timeline) appendLSN(b []byte, lsn pgdb.LSN) []byte {
	b = strconv.AppendUint(b, uint64(t.system), 16)
	b = strconv.AppendUint(append(b, '-'), uint64(t.id), 10)
	b = append(append(b, '/'), lsn.String()...)
	return append(b, '/')
}

var errPlace = errors.New("not a place of a PostgreSQL log such as 7a1f-1/0/16B3748/3")

func parsePlace(s string) (place, error) {
	history, rest, _ := strings.Cut(s, "/")
	system, id, ok := strings.Cut(history, "-")
	i := strings.LastIndexByte(rest, '/')
	if !ok || i < 0 {
		return place{}, fmt.Errorf("place %q: %w", s, errPlace)
	}
	sys, err1 := strconv.ParseUint(system, 16, 16)
	tl, err2 := strconv.ParseUint(id, 10, 32)
	lsn, err3 := pgdb.ParseLSN(rest[:i])
	row, touch, touched := strings.Cut(rest[i+1:], "+")
	n, err4 := strconv.Atoi(row)
	p := place{timeline: timeline{uint16(sys), uint32(tl)}, lsn: lsn, row: n}
	var err5 error
	if touched {
		p.touch, err5 = parseTouch(touch)
	}
	if errors.Join(err1, err2, err3, err4, err5) != nil || n < idleRow || p.idle() && touched {
		return place{}, fmt.Errorf("place %q: %w", s, errPlace)
	}
	return p, nil
}

func parseTouch(s string) (*touchPlace, error) {
	number, escaped, ok := strings.Cut(s, ".")
	query, err1 := strconv.Atoi(number)
	key, err2 := url.QueryUnescape(escaped)
	if !ok || query < 0 || errors.Join(err1, err2) != nil {
		return nil, errPlace
	}
	return &touchPlace{query, key}, nil
}

// compare orders places of one history.
func (p place) compare(q place) int {
	if c := cmp.Or(cmp.Compare(p.lsn, q.lsn), cmp.Compare(p.row, q.row)); c != 0 {
		return c
	}
	switch {
	case p.touch == nil && q.touch == nil:
		return 0
	case p.touch == nil:
		return -1
	case q.touch == nil:
		return 1
	}
	return cmp.Or(cmp.Compare(p.touch.query, q.touch.query), cmp.Compare(p.touch.key, q.touch.key))
}

// Compare orders two places, whatever their timelines: whether the log still
// contains a place is for Run to judge. What is no place is before all.
func (s *Source) Compare(a, b string) int {
	p, perr := parsePlace(a)
	q, qerr := parsePlace(b)
	switch {
	case perr != nil && qerr != nil:
		return 0
	case perr != nil:
		return -1
	case qerr != nil:
		return 1
	}
	return p.compare(q)
}
