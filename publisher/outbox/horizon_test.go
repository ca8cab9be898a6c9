package outbox

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// TestHorizon plays transactions that draw a number, then ids, and end in any
// order, and looks in between: nothing may appear at or below the floor, and
// the floor must come along.
func TestHorizon(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	type transaction struct {
		xid int64
		ids []int64
	}
	var (
		h        horizon
		open     []*transaction
		visible  []int64 // in the order of commits
		xid, id  int64
		advanced int
	)
	valid := func(n int64) pgtype.Int8 { return pgtype.Int8{Int64: n, Valid: true} }
	for range 20_000 {
		switch action := random.IntN(10); {
		case action < 2 && len(open) < 6:
			xid++
			open = append(open, &transaction{xid: xid})
		case action < 5 && len(open) > 0:
			id++
			tx := open[random.IntN(len(open))]
			tx.ids = append(tx.ids, id)
		case action < 7 && len(open) > 0:
			i := random.IntN(len(open))
			if random.IntN(4) > 0 {
				visible = append(visible, open[i].ids...)
			}
			open = append(open[:i], open[i+1:]...)
		case action >= 7:
			look := moved{empty: len(visible) == 0, oldest: xid + 1}
			for _, tx := range open {
				look.oldest = min(look.oldest, tx.xid)
			}
			for _, v := range visible {
				if v <= h.floor {
					t.Fatalf("seed %d: id %d appears, and the floor is %d", seed, v, h.floor)
				}
				if !look.min.Valid || v < look.min.Int64 {
					look.min = valid(v)
				}
				if !look.max.Valid || v > look.max.Int64 {
					look.max = valid(v)
				}
			}
			if !look.empty {
				xid++
				look.own = valid(xid)
			}
			visible = nil
			before := h.floor
			if h.note(look); h.floor > before {
				advanced++
			}
		}
	}
	if advanced < 100 {
		t.Errorf("seed %d: the floor came along %d times only", seed, advanced)
	}
}
