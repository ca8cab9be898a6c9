package outbox

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
)

// load emits the followed tables as they were before the entries that Run emits
// from a place on: the rows as they are, with those entries undone. One
// snapshot sees both.
func (r *reader) load(ctx context.Context, from place, emit func(publisher.Entry) error) error {
	if !r.source.plan.follows() {
		return nil
	}
	tx, err := pgdb.Begin(ctx, r.conn.Conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	former, err := r.undo(ctx, tx, from)
	if err != nil {
		return err
	}
	for _, t := range r.source.plan.sorted() {
		if !t.followed {
			continue
		}
		if err := r.loadTable(ctx, tx, t, former[t.name], emit); err != nil {
			return fmt.Errorf("table %s: %w", t.name, err)
		}
	}
	return tx.Commit(ctx)
}

// formerRows are the rows of a followed table that changed since, by key; nil
// if there was none. They take no more memory than the mapper needs for them.
type formerRows map[publisher.Value]publisher.Row

func (r *reader) loadTable(ctx context.Context, tx pgx.Tx, t *table, former formerRows, emit func(publisher.Entry) error) error {
	load := func(row publisher.Row) error {
		return emit(publisher.Entry{Change: &publisher.Change{Table: t.name, Op: publisher.Load, New: row}})
	}
	err := r.source.eachRow(ctx, tx, t, r.decode.catalog, func(row publisher.Row) error {
		key := row[t.followKey]
		if was, changed := former[key]; changed {
			delete(former, key)
			if was == nil {
				return nil // inserted later
			}
			row = was
		}
		return load(row)
	})
	if err != nil {
		return err
	}
	// What is left was deleted later.
	byText := func(a, b publisher.Value) int { return cmp.Compare(a.Text, b.Text) }
	for _, key := range slices.SortedFunc(maps.Keys(former), byText) {
		if row := former[key]; row != nil {
			if err := load(row); err != nil {
				return err
			}
		}
	}
	return nil
}

// undo reads what followed rows were before their first change at or behind the
// place, by table.
func (r *reader) undo(ctx context.Context, tx pgx.Tx, from place) (map[string]formerRows, error) {
	former := map[string]formerRows{}
	note := func(rec record) error {
		if rec.op == opTouch {
			return nil
		}
		c, err := r.decode.change(rec)
		if err != nil || c == nil {
			return err
		}
		t := r.source.plan[c.Table]
		if !t.followed {
			return nil
		}
		rows := former[t.name]
		if rows == nil {
			rows = formerRows{}
			former[t.name] = rows
		}
		for _, row := range []publisher.Row{c.Old, c.New} {
			key := row[t.followKey]
			if _, known := rows[key]; row == nil || known {
				continue
			}
			rows[key] = nil
			if key == c.Old[t.followKey] {
				rows[key] = c.Old
			}
		}
		return nil
	}
	if err := r.undoBatches(ctx, tx, from, note); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, r.source.queries.waiting, r.following)
	if err != nil {
		return nil, err
	}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (none struct{}, err error) {
		rec, err := scanRecord(row)
		if err != nil || rec.op == opHole {
			return none, err // a hole: Run will come to it
		}
		return none, note(rec)
	})
	return former, err
}

// undoBatches calls note for the records of followed tables in the batch log.
func (r *reader) undoBatches(ctx context.Context, tx pgx.Tx, from place, note func(record) error) error {
	rows, err := tx.Query(ctx, r.source.queries.followed, from.n)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var b batch
		if err := rows.Scan(b.targets()...); err != nil {
			return err
		}
		if err := b.check(); err != nil {
			return err
		}
		for i := range b.layout {
			if b.n == from.n && b.tag == from.tag && i < from.row || !slices.Contains(r.following, b.layout[i]) {
				continue
			}
			if b.op[i] == opHole {
				return rows.Err() // Run will come to it, and not beyond
			}
			if err := note(b.record(i)); err != nil {
				return err
			}
		}
	}
	return rows.Err()
}
