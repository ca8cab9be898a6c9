package postgres

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
	"github.com/petpro/fabric/publisher/postgres/pgoutput"
)

// past finds out how the followed tables were at a place: the rows as they are
// now, with the changes undone that the log has since. It holds the tables in
// memory, as the mapper does.
type past struct {
	// now are the rows as they are, until is an LSN before which everything that
	// they show was committed.
	now   map[*table][]publisher.Row
	until pgdb.LSN
	// former is each row before its first change since, by its key; nil if it did
	// not exist. What the rows now show of those changes does not matter: some
	// may have been committed after they were read, and before until.
	former map[*table]map[publisher.Value]publisher.Row
}

// loadAt emits the followed tables as they were at the place from which w
// begins. If there is anything to undo, it takes c to read the log.
func (s *Source) loadAt(ctx context.Context, c *pgoutput.Conn, w *walk, emit func(publisher.Entry) error) (undone bool, err error) {
	if !s.plan.follows() {
		return false, nil
	}
	p, err := s.present(ctx, w.catalog)
	if err != nil {
		return false, err
	}
	if p.until > w.from.lsn {
		undone = true
		if err := s.undo(ctx, c, p, w, emit); err != nil {
			return true, fmt.Errorf("undo the changes of followed tables since %s: %w", w.from, err)
		}
	}
	for _, t := range s.plan.sorted() {
		if err := p.emit(t, emit); err != nil {
			return undone, err
		}
	}
	return undone, nil
}

// present reads the followed tables.
func (s *Source) present(ctx context.Context, catalog *pgdb.Catalog) (*past, error) {
	p := &past{now: map[*table][]publisher.Row{}, former: map[*table]map[publisher.Value]publisher.Row{}}
	err := s.queries.do(ctx, func(conn *pgx.Conn) error {
		tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
		if err != nil {
			return err
		}
		defer tx.Rollback(ctx)
		for _, t := range s.plan.sorted() {
			if !t.followed {
				continue
			}
			p.former[t] = map[publisher.Value]publisher.Row{}
			err := t.each(ctx, conn, catalog, func(row publisher.Row) error {
				p.now[t] = append(p.now[t], row)
				return nil
			})
			if err != nil {
				return fmt.Errorf("read followed table %s: %w", t.name, err)
			}
		}
		return tx.Commit(ctx)
	})
	if err != nil {
		return nil, err
	}
	p.until, err = s.flushedNow(ctx)
	return p, err
}

// flushedNow returns an LSN behind everything that is visible now, as soon as
// the log is on disk up to there: the walsender sends nothing that is not, and
// without synchronous_commit a change is visible before.
func (s *Source) flushedNow(ctx context.Context) (until pgdb.LSN, err error) {
	const patience = 100 * time.Millisecond
	err = s.queries.do(ctx, func(conn *pgx.Conn) error {
		if until, err = insertLSN(ctx, conn); err != nil {
			return err
		}
		for begin := time.Now(); ; {
			var flushed bool
			err := conn.QueryRow(ctx, "SELECT pg_catalog.pg_current_wal_flush_lsn() >= $1::text::pg_lsn", until.String()).Scan(&flushed)
			if err != nil || flushed {
				return err
			}
			if time.Since(begin) > patience {
				// Nobody commits: so we do. The message is for no one.
				_, err := conn.Exec(ctx, "SET LOCAL synchronous_commit = on; SELECT pg_catalog.pg_logical_emit_message(true, 'fabric', '')", pgx.QueryExecModeSimpleProtocol)
				return err
			}
			if err := pause(ctx, 5*time.Millisecond); err != nil {
				return err
			}
		}
	})
	if err != nil {
		return 0, fmt.Errorf("wait for the log to be flushed: %w", err)
	}
	return until, nil
}

// insertLSN is where the log is written now. At the beginning of a page the
// server counts the page's header, which no record's end does: so without it.
func insertLSN(ctx context.Context, conn *pgx.Conn) (pgdb.LSN, error) {
	const longestHeader = 40 // XLogLongPageHeaderData
	var text, size string
	err := conn.QueryRow(ctx, "SELECT pg_catalog.pg_current_wal_insert_lsn()::text, pg_catalog.current_setting('wal_block_size')").Scan(&text, &size)
	if err != nil {
		return 0, err
	}
	lsn, err := pgdb.ParseLSN(text)
	if err != nil {
		return 0, err
	}
	page, err := strconv.ParseUint(size, 10, 32)
	if err != nil || page == 0 {
		return 0, fmt.Errorf("wal_block_size %q is no size", size)
	}
	if into := uint64(lsn) % page; into <= longestHeader {
		lsn -= pgdb.LSN(into)
	}
	return lsn, nil
}

// undo reads the log up to p.until and notes what changed. With a backlog that
// takes a while: meanwhile it emits that the source is alive.
func (s *Source) undo(ctx context.Context, c *pgoutput.Conn, p *past, w *walk, emit func(publisher.Entry) error) error {
	stream, err := s.start(ctx, c, w.from)
	if err != nil {
		return err
	}
	defer s.end(stream)
	looked := time.Now()
	for {
		m, err := s.receive(ctx, stream)
		if err != nil {
			return err
		}
		done, err := p.take(w, m)
		if err != nil || done {
			return err
		}
		if _, ok := m.(*pgoutput.Keepalive); ok && time.Since(looked) >= pulse {
			looked = time.Now()
			if err := emit(publisher.Entry{}); err != nil {
				return err
			}
		}
	}
}

// take takes one message; done says that the log was read up to p.until.
func (p *past) take(w *walk, m pgoutput.Message) (done bool, err error) {
	switch m := m.(type) {
	case *pgoutput.Begin:
		err = w.begin(m)
		return w.lsn >= p.until, err
	case *pgoutput.Commit:
		return false, w.commit(m)
	case *pgoutput.Keepalive:
		err = w.keepalive(m)
		return w.reached >= p.until, err
	case *pgoutput.Truncate:
		w.next()
		return false, w.truncated(m)
	}
	if r := rowOf(m); r != nil {
		return false, p.note(w, r, m)
	}
	return false, nil
}

// note keeps the former state of a row of a followed table.
func (p *past) note(w *walk, r *pgoutput.Relation, m pgoutput.Message) error {
	row, before := w.next()
	bound, err := w.relation(r)
	if err != nil {
		return err
	}
	if before || bound.table == nil || !bound.table.followed {
		return nil
	}
	if w.within && row == w.from.row && w.from.touch != nil {
		return nil // the row is behind us, only touches of it are not
	}
	if bound.halt != nil {
		return w.at(row, bound.halt)
	}
	c, _ := w.rows.change(bound, m)
	if c.Op != publisher.Insert && !bound.covers(bound.table.memory) {
		return w.at(row, lostf("the log lacks former values of followed table %s.%s, as its replica identity was changed", r.Schema, r.Name))
	}
	former := p.former[bound.table]
	first := func(key publisher.Value, row publisher.Row) {
		if _, known := former[key]; !known {
			former[key] = row
		}
	}
	if c.Old != nil {
		first(c.Old[bound.table.followKey], c.Old)
	}
	if c.New != nil {
		first(c.New[bound.table.followKey], nil)
	}
	return nil
}

// emit emits a followed table as it was.
func (p *past) emit(t *table, emit func(publisher.Entry) error) error {
	load := func(row publisher.Row) error {
		if row == nil {
			return nil // inserted later
		}
		return emit(publisher.Entry{Change: &publisher.Change{Table: t.name, Op: publisher.Load, New: row}})
	}
	former := p.former[t]
	for _, row := range p.now[t] {
		key := row[t.followKey]
		if was, changed := former[key]; changed {
			delete(former, key)
			row = was
		}
		if err := load(row); err != nil {
			return err
		}
	}
	// What is left was deleted later.
	byText := func(a, b publisher.Value) int { return cmp.Compare(a.Text, b.Text) }
	for _, key := range slices.SortedFunc(maps.Keys(former), byText) {
		if err := load(former[key]); err != nil {
			return err
		}
	}
	return nil
}
