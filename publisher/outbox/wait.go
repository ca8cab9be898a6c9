package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// How often the outbox is looked at while a transaction of the shop that has
// logged something is open, so that the reader may not sleep.
const (
	eagerFirst = time.Millisecond
	eagerLast  = 25 * time.Millisecond
)

// waiter finds the next batch for one Run, and sleeps if there is none.
//
// NOTIFY takes a lock that all commits of the cluster wait for, so the shop
// shall notify only a reader that sleeps. A reader that sleeps holds an advisory
// lock. A trigger tries to share that lock until its transaction ends: if it
// cannot, the reader sleeps, and is notified. If it can, the reader cannot fall
// asleep before the transaction ends, for it cannot get the lock; and it looks
// once more after it has got it. So whatever is committed is either seen by
// that look or notified.
type waiter struct {
	*reader
	// asleep says that the lock is held.
	asleep bool
	// eager is how long to wait where sleep is not possible, longest how long to
	// sleep.
	eager, longest time.Duration
	try            string
	leave          string
}

func (r *reader) newWaiter(ctx context.Context) (*waiter, error) {
	q := r.source.queries
	w := &waiter{reader: r, eager: eagerFirst, longest: tick,
		try:   fmt.Sprintf("SELECT pg_catalog.pg_try_advisory_lock(%d, %d)", q.lockOf, q.lockName),
		leave: fmt.Sprintf("SELECT pg_catalog.pg_advisory_unlock(%d, %d)", q.lockOf, q.lockName),
	}
	if r.conn.pooled {
		return w, nil
	}
	var phases bool
	if err := r.conn.QueryRow(ctx, "SELECT current_setting('max_prepared_transactions') <> '0'").Scan(&phases); err != nil {
		return nil, err
	}
	if phases {
		w.longest = r.source.cfg.Poll
	}
	_, err := r.conn.Exec(ctx, "LISTEN "+quote(q.channel))
	return w, err
}

// next returns the next batch; nil if there was none until the time. It looks
// at least once.
func (w *waiter) next(ctx context.Context, until time.Time) (*batch, error) {
	for {
		b, err := w.lookAwake(ctx)
		if b != nil || err != nil {
			w.eager = eagerFirst
			return b, err
		}
		if err := w.rest(ctx, until); err != nil {
			return nil, err
		}
		if !time.Now().Before(until) {
			return nil, nil
		}
	}
}

// lookAwake looks for a batch. Without one it has, where that is possible,
// taken the lock before its last look: then the reader may sleep.
func (w *waiter) lookAwake(ctx context.Context) (*batch, error) {
	if w.conn.pooled {
		b, _, err := w.look(ctx)
		return b, err
	}
	var before []string
	if w.asleep {
		w.asleep = false
		before = []string{w.leave}
	}
	b, _, err := w.look(ctx, before...)
	if b != nil || err != nil {
		return b, err
	}
	b, got, err := w.look(ctx, w.try)
	w.asleep = len(got) == 1 && got[0]
	return b, err
}

// rest until a wake-up, the next poll, or the time.
func (w *waiter) rest(ctx context.Context, until time.Time) error {
	if w.conn.pooled {
		return w.pause(ctx, min(w.source.cfg.Poll, time.Until(until)))
	}
	wait := min(time.Until(until), w.longest)
	if !w.asleep {
		wait = min(wait, w.eager)
		w.eager = min(2*w.eager, eagerLast)
	}
	limited, cancel := context.WithTimeout(ctx, max(0, wait))
	defer cancel()
	_, err := w.conn.WaitForNotification(limited)
	switch {
	case err == nil:
		w.source.metrics.woken.WithLabelValues("notify").Inc()
		return nil
	case ctx.Err() == nil && limited.Err() != nil && !w.conn.IsClosed() && pgconn.Timeout(err):
		w.source.metrics.woken.WithLabelValues("poll").Inc()
		return nil
	}
	return err
}

func (w *waiter) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(max(0, d))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		w.source.metrics.woken.WithLabelValues("poll").Inc()
		return nil
	}
}
