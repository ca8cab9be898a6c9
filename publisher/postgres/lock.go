package postgres

import (
	"context"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
)

// Times of the advisory lock. It is asked for and not waited for in the server:
// a statement that waits holds a snapshot, which keeps VACUUM from cleaning up.
const (
	lockPoll = 500 * time.Millisecond
	// lockProbe is how often the session that holds it is tried, lockLimit how
	// long that may take.
	lockProbe = 2 * time.Second
	lockLimit = 4 * time.Second
)

// Acquire waits for the advisory lock of the slot, in a session of its own: it
// ends with the session, so a publisher that is killed leaves it at once, and
// one whose host is gone when the server notices, within ten seconds.
func (s *Source) Acquire(ctx context.Context, waiting func(holder string)) (publisher.Hold, error) {
	conn, err := s.acquire(ctx, waiting)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, s.failed("acquire", err)
	}
	return newHold(s, conn), nil
}

func (s *Source) acquire(ctx context.Context, waiting func(holder string)) (*pgx.Conn, error) {
	conn, err := pgdb.Connect(ctx, s.cfg.DSN, pgdb.Options{Application: application(s.name)})
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, letGoQuery); err != nil {
		closeConn(conn)
		return nil, pgdb.Translate(fmt.Errorf("set idle_session_timeout: %w", err))
	}
	key, told := lockKey(s.cfg.Slot), ""
	for {
		var got bool
		var holder string
		err := conn.QueryRow(ctx, lockQuery, key).Scan(&got, &holder)
		if err == nil && got {
			return conn, nil
		}
		if err == nil {
			if holder != told {
				told = holder
				waiting(holder)
			}
			err = pause(ctx, lockPoll)
		}
		if err != nil {
			closeConn(conn)
			return nil, pgdb.Translate(fmt.Errorf("try the advisory lock of slot %s: %w", s.cfg.Slot, err))
		}
	}
}

// letGoQuery makes the server end the session when nothing is heard of it. A
// process that hangs, or a machine that is paused, keeps its connection, for
// whose keepalives its kernel answers. PostgreSQL 13 cannot do it.
const letGoQuery = `SELECT set_config(name, '10s', false) FROM pg_catalog.pg_settings WHERE name = 'idle_session_timeout'`

// lockQuery tries the lock, and tells who has it.
const lockQuery = `
SELECT pg_catalog.pg_try_advisory_lock($1),
       coalesce((SELECT format('process %s (%s at %s)', a.pid, a.application_name, coalesce(host(a.client_addr), 'local'))
                 FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)
                 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.pid <> pg_backend_pid()
                   AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
                   AND (l.classid::bigint << 32 | l.objid::bigint) = $1 LIMIT 1), 'somebody')`

// lockKey is the same for all publishers of a slot.
func lockKey(slot string) int64 {
	h := fnv.New64a()
	h.Write([]byte("fabric/" + slot))
	return int64(h.Sum64())
}

// hold is the lock held.
type hold struct {
	source   *Source
	conn     *pgx.Conn
	release  context.CancelFunc
	lost     chan struct{}
	watching sync.WaitGroup
}

func newHold(s *Source, conn *pgx.Conn) *hold {
	ctx, release := context.WithCancel(context.Background())
	h := &hold{source: s, conn: conn, release: release, lost: make(chan struct{})}
	s.held.Store(true)
	h.watching.Go(func() { h.watch(ctx) })
	return h
}

// Lost is closed when the session broke, or does not answer.
func (h *hold) Lost() <-chan struct{} { return h.lost }

// Release ends the session.
func (h *hold) Release() {
	h.release()
	h.watching.Wait()
}

// watch looks after the session until ctx ends or it breaks, and closes it.
func (h *hold) watch(ctx context.Context) {
	err := h.listen(ctx)
	h.source.held.Store(false)
	if ctx.Err() == nil {
		h.source.log.Warn("the session that holds the source broke", "err", err)
		close(h.lost)
	}
	closeConn(h.conn)
}

// listen notices at once when the server ends the session, and after lockProbe
// and lockLimit when it does not answer any more.
func (h *hold) listen(ctx context.Context) error {
	for {
		quiet, cancel := context.WithTimeout(ctx, lockProbe)
		_, err := h.conn.WaitForNotification(quiet)
		cancel()
		if err != nil && (ctx.Err() != nil || h.conn.IsClosed()) {
			return pgdb.Translate(err)
		}
		limited, cancel := context.WithTimeout(ctx, lockLimit)
		_, err = h.conn.Exec(limited, "SELECT 1")
		cancel()
		if err != nil {
			return pgdb.Translate(err)
		}
	}
}
