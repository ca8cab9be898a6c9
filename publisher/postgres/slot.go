package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
)

// slotState is what the server says of our slot.
type slotState struct {
	plugin, database string
	// pid of the walsender that uses it, 0 if none does.
	pid uint32
	// confirmed is up to where it has forgotten.
	confirmed pgdb.LSN
	// status is pg_replication_slots.wal_status: reserved, extended, unreserved
	// or lost.
	status string
	// invalid is why it cannot be used any more, "" if it can (PostgreSQL 17).
	invalid string
	// written is up to where the server has written its log.
	written pgdb.LSN
	// retained is how many bytes of log the server keeps for it, safe how many
	// more it may write before the slot is in danger; -1 if that is unlimited.
	retained, safe int64
}

// slotQuery reads newer columns by way of JSON, as older servers lack them.
const slotQuery = `
SELECT coalesce(plugin::text, ''), coalesce(database::text, ''), coalesce(active_pid, 0),
       coalesce(confirmed_flush_lsn, '0/0')::text, coalesce(wal_status, ''),
       coalesce(to_jsonb(s) ->> 'invalidation_reason', ''),
       coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::bigint,
       pg_current_wal_lsn()::text,
       coalesce(safe_wal_size, -1)
FROM pg_catalog.pg_replication_slots s WHERE slot_name = $1`

// errNoSlot is returned by readSlot.
var errNoSlot = errors.New("no such replication slot")

func readSlot(ctx context.Context, conn *pgx.Conn, name string) (slotState, error) {
	var s slotState
	var confirmed, written string
	err := conn.QueryRow(ctx, slotQuery, name).Scan(&s.plugin, &s.database, &s.pid, &confirmed, &s.status, &s.invalid, &s.retained, &written, &s.safe)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, errNoSlot
	}
	if err == nil {
		s.confirmed, err = pgdb.ParseLSN(confirmed)
	}
	if err == nil {
		s.written, err = pgdb.ParseLSN(written)
	}
	if err != nil {
		return s, pgdb.Translate(fmt.Errorf("read replication slot %s: %w", name, err))
	}
	return s, nil
}

// lost says why the slot no longer has what follows p; nil if it has.
func (s slotState) lost(name string, p place) error {
	switch {
	case s.plugin != plugin:
		return lostf("replication slot %s is one of plugin %q, not of ours: somebody has made another one of that name", name, s.plugin)
	case s.status == "lost" || s.invalid != "":
		reason := s.invalid
		if reason == "" || reason == "wal_removed" {
			reason = "it needed more log than max_slot_wal_keep_size allows"
		}
		return lostf("replication slot %s was invalidated by the server (%s)", name, reason)
	case s.confirmed > p.lsn:
		return lostf("replication slot %s has forgotten what lies before %s, but only what lies before %s was published: "+
			"another publisher has confirmed it, or the stream lost what it had", name, s.confirmed, p.lsn)
	}
	return nil
}

// lostf makes an error that wraps publisher.ErrLost.
func lostf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{publisher.ErrLost}, args...)...)
}

// How long a slot that is in use is waited for within one Run, and how often it
// is asked for. A dead publisher's walsender is gone after wal_sender_timeout,
// which is 10 s for ours.
const (
	slotWait  = 15 * time.Second
	slotRetry = 200 * time.Millisecond
)

// freeSlot waits until nobody uses the slot. A walsender that uses it although
// we hold the source is what is left of a dead publisher: if it is one of our own role, it
// is ended.
func (s *Source) freeSlot(ctx context.Context) error {
	told := false
	for deadline := time.Now().Add(slotWait); ; {
		user, err := s.slotUser(ctx)
		if err != nil || user.pid == 0 {
			return err
		}
		mine := user.same && s.held.Load()
		if !told {
			told = true
			s.log.Warn("the replication slot is in use, waiting", "slot", s.cfg.Slot, "pid", user.pid, "role", user.role,
				"application", user.application, "address", user.address, "terminate", mine)
		}
		if mine {
			if err := s.terminate(ctx, user.pid); err != nil {
				return err
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: replication slot %s is in use by process %d (role %s, %q at %s)",
				publisher.ErrAway, s.cfg.Slot, user.pid, user.role, user.application, user.address)
		}
		if err := pause(ctx, slotRetry); err != nil {
			return err
		}
	}
}

// slotUser is the walsender that uses our slot.
type slotUser struct {
	pid                        uint32 // 0: nobody
	role, application, address string
	// same says that it is our own role, whose processes we may end.
	same bool
}

const slotUserQuery = `
SELECT coalesce(s.active_pid, 0), coalesce(a.usename::text, ''), coalesce(a.application_name, ''), coalesce(host(a.client_addr), 'local'),
       coalesce(a.usename = current_user AND a.backend_type = 'walsender', false)
FROM pg_catalog.pg_replication_slots s LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid
WHERE s.slot_name = $1`

func (s *Source) slotUser(ctx context.Context) (u slotUser, err error) {
	err = s.queries.do(ctx, func(conn *pgx.Conn) error {
		err := conn.QueryRow(ctx, slotUserQuery, s.cfg.Slot).Scan(&u.pid, &u.role, &u.application, &u.address, &u.same)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return u, fmt.Errorf("ask who uses replication slot %s: %w", s.cfg.Slot, err)
	}
	return u, nil
}

func (s *Source) terminate(ctx context.Context, pid uint32) error {
	err := s.queries.do(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `SELECT pg_catalog.pg_terminate_backend($1)
			FROM pg_catalog.pg_replication_slots WHERE slot_name = $2 AND active_pid = $1`, int32(pid), s.cfg.Slot)
		return err
	})
	if err != nil {
		return fmt.Errorf("end the walsender that a dead publisher left behind: %w", err)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
