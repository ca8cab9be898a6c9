package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/petpro/fabric/publisher"
)

// ownTables are all the tables this package makes. key, old and new are not
// NOT NULL on purpose: under INSERT OR IGNORE of the shop such an entry would
// be dropped without a word.
var ownTables = []string{
	`CREATE TABLE IF NOT EXISTS fabric_changes (
	id    INTEGER PRIMARY KEY AUTOINCREMENT,
	tbl   TEXT,
	op    TEXT,
	key   TEXT,
	cause TEXT,
	old   TEXT,
	new   TEXT,
	at    TEXT
)`,
	`CREATE TABLE IF NOT EXISTS fabric_replaced (tbl, key, old)`,
	`CREATE TABLE IF NOT EXISTS fabric_meta (
	kind  TEXT,
	name  TEXT,
	value,
	PRIMARY KEY (kind, name)
) WITHOUT ROWID`,
}

// installed is what the database has of ours, compared with the plan.
type installed struct {
	catalog map[string]catalogTable
	// wanted triggers, none if complaints is set.
	wanted []trigger
	// present are the names of our triggers in the database.
	present []string
	// stale is true if they are not the wanted ones.
	stale bool
	// lost are the tables whose triggers we made and somebody removed.
	lost []string
	// complaints about the mapping.
	complaints error
}

// inspect compares. It writes nothing.
func (s *Source) inspect(ctx context.Context, q querier) (in installed, err error) {
	made, err := readMade(ctx, q)
	if err != nil {
		return in, err
	}
	found, foreign, err := readTriggers(ctx, q)
	if err != nil {
		return in, err
	}
	in.catalog, in.complaints, err = s.plan.readCatalog(ctx, q)
	if err != nil {
		return in, err
	}
	if in.complaints == nil {
		for _, t := range s.plan.sorted() {
			in.wanted = append(in.wanted, builder{t, s.plan, in.catalog[t.name]}.triggers()...)
		}
	}
	for _, f := range found {
		in.present = append(in.present, f.name)
	}
	in.stale = !slices.EqualFunc(found, in.wanted, func(f foundTrigger, w trigger) bool {
		return f.trigger == w && f.rowid > foreign[strings.ToLower(f.table)]
	})
	for _, m := range made {
		there := slices.ContainsFunc(found, func(f foundTrigger) bool {
			return f.name == m.name && strings.EqualFold(f.table, m.table)
		})
		if !there && !slices.Contains(in.lost, m.table) && s.plan.has(m.table) {
			in.lost = append(in.lost, m.table)
		}
	}
	return in, nil
}

// install makes the database what the plan wants, in one transaction, and
// returns the real tables, or the complaints about the mapping. If it finds
// that triggers were removed, it marks the place in the log.
func (s *Source) install(ctx context.Context, c *connection) (map[string]catalogTable, error) {
	tx, err := c.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	for _, stmt := range ownTables {
		if _, err := tx.ExecContext(ctx, stmt); err != nil {
			return nil, err
		}
	}
	in, err := s.inspect(ctx, tx)
	switch {
	case err != nil:
		return nil, err
	case in.complaints != nil:
		if err := s.disarm(ctx, tx); err != nil {
			return nil, errors.Join(in.complaints, err)
		}
	case in.stale || in.lost != nil:
		if err := s.renew(ctx, tx, in); err != nil {
			return nil, err
		}
	}
	if err := tx.Commit(); err != nil {
		return nil, errors.Join(in.complaints, err)
	}
	if in.complaints != nil {
		return nil, fmt.Errorf("%w: %w", publisher.ErrHalt, in.complaints)
	}
	return in.catalog, nil
}

// renew makes all triggers anew, so that they are the newest.
func (s *Source) renew(ctx context.Context, tx *sql.Tx, in installed) error {
	stmts := []string{"DELETE FROM fabric_replaced", "DELETE FROM fabric_meta WHERE kind = 'trigger'"}
	for _, name := range in.present {
		stmts = append(stmts, "DROP TRIGGER "+quoteName(name))
	}
	for _, t := range in.wanted {
		stmts = append(stmts, t.sql, fmt.Sprintf("INSERT INTO fabric_meta(kind, name, value) VALUES ('trigger', %s, %s)",
			quoteText(t.name), quoteText(t.table)))
	}
	for _, table := range in.lost {
		s.log.Warn("triggers had been removed: changes of this table may be missing in the log", "table", table)
		stmts = append(stmts, change(table, "'x'", "NULL", "NULL", "NULL", "NULL"))
	}
	for _, stmt := range stmts {
		if _, err := tx.ExecContext(ctx, stmt); err != nil {
			return fmt.Errorf("install triggers: %w", err)
		}
	}
	s.log.Info("triggers installed", "tables", len(s.plan), "triggers", len(in.wanted))
	return nil
}

// disarm removes the triggers that no longer compile, for with them the shop
// could not write at all. inspect finds them missing later.
func (s *Source) disarm(ctx context.Context, tx *sql.Tx) error {
	found, _, err := readTriggers(ctx, tx)
	if err != nil {
		return err
	}
	sound := map[string]bool{}
	for _, f := range found {
		ok, known := sound[f.table]
		if !known {
			ok = compiles(ctx, tx, f.table)
			sound[f.table] = ok
		}
		if ok {
			continue
		}
		s.log.Warn("trigger no longer fits the tables and is removed", "trigger", f.name, "table", f.table)
		if _, err := tx.ExecContext(ctx, "DROP TRIGGER "+quoteName(f.name)); err != nil {
			return err
		}
	}
	return nil
}

// compiles says whether rows of the table can be written with its triggers.
func compiles(ctx context.Context, tx *sql.Tx, table string) bool {
	ct, err := readTable(ctx, tx, table)
	if err != nil || len(ct.columns) == 0 {
		return false
	}
	column := quoteName(ct.columns[0])
	for _, stmt := range []string{
		"EXPLAIN INSERT INTO %[1]s DEFAULT VALUES",
		"EXPLAIN UPDATE %[1]s SET %[2]s = %[2]s",
		"EXPLAIN DELETE FROM %[1]s",
	} {
		rows, err := tx.QueryContext(ctx, fmt.Sprintf(stmt, quoteName(table), column))
		if err != nil {
			return false
		}
		rows.Close()
	}
	return true
}

// foundTrigger is one of ours in the database.
type foundTrigger struct {
	trigger
	rowid int64
}

// readTriggers reads our triggers in the order they were made, and the rowid
// of the newest foreign one of each table.
func readTriggers(ctx context.Context, q querier) (ours []foundTrigger, foreign map[string]int64, err error) {
	foreign = map[string]int64{}
	err = each(ctx, q, func(scan func(...any) error) error {
		var f foundTrigger
		if err := scan(&f.name, &f.table, &f.sql, &f.rowid); err != nil {
			return err
		}
		if strings.HasPrefix(f.name, "fabric_") && (strings.Contains(f.sql, "fabric_changes") || strings.Contains(f.sql, "fabric_replaced")) {
			ours = append(ours, f)
		} else {
			foreign[strings.ToLower(f.table)] = f.rowid
		}
		return nil
	}, "SELECT name, tbl_name, sql, rowid FROM sqlite_master WHERE type = 'trigger' ORDER BY rowid")
	return ours, foreign, err
}

// readMade reads which triggers were made, whether or not they are there.
func readMade(ctx context.Context, q querier) (made []trigger, err error) {
	err = each(ctx, q, func(scan func(...any) error) error {
		var t trigger
		if err := scan(&t.name, &t.table); err != nil {
			return err
		}
		made = append(made, t)
		return nil
	}, "SELECT name, value FROM fabric_meta WHERE kind = 'trigger' ORDER BY name")
	return made, err
}
