package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
	"github.com/petpro/fabric/publisher/postgres/pgoutput"
)

// Snapshot makes the slot, anew if there is one that nobody uses, and emits the
// followed tables, then the mapped rows, as of the moment at which the slot
// begins. Rows come one by one from the server. A slot whose snapshot was not
// completed is dropped again; if that fails, the next Snapshot does it.
//
// To make a slot, the server waits until all transactions are over which were
// writing at the time.
func (s *Source) Snapshot(ctx context.Context, emit func(publisher.Entry) error) (string, error) {
	p, err := s.snapshot(ctx, func(e publisher.Entry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := emit(e); err != nil {
			return emitError{err}
		}
		return nil
	})
	s.queries.close()
	if err != nil {
		return "", s.ended(ctx, "snapshot", err)
	}
	return p.String(), nil
}

func (s *Source) snapshot(ctx context.Context, emit func(publisher.Entry) error) (p place, err error) {
	b, err := s.binder(ctx)
	if err != nil {
		return p, err
	}
	if f, err := s.find(ctx); err != nil {
		return p, err
	} else if f.server.InRecovery {
		return p, errStandby
	} else if reason := s.unpublished(f); reason != "" {
		return p, fmt.Errorf("%s: the log behind the snapshot would be incomplete", reason)
	}
	if err := s.freeSlot(ctx); err != nil {
		return p, err
	}
	c, err := s.connect(ctx)
	if err != nil {
		return p, err
	}
	defer c.Close()
	system, err := c.Identify(ctx)
	if err != nil {
		return p, pgdb.Translate(err)
	}
	slot, err := s.createSlot(ctx, c)
	if err != nil {
		return p, err
	}
	if err := s.queries.do(ctx, func(conn *pgx.Conn) error { return s.emitSnapshot(ctx, conn, slot.Snapshot, b, emit) }); err != nil {
		s.abandon(c)
		return p, err
	}
	return place{timeline: newTimeline(system), lsn: pgdb.LSN(slot.Start), row: idleRow}, nil
}

// createSlot makes it.
func (s *Source) createSlot(ctx context.Context, c *pgoutput.Conn) (pgoutput.Slot, error) {
	if err := c.DropSlot(ctx, s.cfg.Slot); err == nil {
		s.log.Warn("an old replication slot of that name was dropped, to be made anew", "slot", s.cfg.Slot)
	} else if pgdb.State(err) != undefinedObject {
		return pgoutput.Slot{}, pgdb.Translate(err)
	}
	long := time.AfterFunc(5*time.Second, func() {
		s.log.Warn("the replication slot is made once all transactions are over that were writing; see pg_stat_activity for one that does not end", "slot", s.cfg.Slot)
	})
	defer long.Stop()
	slot, err := c.CreateSlot(ctx, s.cfg.Slot, c.Version() >= failoverVersion)
	if err != nil {
		return slot, pgdb.Translate(err)
	}
	return slot, nil
}

// failoverVersion is the first whose standbys keep copies of slots; whether
// they do is their setting (sync_replication_slots).
const failoverVersion = 17

// abandon drops the slot of a snapshot that failed: it would keep log for
// nobody.
func (s *Source) abandon(c *pgoutput.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := c.DropSlot(ctx, s.cfg.Slot); err != nil {
		s.log.Warn("the replication slot of an interrupted snapshot is left until the next one", "slot", s.cfg.Slot, "err", err)
	}
}

func (s *Source) emitSnapshot(ctx context.Context, conn *pgx.Conn, snapshot string, b binder, emit func(publisher.Entry) error) error {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	if _, err := tx.Exec(ctx, "SET TRANSACTION SNAPSHOT "+pgdb.QuoteLiteral(snapshot)); err != nil {
		return fmt.Errorf("take over the slot's snapshot: %w", err)
	}
	for _, op := range []publisher.Op{publisher.Load, publisher.Snapshot} {
		for _, t := range s.plan.sorted() {
			if op == publisher.Load && !t.followed || op == publisher.Snapshot && !t.mapped {
				continue
			}
			err := t.each(ctx, conn, b.catalog, func(row publisher.Row) error {
				return emit(publisher.Entry{Change: &publisher.Change{Table: t.name, Op: op, New: row}})
			})
			if err != nil && !errors.As(err, new(emitError)) {
				return fmt.Errorf("table %s: %w", t.name, err)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
