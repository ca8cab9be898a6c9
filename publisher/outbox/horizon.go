package outbox

import (
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// horizonLife is how often a look begins at the beginning nevertheless: if
// somebody put a row there by hand, it is found.
const horizonLife = 30 * time.Second

// horizon finds an id up to which the outbox is empty for good, so that a look
// does not pass over rows that were moved and that VACUUM may not remove yet: a
// report that runs for an hour would make each look slower than the one before.
//
// That is a claim about transactions that are not over, and no cursor: an id is
// drawn by a transaction that has a number (xid) already, as it has changed a
// row. So whoever drew an id up to the highest of a batch has a lower number
// than the transaction that moved the batch. Once all of these are over, a look
// sees whatever they committed, and when it finds nothing up to that id, nothing
// will ever be there. A transaction that only reads has no number; one that
// writes, in whatever database, keeps the horizon where it is, and changes
// nothing else.
type horizon struct {
	// floor is the id up to which the outbox is empty for good.
	floor int64
	// next is the floor to be, once all transactions below xid are over; 0 is
	// none.
	next, xid int64
	// since is when the floor was 0.
	since time.Time
}

// moved is what one look tells.
type moved struct {
	// empty says that no row was there.
	empty bool
	// The lowest and highest id moved, and the transaction that moved them; not
	// valid if nothing was moved.
	min, max, own pgtype.Int8
	// oldest transaction that was not over.
	oldest int64
}

func (h *horizon) note(m moved) {
	if h.next != 0 && m.oldest >= h.xid && (m.empty || m.min.Valid && m.min.Int64 > h.next) {
		h.floor, h.next = h.next, 0
	}
	if h.next == 0 && m.max.Valid && m.own.Valid && m.max.Int64 > h.floor {
		h.next, h.xid = m.max.Int64, m.own.Int64
	}
}

// reset makes the next look begin at the beginning.
func (h *horizon) reset() { *h = horizon{since: time.Now()} }
