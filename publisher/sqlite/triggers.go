package sqlite

import (
	"fmt"
	"strings"

	"github.com/petpro/fabric/publisher"
)

// trigger of ours: its name, its table and the statement that makes it.
type trigger struct{ name, table, sql string }

// now is the time of the change, in milliseconds; SQLite holds it still within
// a statement.
const now = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"

// builder writes the triggers of one table. Their text depends on the mapping
// and the table's unique keys alone, so that a change of either is seen by
// comparing texts.
//
// The statement that fires a trigger imposes its conflict clause on the
// statements inside. Nothing in here can conflict, so INSERT OR IGNORE and
// INSERT OR REPLACE of the shop do no harm.
type builder struct {
	*table
	plan plan
	real catalogTable
}

// triggers in the order in which they must be made: SQLite runs the newest
// first.
func (b builder) triggers() []trigger {
	ofUnique := ""
	if columns := b.real.settable(); columns != nil {
		for i, c := range columns {
			columns[i] = quoteName(c)
		}
		ofUnique = " OF " + strings.Join(columns, ", ")
	}
	other := b.col("r") + " IS NOT " + b.col("OLD")
	return []trigger{
		b.trigger("before_insert", "BEFORE INSERT", b.inWay(""), b.note("")),
		b.trigger("insert", "AFTER INSERT", "", b.inserted()),
		b.trigger("before_update", "BEFORE UPDATE"+ofUnique, "("+b.inWay(other)+")", b.note(other)),
		b.trigger("update", "AFTER UPDATE", changedSQL(b.columns), b.updated()),
		b.trigger("replaced", "AFTER UPDATE"+ofUnique, "EXISTS (SELECT 1 FROM fabric_replaced WHERE tbl = "+quoteText(b.name)+")",
			b.replacedByUpdate()),
		b.trigger("delete", "AFTER DELETE", "", b.deleted()),
	}
}

// conflicts are the queries for the keys of the rows r in the way of NEW, one
// for each unique set: joined with OR, some versions of SQLite read the table
// from end to end.
func (b builder) conflicts(condition string) []string {
	queries := make([]string, 0, len(b.real.uniques))
	for _, set := range b.real.uniques {
		query := "SELECT " + b.col("r") + " FROM " + quoteName(b.real.name) + " AS r WHERE " + set.conflictSQL()
		if condition != "" {
			query += " AND " + condition
		}
		queries = append(queries, query)
	}
	return queries
}

// inWay is true if there is a row in the way.
func (b builder) inWay(condition string) string {
	return "EXISTS (" + strings.Join(b.conflicts(condition), ") OR EXISTS (") + ")"
}

func (b builder) trigger(kind, event, when string, body []string) trigger {
	name := "fabric_" + kind + "_" + b.name
	var s strings.Builder
	fmt.Fprintf(&s, "CREATE TRIGGER %s %s ON %s", quoteName(name), event, quoteName(b.real.name))
	if when != "" {
		fmt.Fprintf(&s, " WHEN %s", when)
	}
	fmt.Fprintf(&s, " BEGIN\n%s;\nEND", strings.Join(body, ";\n"))
	return trigger{name, b.real.name, s.String()}
}

// col is the key of the row called by that name in the statement.
func (b builder) col(row string) string { return row + "." + quoteName(b.key) }

// change begins a statement that appends to the log; FROM and WHERE may follow.
func change(tbl, op, key, cause, before, after string) string {
	return fmt.Sprintf("INSERT INTO fabric_changes(tbl, op, key, cause, old, new, at)\nSELECT %s, %s, %s, %s, %s, %s, %s",
		quoteText(tbl), op, key, cause, before, after, now)
}

// changedSQL is true if one of the columns has another value or another type of
// value (1 and 1.0 show differently); collations do not count.
func changedSQL(columns []string) string {
	parts := make([]string, 0, 2*len(columns))
	for _, c := range columns {
		was, is := "OLD."+quoteName(c), "NEW."+quoteName(c)
		parts = append(parts, was+" IS NOT "+is+" COLLATE BINARY", "typeof("+was+") <> typeof("+is+")")
	}
	return strings.Join(parts, " OR ")
}

// note keeps the rows in the way of the statement under way. If that is ignored
// or becomes an upsert the notes stay until the next one; deleted and updated
// take care that they are not then taken for rows that were replaced.
func (b builder) note(condition string) []string {
	return []string{
		b.forget(),
		fmt.Sprintf("INSERT INTO fabric_replaced(tbl, key, old)\nSELECT %s, %s, %s FROM %s AS r WHERE %[2]s IN (%[5]s)",
			quoteText(b.name), b.col("r"), rowSQL("r", b.columns), quoteName(b.real.name),
			strings.Join(b.conflicts(condition), " UNION ")),
	}
}

func (b builder) forget() string {
	return "DELETE FROM fabric_replaced WHERE tbl = " + quoteText(b.name)
}

// gone is true for a noted row f that is no longer there. The second comparison
// is for keys that differ in case only; the first, in the column's own
// collation, finds the row by its index.
func (b builder) gone() string {
	return fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s AS o WHERE %s = f.key AND %[2]s = f.key COLLATE BINARY)",
		quoteName(b.real.name), b.col("o"))
}

// replaced logs the noted rows for which the condition holds.
func (b builder) replaced(condition string) []string {
	where := " WHERE f.tbl = " + quoteText(b.name) + " AND " + condition
	body := []string{change(b.name, "'d'", "quote(f.key)", "NULL", "f.old", "NULL") + " FROM fabric_replaced AS f" + where}
	for _, rule := range b.touches {
		body = append(body, b.touch(rule, "f.key", "f.old")+
			" JOIN fabric_replaced AS f ON r."+quoteName(rule.Column)+" = f.key"+where)
	}
	return body
}

// touch begins the statement that logs the rows r whose access depends on a
// followed row of this table, given by its key and its former state.
func (b builder) touch(rule publisher.TouchRule, key, before string) string {
	touched := b.plan[rule.Table]
	return change(touched.name, "'t'", "quote("+key+")", quoteText(b.name), before, rowSQL("r", touched.columns)) +
		" FROM " + quoteName(rule.Table) + " AS r"
}

// touchAll touches what depends on the row OLD or NEW, if the condition holds.
func (b builder) touchAll(row, before, condition string) (body []string) {
	for _, rule := range b.touches {
		key := row + "." + quoteName(rule.FollowKey)
		body = append(body, b.touch(rule, key, before)+" WHERE r."+quoteName(rule.Column)+" = "+key+condition)
	}
	return body
}

func (b builder) inserted() []string {
	before := fmt.Sprintf("(SELECT old FROM fabric_replaced WHERE tbl = %s AND key IS %s)", quoteText(b.name), b.col("NEW"))
	// A row with NEW's key became NEW: an update.
	body := b.replaced("f.key IS NOT " + b.col("NEW") + " AND " + b.gone())
	body = append(body, change(b.name, "CASE WHEN p.old IS NULL THEN 'i' ELSE 'u' END", "quote("+b.col("NEW")+")", "NULL", "p.old", "p.new")+
		" FROM (SELECT "+before+" AS old, "+rowSQL("NEW", b.columns)+" AS new) AS p WHERE p.old IS NOT p.new")
	body = append(body, b.touchAll("NEW", before, "")...)
	return append(body, b.forget())
}

// replacedByUpdate comes before what updated logs. Another row which had NEW's
// key is gone.
func (b builder) replacedByUpdate() []string {
	body := b.replaced("f.key IS NOT " + b.col("OLD") + " AND (f.key IS " + b.col("NEW") + " OR " + b.gone() + ")")
	return append(body, b.forget())
}

func (b builder) updated() []string {
	was, is := "quote("+b.col("OLD")+")", "quote("+b.col("NEW")+")"
	moved := was + " <> " + is
	before, after := rowSQL("OLD", b.columns), rowSQL("NEW", b.columns)

	body := []string{change(b.name, "CASE WHEN "+moved+" THEN 'd' ELSE 'u' END", was, "NULL",
		before, "CASE WHEN "+moved+" THEN NULL ELSE "+after+" END")}
	body = append(body, b.touchAll("OLD", before, "")...)
	body = append(body, change(b.name, "'i'", is, "NULL", "NULL", after)+" WHERE "+moved)
	body = append(body, b.touchAll("NEW", "NULL", " AND "+moved)...)
	return append(body, b.forget()+" AND key IS "+b.col("OLD")+" AND "+moved)
}

func (b builder) deleted() []string {
	before := rowSQL("OLD", b.columns)
	body := []string{
		b.forget() + " AND key IS " + b.col("OLD"),
		change(b.name, "'d'", "quote("+b.col("OLD")+")", "NULL", before, "NULL"),
	}
	return append(body, b.touchAll("OLD", before, "")...)
}
