package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/petpro/fabric/publisher"
)

// loadAt emits the followed tables as they were before the entries that Run
// emits from p: the rows as they are, with those entries undone. One read
// transaction sees both. Returns publisher.ErrLost if entries are gone.
func (s *Source) loadAt(ctx context.Context, c *connection, p place, emit func(publisher.Entry) error) error {
	tx, err := c.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := s.has(ctx, tx, p); err != nil {
		return err
	}
	for _, t := range s.plan.sorted() {
		if !t.followed {
			continue
		}
		if err := t.rowsAt(ctx, tx, p, emitAs(publisher.Load, t, emit)); err != nil {
			return fmt.Errorf("table %s: %w", t.name, err)
		}
	}
	return nil
}

// has returns nil if the log has all entries behind p, otherwise
// publisher.ErrLost.
func (s *Source) has(ctx context.Context, q querier, p place) error {
	pruned, err := prunedID(ctx, q)
	if err != nil {
		return err
	}
	last, err := lastID(ctx, q)
	if err != nil {
		return err
	}
	switch {
	case p.id < pruned:
		return fmt.Errorf("the change log was pruned up to %d: %w", pruned, publisher.ErrLost)
	case p.id > last:
		return fmt.Errorf("the change log ends at %d, so the database is an older one or the log was removed: %w", last, publisher.ErrLost)
	}
	return nil
}

// rowsAt calls f for every row as it was at p.
func (t *table) rowsAt(ctx context.Context, q querier, p place, f func(publisher.Row) error) error {
	former, err := t.undo(ctx, q, p)
	if err != nil {
		return err
	}
	err = t.rows(ctx, q, func(row publisher.Row) error {
		key := row[t.key]
		if was, changed := former[key]; changed {
			delete(former, key)
			row = was
		}
		if row == nil {
			return nil // inserted later
		}
		return f(row)
	})
	if err != nil {
		return err
	}
	// What is left was deleted later.
	byText := func(a, b publisher.Value) int { return cmp.Compare(a.Text, b.Text) }
	for _, key := range slices.SortedFunc(maps.Keys(former), byText) {
		if row := former[key]; row != nil {
			if err := f(row); err != nil {
				return err
			}
		}
	}
	return nil
}

// undo reads the former state of each row that was changed since p, nil if it
// did not exist. It takes no more memory than the mapper needs for the table.
func (t *table) undo(ctx context.Context, q querier, p place) (map[publisher.Value]publisher.Row, error) {
	former := map[publisher.Value]publisher.Row{}
	err := each(ctx, q, func(scan func(...any) error) error {
		var key string
		var old sql.NullString
		if err := scan(&key, &old); err != nil {
			return err
		}
		k, err := parseLiteral(key)
		if err != nil {
			return err
		}
		former[k], err = t.row(old)
		return err
	}, "SELECT key, old FROM fabric_changes WHERE id >= ? AND tbl = ? AND op IN ('i', 'u', 'd') ORDER BY id DESC", p.next(), t.name)
	return former, err
}
