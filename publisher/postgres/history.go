package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher/pgdb"
	"github.com/petpro/fabric/publisher/postgres/pgoutput"
)

// newTimeline is the history that the server writes.
func newTimeline(s pgoutput.System) timeline { return timeline{system: uint16(s.ID), id: s.Timeline} }

// judge finds out whether the server's log still contains the place and what
// follows it. It returns publisher.ErrLost if not.
func (s *Source) judge(ctx context.Context, c *pgoutput.Conn, from place) (timeline, error) {
	system, err := c.Identify(ctx)
	if err != nil {
		return timeline{}, err
	}
	if err := s.primary(ctx); err != nil {
		return timeline{}, err
	}
	now := newTimeline(system)
	var history []pgoutput.Switch
	if from.timeline != now {
		if history, err = c.History(ctx, now.id); err != nil {
			return now, err
		}
	}
	if err := sameHistory(from, now, pgdb.LSN(system.Flushed), history); err != nil {
		return now, err
	}
	return now, s.judgeSlot(ctx, from)
}

// primary returns publisher.ErrAway while the server is a standby: a failover is
// under way, or the DSN names the wrong host.
func (s *Source) primary(ctx context.Context) error {
	var standby bool
	err := s.queries.do(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT pg_catalog.pg_is_in_recovery()").Scan(&standby)
	})
	if err != nil {
		return fmt.Errorf("ask whether the server is a standby: %w", err)
	}
	if standby {
		return errStandby
	}
	return nil
}

// sameHistory says whether the place lies in the history that leads to now.
func sameHistory(from place, now timeline, flushed pgdb.LSN, history []pgoutput.Switch) error {
	switch {
	case from.system != now.system:
		return lostf("this is another database cluster (system identifier …%04x, before …%04x): the DSN leads elsewhere, or the cluster was made anew",
			now.system, from.system)
	case from.id > now.id:
		return lostf("the database is on timeline %d, before it was on %d: an older backup was restored, or the DSN leads to a former primary",
			now.id, from.id)
	case from.id < now.id:
		i := slices.IndexFunc(history, func(h pgoutput.Switch) bool { return h.Timeline == from.id })
		if i < 0 {
			return lostf("the database's timeline %d does not descend from timeline %d, which was published", now.id, from.id)
		}
		// What was published of the old timeline behind the fork never happened on
		// this one.
		if end := pgdb.LSN(history[i].End); from.lsn > end || from.lsn == end && !from.idle() {
			return lostf("timeline %d was left at %s for timeline %d, but it was published up to %s: the promoted standby, or the backup, lacked what came last",
				from.id, end, now.id, from.lsn)
		}
	}
	if from.lsn > flushed {
		return lostf("the database's log ends at %s, but it was published up to %s: an older state of it was restored", flushed, from.lsn)
	}
	return nil
}

// judgeSlot looks at the slot before, or while, it is read from.
func (s *Source) judgeSlot(ctx context.Context, from place) error {
	state, err := s.slot(ctx)
	if errors.Is(err, errNoSlot) {
		return lostf("replication slot %s is gone: it was dropped, or the server is a promoted standby that had no copy of it", s.cfg.Slot)
	}
	if err != nil {
		return err
	}
	if state.database != s.database {
		return lostf("replication slot %s belongs to database %q, the DSN leads to %q", s.cfg.Slot, state.database, s.database)
	}
	return state.lost(s.cfg.Slot, from)
}

func (s *Source) slot(ctx context.Context) (state slotState, err error) {
	err = s.queries.do(ctx, func(conn *pgx.Conn) error {
		state, err = readSlot(ctx, conn, s.cfg.Slot)
		return err
	})
	return state, err
}
