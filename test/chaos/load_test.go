package chaos_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/petpro/fabric/test/shoptest"
)

// load writes to the shop over several connections, as pgbench would. It keeps
// no books: whether a commit that was cut off has happened, the database says.
type load struct {
	t        testing.TB
	shop     *shoptest.Shop
	bookings int
	// column that counts the versions; a test may rename it.
	column atomic.Pointer[string]

	stop chan struct{}
	wg   sync.WaitGroup

	committed, rolledBack, failed atomic.Int64
	lastErr                       atomic.Value // string
}

// writers and pause make some 300 transactions a second, five rows each: more
// would measure the machine.
const (
	writers = 4
	pause   = 12 * time.Millisecond
)

// startLoad writes until end.
func startLoad(f *fabric, rnd *rand.Rand) *load {
	f.t.Helper()
	l := &load{t: f.t, shop: f.shop, bookings: f.bookings, stop: make(chan struct{})}
	l.column.Store(&f.column)
	for w := range writers {
		rnd := rand.New(rand.NewPCG(rnd.Uint64(), uint64(w)))
		l.wg.Go(func() { l.write(w, rnd) })
	}
	f.t.Cleanup(l.end)
	return l
}

// end waits for the writers.
func (l *load) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.wg.Wait()
}

func (l *load) write(writer int, rnd *rand.Rand) {
	for n := 0; ; n++ {
		select {
		case <-l.stop:
			return
		case <-time.After(time.Duration(rnd.Int64N(int64(2 * pause)))): // the rate
		}
		if err := l.transaction(fmt.Sprintf("%d-%d", writer, n), rnd); err != nil {
			l.failed.Add(1)
			l.lastErr.Store(err.Error())
		}
	}
}

// transaction does a few things; one in ten is rolled back. name is its own.
func (l *load) transaction(name string, rnd *rand.Rand) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	tx, err := l.shop.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	switch n := rnd.IntN(100); {
	case n < 60:
		err = l.steps(tx, rnd, 1+rnd.IntN(3))
	case n < 75:
		err = l.steps(tx, rnd, 1+rnd.IntN(31))
	case n < 83:
		err = tx.Exec(`INSERT INTO bookings (id, user_id, service_id, status, staff_notes) VALUES (?, ?, ?, 'pending', 'private')`, "n_"+name, user(rnd), service(rnd))
	case n < 86:
		err = l.remove(tx, l.booking(rnd))
	case n < 89:
		err = tx.Exec(`UPDATE bookings SET user_id = ? WHERE id = ?`, user(rnd), l.booking(rnd))
	case n < 92:
		err = tx.Exec(`UPDATE bookings SET service_id = ? WHERE id = ?`, service(rnd), l.booking(rnd))
	case n < 95:
		err = tx.Exec(`UPDATE bookings SET deleted_at = CASE WHEN deleted_at IS NULL THEN CURRENT_TIMESTAMP END WHERE id = ?`, l.booking(rnd))
	case n < 96 && rnd.IntN(4) == 0: // touches 250 bookings
		err = tx.Exec(`UPDATE services SET provider_id = ? WHERE id = ?`, fmt.Sprint("v_", rnd.IntN(7)), service(rnd))
	case n < 98:
		err = tx.Exec(`INSERT INTO notifications (user_id, type, title, message) VALUES (?, 'NEWS', ?, '')`, user(rnd), name)
	default: // of no interest to anybody
		err = tx.Exec(`UPDATE bookings SET staff_notes = ? WHERE id = ?`, name, l.booking(rnd))
	}
	if err != nil {
		return err
	}
	if rnd.IntN(10) == 0 {
		l.rolledBack.Add(1)
		return nil
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	l.committed.Add(1)
	return nil
}

// steps gives n bookings their next version, some of them more than one. The
// order is fixed, so that writers wait for each other and do not deadlock.
func (l *load) steps(tx *shoptest.Tx, rnd *rand.Rand, n int) error {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = l.booking(rnd)
	}
	slices.Sort(ids)
	for _, id := range ids {
		if err := tx.Exec(l.sql(`UPDATE bookings SET `+step+` WHERE id = ?`), id); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes a booking and remembers its version.
func (l *load) remove(tx *shoptest.Tx, id string) error {
	var version int
	err := tx.QueryRow(l.sql(`DELETE FROM bookings WHERE id = ? RETURNING version`), id).Scan(&version)
	if err != nil {
		if strings.Contains(err.Error(), "no rows") {
			return nil
		}
		return err
	}
	return tx.Exec(`INSERT INTO removed VALUES (?, ?)`, id, version)
}

// sql names the column as it is called now.
func (l *load) sql(query string) string {
	return strings.ReplaceAll(query, "version", *l.column.Load())
}

// huge gives every booking its next version in one transaction.
func (l *load) huge() {
	l.wg.Go(func() {
		if err := l.shop.Try(l.sql(`UPDATE bookings SET ` + step)); err != nil {
			l.failed.Add(1)
			l.lastErr.Store(err.Error())
			return
		}
		l.committed.Add(1)
	})
}

// String tells what the load has done.
func (l *load) String() string {
	last, _ := l.lastErr.Load().(string)
	return fmt.Sprintf("%d transactions committed, %d rolled back, %d failed (the last: %.200s)", l.committed.Load(), l.rolledBack.Load(), l.failed.Load(), last)
}

// booking is any of them, four times in five one of a few.
func (l *load) booking(rnd *rand.Rand) string {
	if rnd.IntN(5) > 0 {
		return fmt.Sprint("b_", rnd.IntN(40))
	}
	return fmt.Sprint("b_", rnd.IntN(l.bookings))
}

func user(rnd *rand.Rand) string    { return fmt.Sprint("u_", rnd.IntN(50)) }
func service(rnd *rand.Rand) string { return fmt.Sprint("s_", rnd.IntN(20)) }
