package pgdb

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/petpro/fabric/publisher"
)

// Problems lists what any source has to complain of, by the names of the tables.
func (c *Catalog) Problems(m publisher.Mapping) []publisher.Problem {
	var found complaints
	needs := m.Needs()
	for _, name := range slices.Sorted(maps.Keys(needs)) {
		t, ok := c.Tables[name]
		if !ok {
			found.add(c.missingTable(m, name))
			continue
		}
		found.kind(t)
		found.columns(t, needs[name])
		found.key(m, name, t)
		found.privileges(c.Role, t, needs[name])
		found.children(t)
		found.names(m, name, t)
	}
	found.twice(c.Tables)
	found.touches(m, c.Tables)
	return found
}

type complaints []publisher.Problem

func (f *complaints) add(p publisher.Problem) { *f = append(*f, p) }

func (f *complaints) problem(mend, format string, args ...any) {
	f.add(publisher.Problem{What: fmt.Sprintf(format, args...), Mend: mend})
}

func (f *complaints) advice(mend, format string, args ...any) {
	f.add(publisher.Problem{What: fmt.Sprintf(format, args...), Mend: mend, Advice: true})
}

// setting is the key in the configuration of a mapped or followed table.
func setting(m publisher.Mapping, table string) string {
	if _, ok := m.Tables[table]; ok {
		return "mapping.tables." + table
	}
	return "mapping.follow." + table
}

// listed bounds the names in a sentence.
const listed = 40

func list(names []string) string {
	if len(names) > listed {
		return strings.Join(names[:listed], ", ") + fmt.Sprintf(" and %d more", len(names)-listed)
	}
	return strings.Join(names, ", ")
}

func (c *Catalog) missingTable(m publisher.Mapping, table string) publisher.Problem {
	relation := m.Relation(table)
	what := fmt.Sprintf("%s: the database has no table %s", setting(m, table), relation)
	if len(c.Known) == 0 {
		return publisher.Problem{What: what + ", nor any other"}
	}
	_, name := splitName(relation)
	var meant, all []string
	for _, k := range c.Known {
		all = append(all, k.String())
		if alike(k.Name, name) {
			meant = append(meant, k.String())
		}
	}
	if len(meant) > 0 {
		return publisher.Problem{
			What: what + " but " + list(meant) + "; if that is meant",
			Mend: setting(m, table) + ".from: " + meant[0],
		}
	}
	return publisher.Problem{What: what + ", only " + list(all)}
}

func (f *complaints) kind(t *Table) {
	switch {
	case t.Kind != Ordinary && t.Kind != Partitioned:
		f.problem("map the tables behind it", "%s is a %s, whose changes nobody can follow", t.Name, t.Kind)
	case t.Temporary:
		f.problem("", "%s is a temporary table, which only its own session sees", t.Name)
	case t.Unlogged:
		f.problem("ALTER TABLE "+t.Quoted()+" SET LOGGED", "%s is unlogged: a crash empties it, and no change of it is in the log", t.Name)
	}
}

func (f *complaints) columns(t *Table, needs []string) {
	var real []string
	for _, c := range t.Columns {
		real = append(real, c.Name)
	}
	for _, column := range needs {
		if column == "" || slices.Contains(real, column) {
			continue // NewMapper complains of the empty name
		}
		what := fmt.Sprintf("%s has no column %q but %s", t.Name, column, list(real))
		if i := slices.IndexFunc(real, func(r string) bool { return alike(r, column) }); i >= 0 {
			what += fmt.Sprintf("; did you mean %q?", real[i])
		}
		f.problem("", "%s", what)
	}
}

// key complains of keys by which the database may hold several rows.
func (f *complaints) key(m publisher.Mapping, name string, t *Table) {
	for _, key := range keys(m, name) {
		column, ok := t.Column(key)
		switch {
		case !ok || t.Unique(key) || t.Kind != Ordinary && t.Kind != Partitioned:
		case t.Kind == Partitioned && slices.Contains(t.PrimaryKey(), key):
			f.advice("", "%s is partitioned, so PostgreSQL does not keep its key %q unique by itself: rows with the same one would share what is published", t.Name, key)
		case slices.ContainsFunc(t.Indexes, func(i Index) bool { return i.unique(key) }):
			f.problem(notNull(t, key), "%s: the key %q may be NULL", t.Name, key)
		default:
			mend := fmt.Sprintf("CREATE UNIQUE INDEX %sON %s (%s)", concurrently(t), t.Quoted(), Quote(key))
			if !column.NotNull {
				mend += "; " + notNull(t, key)
			}
			f.problem(mend, "%s: the key %q is not unique: it must be the primary key, or NOT NULL with a unique index of its own, neither partial nor deferrable", t.Name, key)
		}
	}
}

func notNull(t *Table, column string) string {
	return fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", t.Quoted(), Quote(column))
}

// keys of a table that is mapped, followed or both.
func keys(m publisher.Mapping, name string) []string {
	var keys []string
	if t, ok := m.Tables[name]; ok {
		keys = append(keys, t.Key)
	}
	if f, ok := m.Follow[name]; ok && !slices.Contains(keys, f.Key) {
		keys = append(keys, f.Key)
	}
	return keys
}

func (f *complaints) privileges(role string, t *Table, needs []string) {
	if !t.SchemaUsage {
		f.problem(fmt.Sprintf("GRANT USAGE ON SCHEMA %s TO %s", Quote(t.Schema), Quote(role)),
			"role %q may not use schema %s", role, t.Schema)
	}
	var denied []string
	for _, name := range needs {
		if c, ok := t.Column(name); ok && !c.Select {
			denied = append(denied, name)
		}
	}
	if len(denied) > 0 {
		f.problem(fmt.Sprintf("GRANT SELECT (%s) ON %s TO %s", QuoteList(denied), t.Quoted(), Quote(role)),
			"role %q may not read %s of %s", role, list(denied), t.Name)
	}
	if t.RowSecurity {
		f.problem("ALTER ROLE "+Quote(role)+" BYPASSRLS",
			"row level security hides rows of %s from role %q: they would be missing without a word", t.Name, role)
	}
}

// children complains of tables whose rows are seen in t, but not their changes.
func (f *complaints) children(t *Table) {
	for _, c := range t.Children {
		switch {
		case !c.Partition:
			f.problem("map it by itself, or make "+t.Name.String()+" a partitioned table",
				"%s inherits from %s: reading %s gives its rows too, while its changes are its own", c.Name, t.Name, t.Name)
		case c.Kind == Foreign:
			f.problem("", "%s, a partition of %s, is a foreign table, whose changes nobody can follow", c.Name, t.Name)
		case c.Unlogged:
			f.problem("ALTER TABLE "+c.Quoted()+" SET LOGGED", "%s, a partition of %s, is unlogged: a crash empties it, and no change of it is in the log", c.Name, t.Name)
		}
	}
}

// names complains of a name that another search_path leads elsewhere.
func (f *complaints) names(m publisher.Mapping, name string, t *Table) {
	if len(t.AlsoIn) > 0 {
		f.advice(setting(m, name)+".from: "+t.Name.String(),
			"%s is read from %s by the role's search_path, but schema %s has such a table too; say which is meant", name, t.Name, list(t.AlsoIn))
	}
}

// twice complains of a table under two names.
func (f *complaints) twice(tables map[string]*Table) {
	byOID := map[uint32]string{}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		first, ok := byOID[tables[name].OID]
		if ok {
			f.problem("use one name in the whole mapping", "%s and %s are the same table, %s", first, name, tables[name].Name)
			continue
		}
		byOID[tables[name].OID] = name
	}
}

// touches advises indexes for finding the rows that point to a followed one.
func (f *complaints) touches(m publisher.Mapping, tables map[string]*Table) {
	for _, rule := range m.Touches() {
		t, ok := tables[rule.Table]
		if !ok || t.Kind != Ordinary && t.Kind != Partitioned {
			continue
		}
		if _, ok := t.Column(rule.Column); !ok || t.Indexed(rule.Column) {
			continue
		}
		f.advice(fmt.Sprintf("CREATE INDEX %sON %s (%s)", concurrently(t), t.Quoted(), Quote(rule.Column)),
			"%s: no index finds rows by %q, so each change of %s reads the whole table", t.Name, rule.Column, rule.Followed)
	}
}

// concurrently builds an index without stopping the shop, where PostgreSQL can.
func concurrently(t *Table) string {
	if t.Kind == Partitioned {
		return ""
	}
	return "CONCURRENTLY "
}
