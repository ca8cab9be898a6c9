package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/petpro/fabric/publisher"
)

// Snapshot emits the followed tables, then the mapped rows, all as of one read
// transaction, row by row. Writers are not held up; the WAL file grows while it
// lasts.
func (s *Source) Snapshot(ctx context.Context, emit func(publisher.Entry) error) (string, error) {
	c, err := openReader(ctx, s.cfg.Path)
	if err != nil {
		return "", s.ended(ctx, "snapshot", err)
	}
	defer c.Close()
	p, err := s.snapshot(ctx, c, func(e publisher.Entry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := emit(e); err != nil {
			return emitError{err}
		}
		return nil
	})
	if err != nil {
		return "", s.ended(ctx, "snapshot", err)
	}
	return p.String(), nil
}

func (s *Source) snapshot(ctx context.Context, c *connection, emit func(publisher.Entry) error) (p place, err error) {
	tx, err := c.BeginTx(ctx, nil)
	if err != nil {
		return p, err
	}
	defer tx.Rollback()
	last, err := lastID(ctx, tx) // the first read: the moment of the snapshot
	if err != nil {
		return p, err
	}
	for _, t := range s.plan.sorted() {
		if t.followed {
			if err := t.rows(ctx, tx, emitAs(publisher.Load, t, emit)); err != nil {
				return p, fmt.Errorf("table %s: %w", t.name, err)
			}
		}
	}
	for _, t := range s.plan.sorted() {
		if t.mapped {
			if err := t.rows(ctx, tx, emitAs(publisher.Snapshot, t, emit)); err != nil {
				return p, fmt.Errorf("table %s: %w", t.name, err)
			}
		}
	}
	return place{id: last, behind: true}, nil
}

func emitAs(op publisher.Op, t *table, emit func(publisher.Entry) error) func(publisher.Row) error {
	return func(row publisher.Row) error {
		return emit(publisher.Entry{Change: &publisher.Change{Table: t.name, Op: op, New: row}})
	}
}

// rows calls f for every row as it is.
func (t *table) rows(ctx context.Context, q querier, f func(publisher.Row) error) error {
	query := "SELECT " + rowSQL("r", t.columns) + " FROM " + quoteName(t.name) + " AS r"
	return each(ctx, q, func(scan func(...any) error) error {
		var text string
		if err := scan(&text); err != nil {
			return err
		}
		row, err := parseRow(text, t.columns)
		if err != nil {
			return err
		}
		return f(row)
	}, query)
}

// lastID is the highest id ever given out. An INSERT OR FAIL of the shop may
// leave the sequence behind the table.
func lastID(ctx context.Context, q querier) (id int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT max(
		coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'fabric_changes'), 0),
		coalesce((SELECT max(id) FROM fabric_changes), 0))`).Scan(&id)
	return id, err
}

// prunedID is the highest id that was pruned.
func prunedID(ctx context.Context, q querier) (id int64, err error) {
	err = q.QueryRowContext(ctx, "SELECT value FROM fabric_meta WHERE kind = 'pruned' AND name = ''").Scan(&id)
	if err == sql.ErrNoRows {
		return 0, nil
	}
	return id, err
}
