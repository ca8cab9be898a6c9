package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/petpro/fabric/publisher"
)

// A page is what is read at once and held in memory: so many entries, or the
// one that brings their rows to so many bytes.
const (
	pageEntries = 1000
	pageBytes   = 1 << 20
)

// tail reads the log for one Run, in its goroutine.
type tail struct {
	s    *Source
	conn *connection
	// next is the smallest id not yet emitted; due is the smallest that must be
	// in the log, for at the place of the start itself it may be pruned.
	next, due int64
	// data and schema are the versions of the file last dealt with; SQLite's own
	// begin with 1.
	data, schema int64

	dataVersion, schemaVersion, entries *sql.Stmt
}

func (s *Source) newTail(ctx context.Context, c *connection, from place) (*tail, error) {
	t := &tail{s: s, conn: c, next: from.next(), due: from.id + 1}
	for stmt, text := range map[**sql.Stmt]string{
		&t.dataVersion:   "PRAGMA data_version",
		&t.schemaVersion: "PRAGMA schema_version",
		&t.entries: fmt.Sprintf(`SELECT id, tbl, op, CASE op WHEN 't' THEN key END, cause, old, new, at
			FROM fabric_changes WHERE id >= ? ORDER BY id LIMIT %d`, pageEntries),
	} {
		var err error
		if *stmt, err = c.PrepareContext(ctx, text); err != nil {
			t.close()
			return nil, err
		}
	}
	return t, nil
}

func (t *tail) close() {
	for _, stmt := range []*sql.Stmt{t.dataVersion, t.schemaVersion, t.entries} {
		if stmt != nil {
			stmt.Close()
		}
	}
}

// advance emits all there is, if anything was committed since the last time.
// Asking for the version costs 4 µs, so it may be called too often.
func (t *tail) advance(ctx context.Context, emit func(publisher.Entry) error) error {
	var version int64
	if err := t.dataVersion.QueryRowContext(ctx).Scan(&version); err != nil {
		return err
	}
	if version == t.data {
		return nil
	}
	for {
		if err := t.verify(ctx); err != nil {
			return err
		}
		p, err := t.read(ctx)
		if err != nil {
			return err
		}
		if err := t.emit(ctx, p, emit); err != nil {
			return err
		}
		if !p.full {
			break
		}
	}
	// It was read before the pages were: what is committed meanwhile changes
	// the version again.
	t.data = version
	return nil
}

// verify looks whether the tables were altered and, if so, whether they still
// fit the mapping and have their triggers.
func (t *tail) verify(ctx context.Context) error {
	var version int64
	if err := t.schemaVersion.QueryRowContext(ctx).Scan(&version); err != nil {
		return err
	}
	if version == t.schema {
		return nil
	}
	in, err := t.s.inspect(ctx, t.conn)
	if err != nil {
		return err
	}
	if in.complaints != nil || in.stale || in.lost != nil {
		if err := t.s.reinstall(ctx); err != nil {
			return err
		}
	}
	t.schema = version
	return nil
}

// reinstall is Check while Run runs.
func (s *Source) reinstall(ctx context.Context) error {
	c, err := openWriter(ctx, s.cfg.Path)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = s.install(ctx, c)
	return err
}

// page of the log.
type page struct {
	entries []publisher.Entry
	// next is the id behind the page; full says that there may be more.
	next int64
	full bool
	// lost is set if the page ends where triggers had been removed.
	lost error
}

func (t *tail) emit(ctx context.Context, p page, emit func(publisher.Entry) error) error {
	for i := range p.entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := emit(p.entries[i]); err != nil {
			return err
		}
		p.entries[i] = publisher.Entry{} // free as soon as it is emitted
	}
	t.next = p.next
	return p.lost
}

func (t *tail) read(ctx context.Context) (page, error) {
	rows, err := t.entries.QueryContext(ctx, t.next)
	if err != nil {
		return page{}, err
	}
	defer rows.Close()
	p := page{next: t.next}
	size, gap, due := 0, false, t.due
	for size < pageBytes && p.lost == nil && rows.Next() {
		var r record
		if err := rows.Scan(&r.id, &r.table, &r.op, &r.key, &r.cause, &r.old, &r.new, &r.at); err != nil {
			return page{}, err
		}
		if t.due < r.id {
			gap = true
		}
		t.due = r.id + 1
		if p.lost = r.lost(); p.lost == nil {
			e, err := t.s.plan.entry(r)
			if err != nil {
				return page{}, fmt.Errorf("%w: entry %d: %w", publisher.ErrHalt, r.id, err)
			}
			p.entries = append(p.entries, e)
		}
		p.next = r.id + 1
		size += len(r.old.String) + len(r.new.String)
	}
	if err := rows.Err(); err != nil {
		return page{}, err
	}
	rows.Close()
	p.full = len(p.entries) == pageEntries || size >= pageBytes
	if gap {
		// Another publisher may have confirmed what this one has not read.
		return p, t.s.has(ctx, t.conn, place{id: due - 1})
	}
	return p, nil
}
