package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// querier is a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// catalogTable is a table as the database has it.
type catalogTable struct {
	name    string
	columns []string
	// generated are the columns that SQLite computes.
	generated []string
	// uniques are the sets of columns of which no two rows may have the same
	// values: who has REPLACE removes the row in the way.
	uniques []uniqueSet
	// indexes are the leading columns of all indexes.
	indexes []string
	// unseen are unique indexes on expressions, which triggers cannot judge.
	unseen []string
}

type uniqueSet struct {
	columns []uniqueColumn
	// partial is true if only some of the rows must differ.
	partial bool
}

type uniqueColumn struct{ name, collation string }

// conflictSQL is true for the rows r that are in the way of the row NEW. Before
// an INSERT, NEW.rowid is -1 if SQLite is to choose it; finding a row too many
// does no harm, for what was not removed is not logged.
func (set uniqueSet) conflictSQL() string {
	terms := make([]string, 0, len(set.columns))
	for _, c := range set.columns {
		term := "r." + quoteName(c.name) + " = NEW." + quoteName(c.name)
		if c.collation != "" {
			term += " COLLATE " + quoteName(c.collation)
		}
		terms = append(terms, term)
	}
	return strings.Join(terms, " AND ")
}

// settable lists the columns of the unique sets, each once, for UPDATE OF; nil
// if one of them is generated, which changes without being set. (Nor is the
// rowid named that way: UPDATE OR REPLACE … SET rowid is not provided for.)
func (t catalogTable) settable() []string {
	var names []string
	for _, set := range t.uniques {
		for _, c := range set.columns {
			switch {
			case slices.Contains(t.generated, c.name):
				return nil
			case slices.Contains(t.columns, c.name) && !slices.Contains(names, c.name):
				names = append(names, c.name)
			}
		}
	}
	return names
}

// hasUnique says whether the column alone identifies a row.
func (t catalogTable) hasUnique(column string) bool {
	return slices.ContainsFunc(t.uniques, func(set uniqueSet) bool {
		return len(set.columns) == 1 && !set.partial && strings.EqualFold(set.columns[0].name, column)
	})
}

func (t catalogTable) hasColumn(name string) bool {
	return slices.ContainsFunc(t.columns, func(c string) bool { return strings.EqualFold(c, name) })
}

// hasIndex says whether there is an index to find rows by the column.
func (t catalogTable) hasIndex(column string) bool {
	return t.hasUnique(column) || slices.Contains(t.indexes, strings.ToLower(column))
}

// readCatalog reads the tables of the plan. complaints is one error of many
// lines for all that the plan has and the database has not.
func (p plan) readCatalog(ctx context.Context, q querier) (catalog map[string]catalogTable, complaints, err error) {
	kinds, names, err := readTables(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	catalog = make(map[string]catalogTable, len(p))
	var missing []error
	for _, t := range p.sorted() {
		switch k := kinds[strings.ToLower(t.name)]; k.kind {
		case "":
			missing = append(missing, fmt.Errorf("mapping: the database has no table %q, only %s: correct the name or create the table", t.name, list(names)))
		case "table":
			real, err := readTable(ctx, q, k.name)
			if err != nil {
				return nil, nil, err
			}
			catalog[t.name] = real
			missing = append(missing, t.complaints(real)...)
		default:
			missing = append(missing, fmt.Errorf("mapping: %q is a %s, and only tables can have triggers: map the tables behind it", t.name, k.kind))
		}
	}
	for _, t := range p.sorted() {
		for _, rule := range t.touches {
			if of, ok := catalog[rule.Table]; ok && !of.hasColumn(rule.Column) {
				missing = append(missing, fmt.Errorf("mapping: %s[%s] looks for a column that table %q has not, only %s", t.name, rule.Column, rule.Table, list(of.columns)))
			}
		}
	}
	return catalog, errors.Join(missing...), nil
}

// complaints about a table that exists.
func (t *table) complaints(real catalogTable) (errs []error) {
	if strings.HasPrefix(strings.ToLower(t.name), "fabric_") {
		errs = append(errs, fmt.Errorf("mapping: table %q belongs to the publisher itself: remove it", t.name))
	}
	if t.mapped && t.followed && t.key != t.followKey {
		errs = append(errs, fmt.Errorf("mapping: table %q has the key %q in tables and %q in follow: use one", t.name, t.key, t.followKey))
	}
	known := true
	for _, c := range t.columns {
		if !real.hasColumn(c) {
			errs = append(errs, fmt.Errorf("mapping: table %q has no column %q, only %s: correct the mapping or restore the column", t.name, c, list(real.columns)))
			known = known && c != t.key
		}
	}
	if known && !real.hasUnique(t.key) {
		errs = append(errs, fmt.Errorf("mapping: column %q of table %q is not unique, so it cannot be the key: name the primary key, or CREATE UNIQUE INDEX … ON %s(%s)",
			t.key, t.name, quoteName(t.name), quoteName(t.key)))
	}
	return errs
}

// list names for a sentence.
func list(names []string) string {
	if len(names) == 0 {
		return "none at all"
	}
	return strings.Join(names, ", ")
}

type tableKind struct{ name, kind string }

// readTables reads what is called a table, by lower-case name, and lists those
// of the shop.
func readTables(ctx context.Context, q querier) (kinds map[string]tableKind, names []string, err error) {
	kinds = map[string]tableKind{}
	err = each(ctx, q, func(scan func(...any) error) error {
		var t tableKind
		if err := scan(&t.name, &t.kind); err != nil {
			return err
		}
		kinds[strings.ToLower(t.name)] = t
		if t.kind == "table" && !strings.HasPrefix(t.name, "fabric_") && !strings.HasPrefix(t.name, "sqlite_") {
			names = append(names, t.name)
		}
		return nil
	}, "SELECT name, type FROM pragma_table_list WHERE schema = 'main' ORDER BY name")
	return kinds, names, err
}

func readTable(ctx context.Context, q querier, name string) (catalogTable, error) {
	t := catalogTable{name: name}
	var primary uniqueSet
	var rowid bool
	err := each(ctx, q, func(scan func(...any) error) error {
		var column, declared string
		var pk, hidden int
		if err := scan(&column, &declared, &pk, &hidden); err != nil {
			return err
		}
		if hidden > 0 {
			t.generated = append(t.generated, column)
		}
		t.columns = append(t.columns, column)
		if pk > 0 {
			primary.columns = append(primary.columns, uniqueColumn{name: column})
			rowid = strings.EqualFold(declared, "INTEGER")
		}
		return nil
	}, "SELECT name, type, pk, hidden FROM pragma_table_xinfo(?) ORDER BY cid", name)
	if err != nil {
		return t, err
	}
	if err := t.readIndexes(ctx, q); err != nil {
		return t, err
	}
	if len(primary.columns) == 1 && rowid {
		t.uniques = append(t.uniques, primary) // the rowid itself: no index
		return t, nil
	}
	return t, t.readRowid(ctx, q)
}

// readIndexes reads the unique sets and the leading columns of the indexes.
func (t *catalogTable) readIndexes(ctx context.Context, q querier) error {
	var names []string
	sets := map[string]*uniqueSet{}
	err := each(ctx, q, func(scan func(...any) error) error {
		var index, collation string
		var column sql.NullString // NULL for an expression
		var unique, partial, first bool
		if err := scan(&index, &unique, &partial, &first, &column, &collation); err != nil {
			return err
		}
		if first {
			t.indexes = append(t.indexes, strings.ToLower(column.String))
		}
		if !unique {
			return nil
		}
		if first {
			names = append(names, index)
			sets[index] = &uniqueSet{partial: partial}
		}
		sets[index].columns = append(sets[index].columns, uniqueColumn{column.String, collation})
		return nil
	}, `SELECT l.name, l."unique", l.partial, x.seqno = 0, x.name, x.coll
		FROM pragma_index_list(?) AS l, pragma_index_xinfo(l.name) AS x
		WHERE x.key ORDER BY l.seq, x.seqno`, t.name)
	for _, name := range names {
		if slices.ContainsFunc(sets[name].columns, func(c uniqueColumn) bool { return c.name == "" }) {
			t.unseen = append(t.unseen, name)
		} else {
			t.uniques = append(t.uniques, *sets[name])
		}
	}
	return err
}

// readRowid adds the rowid of a table that has one under no other name:
// whoever gives it explicitly can replace a row by it.
func (t *catalogTable) readRowid(ctx context.Context, q querier) error {
	var rowid bool
	err := q.QueryRowContext(ctx, "SELECT NOT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?", t.name).Scan(&rowid)
	if err != nil || !rowid {
		return err
	}
	for _, alias := range []string{"rowid", "_rowid_", "oid"} {
		if !t.hasColumn(alias) {
			t.uniques = append(t.uniques, uniqueSet{columns: []uniqueColumn{{name: alias}}})
			return nil
		}
	}
	return nil
}

// each calls f for every row of the query.
func each(ctx context.Context, q querier, f func(scan func(...any) error) error, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
