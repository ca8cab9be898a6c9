package outbox

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
)

// snapshotTries is how often a snapshot begins again because another publisher
// moved rows at the same moment.
const snapshotTries = 5

// Snapshot emits the followed tables, then the mapped rows, all as of one
// moment, row by row.
//
// That moment is the snapshot of one REPEATABLE READ transaction. A change and
// its row in the outbox are committed together: the rows of the outbox that the
// transaction sees are changes that it has seen, and it takes them out; all
// others are of changes that it has not seen, and stay. The place is a batch
// without rows that the same transaction writes, so Run from there emits them.
func (s *Source) Snapshot(ctx context.Context, emit func(publisher.Entry) error) (string, error) {
	var at place
	err := s.withConn(ctx, "snapshot", func(c *conn) error {
		for try := 1; ; try++ {
			began := false
			var err error
			at, err = s.snapshot(ctx, c, &began, guarded(ctx, emit))
			if began || !collided(err) || try == snapshotTries {
				return err
			}
		}
	})
	return at.String(), err
}

// snapshot sets began when the first row is about to be emitted.
func (s *Source) snapshot(ctx context.Context, c *conn, began *bool, emit func(publisher.Entry) error) (at place, err error) {
	tx, err := pgdb.Begin(ctx, c.Conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		return at, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	discarded, err := tx.Exec(ctx, s.queries.discard)
	if err != nil {
		return at, fmt.Errorf("take out what is part of the snapshot: %w", err)
	}
	// At the beginning, so that whoever makes this batch too is noticed now.
	at.tag = newTag()
	if err := tx.QueryRow(ctx, s.queries.mark, at.tag, discarded.RowsAffected()).Scan(&at.n); err != nil {
		return at, fmt.Errorf("mark the place: %w", err)
	}
	catalog, err := pgdb.ReadCatalog(ctx, tx, s.mapping)
	if err != nil {
		return at, err
	}
	*began = true
	if err := s.eachTable(ctx, tx, catalog, emit); err != nil {
		return at, err
	}
	if _, err := tx.Exec(ctx, "SELECT "+syncCommit); err != nil {
		return at, err
	}
	return at, tx.Commit(ctx)
}

// eachTable emits the followed tables, then the mapped ones.
func (s *Source) eachTable(ctx context.Context, tx pgx.Tx, catalog *pgdb.Catalog, emit func(publisher.Entry) error) error {
	for _, pass := range []struct {
		op   publisher.Op
		want func(*table) bool
	}{
		{publisher.Load, func(t *table) bool { return t.followed }},
		{publisher.Snapshot, func(t *table) bool { return t.mapped }},
	} {
		for _, t := range s.plan.sorted() {
			if !pass.want(t) {
				continue
			}
			err := s.eachRow(ctx, tx, t, catalog, func(row publisher.Row) error {
				return emit(publisher.Entry{Change: &publisher.Change{Table: t.name, Op: pass.op, New: row}})
			})
			if err != nil {
				return fmt.Errorf("table %s: %w", t.name, err)
			}
		}
	}
	return nil
}

// eachRow calls f for every row as tx sees it.
func (s *Source) eachRow(ctx context.Context, tx pgx.Tx, t *table, catalog *pgdb.Catalog, f func(publisher.Row) error) error {
	real := catalog.Tables[t.name]
	if real == nil {
		return fmt.Errorf("%w: the table is gone", publisher.ErrHalt)
	}
	for _, column := range t.columns {
		if _, ok := real.Column(column); !ok {
			return fmt.Errorf("%w: column %s is gone", publisher.ErrHalt, column)
		}
	}
	l := newLayout(t, real)
	p := l.projection(t, nil, nil)
	values := make([]publisher.Value, len(l.columns))
	only := ""
	if real.Kind == pgdb.Ordinary {
		only = "ONLY "
	}
	query := "SELECT " + recordSQL("t", l.columns) + " FROM " + only + real.Quoted() + " t"
	return eachRecord(ctx, tx, query, func(text string) error {
		row, err := p.row(text, values)
		if err != nil {
			return err
		}
		return f(row)
	})
}

// eachRecord calls f for every row of a query of one text column. No more is
// asked of the server than is read at once: it would take a client that does
// not read for ten seconds, as f blocks, for one that is gone.
func eachRecord(ctx context.Context, tx pgx.Tx, query string, f func(text string) error) error {
	if _, err := tx.Exec(ctx, "DECLARE fabric_rows NO SCROLL CURSOR FOR "+query); err != nil {
		return err
	}
	for size := pageFirst; ; {
		rows, err := tx.Query(ctx, fmt.Sprintf("FETCH %d FROM fabric_rows", size))
		if err != nil {
			return err
		}
		page, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		bytes := 0
		for _, text := range page {
			bytes += len(text)
			if err := f(text); err != nil {
				return err
			}
		}
		if len(page) < size {
			break
		}
		size = min(max(1, size*pageBytes/max(1, bytes)), 2*size, pageLast)
	}
	_, err := tx.Exec(ctx, "CLOSE fabric_rows")
	return err
}

// A page of rows is as many as are likely to have so many bytes, but no more
// than twice as many as the page before.
const (
	pageFirst = 32
	pageLast  = 2000
	pageBytes = 256 << 10
)
