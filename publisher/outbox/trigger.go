package outbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher/pgdb"
)

// trigger is what is installed for one table.
type trigger struct {
	layout layout
	real   *pgdb.Table
	// forms are the settings that the text of the columns depends on.
	forms []pgdb.Form
}

// longestName is NAMEDATALEN - 1.
const longestName = 63

// objectName is "log bookings", cut if it is too long for PostgreSQL.
func objectName(prefix, table string) string {
	name := prefix + " " + table
	if len(name) <= longestName {
		return name
	}
	sum := sha256.Sum256([]byte(table))
	return strings.ToValidUTF8(name[:longestName-9], "") + " " + hex.EncodeToString(sum[:4])
}

// Names of the functions. They end in the mapping's name of the table.
const (
	logPrefix      = "log"
	truncatePrefix = "truncate"
)

// triggerName begins with a sign that sorts before letters and digits:
// triggers fire in the order of their names, and one of the shop's that updates
// the same row must do so after the change at hand was logged.
func (q queries) triggerName(what string) string { return objectName("!"+q.schema, what) }

// plainTypes are the types whose text no setting changes, apart from enums.
var plainTypes = []uint32{
	16, 18, 19, 20, 21, 23, 25, 26, 114, 142, 1042, 1043, 1083, 1266, 1560, 1562, 1700, 2950, 3802, 650, 774, 829, 869,
}

// formsOf is which settings the text of a type depends on.
var formsOf = map[uint32][]string{
	700: {"extra_float_digits"}, 701: {"extra_float_digits"},
	17:   {"bytea_output"},
	1082: {"datestyle"}, 1114: {"datestyle"}, 1184: {"datestyle", "timezone"},
	1186: {"intervalstyle"},
}

// enumsQuery finds the enums among types, and what arrays are of.
const enumsQuery = `SELECT t.oid, t.typtype = 'e', CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END FROM pg_type t WHERE t.oid = ANY ($1::oid[])`

// readForms finds the settings that each of the tables needs: every SET clause
// costs about 0.5 µs in each change of the shop.
func readForms(ctx context.Context, db pgdb.DB, triggers []*trigger) error {
	var oids []string
	for _, t := range triggers {
		for _, c := range t.columns() {
			oids = append(oids, fmt.Sprint(c.BaseOID))
		}
	}
	rows, err := db.Query(ctx, enumsQuery, "{"+strings.Join(oids, ",")+"}")
	if err != nil {
		return err
	}
	plain, element := map[uint32]bool{}, map[uint32]uint32{}
	var oid, of uint32
	var enum bool
	if _, err := pgx.ForEachRow(rows, []any{&oid, &enum, &of}, func() error {
		plain[oid], element[oid] = enum, of
		return nil
	}); err != nil {
		return err
	}
	for _, t := range triggers {
		t.forms = t.needed(plain, element)
	}
	return nil
}

// needed settings, in the order of pgdb.Forms.
func (t *trigger) needed(enums map[uint32]bool, element map[uint32]uint32) (forms []pgdb.Form) {
	need := map[string]bool{}
	for _, c := range t.columns() {
		oid := c.BaseOID
		if element[oid] != 0 {
			oid = element[oid]
		}
		names, known := formsOf[oid]
		if !known && !enums[oid] && !slices.Contains(plainTypes, oid) {
			for _, f := range pgdb.Forms { // composites, ranges, extensions: anything
				need[f.Name] = true
			}
		}
		for _, name := range names {
			need[name] = true
		}
	}
	for _, f := range pgdb.Forms {
		if need[f.Name] {
			forms = append(forms, f)
		}
	}
	return forms
}

func (t *trigger) columns() []pgdb.Column {
	var columns []pgdb.Column
	for _, name := range t.layout.columns {
		if c, ok := t.real.Column(name); ok {
			columns = append(columns, c)
		}
	}
	return columns
}

// head of CREATE FUNCTION up to the body.
func (t *trigger) head(q queries, name string, forms []pgdb.Form) string {
	head := "CREATE OR REPLACE FUNCTION " + pgdb.Quote(q.schema, name) + "() RETURNS trigger\n" +
		"LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp"
	for _, f := range forms {
		head += fmt.Sprintf(" SET %s = '%s'", f.Name, f.Value)
	}
	return head + "\nAS "
}

// renamed is the SQL that reads, from the catalog, what the columns of the
// layout are called now, for the slow path: "fields" are expressions on a row
// of that name, NULL for a column that is gone, and "named" is the list that
// parseNames reads.
const renamed = `SELECT string_agg(coalesce('@row.' || quote_ident(a.attname), 'NULL'), ', ' ORDER BY k.nr), to_json(array_agg(a.attname ORDER BY k.nr))::text
    INTO fields, named
    FROM unnest('@numbers'::int2[]) WITH ORDINALITY k(num, nr)
    LEFT JOIN pg_attribute a ON a.attrelid = @oid AND a.attnum = k.num AND NOT a.attisdropped;`

func (t *trigger) renamed(row string) string {
	numbers := make([]string, len(t.layout.numbers))
	for i, n := range t.layout.numbers {
		numbers[i] = fmt.Sprint(n)
	}
	return strings.NewReplacer("@row", row, "@numbers", "{"+strings.Join(numbers, ",")+"}", "@oid", fmt.Sprint(t.layout.oid)).Replace(renamed)
}

// logBody is the function that logs a change of a row.
//
// A column that was renamed or dropped fails the first block, and the second
// finds by its number what it is called now: the shop goes on writing, and the
// change is logged whole, with the names as they are. That costs 1 µs for the
// handler, and 0.1 ms a row until the setup is run again.
//
// Whoever sleeps holds the advisory lock; whoever cannot share it wakes it up.
const logBody = `
DECLARE
  former text; latter text; fields text; named text;
BEGIN
  BEGIN
    IF TG_OP <> 'INSERT' THEN former := @OLD; END IF;
    IF TG_OP <> 'DELETE' THEN latter := @NEW; END IF;
  EXCEPTION WHEN OTHERS THEN
   BEGIN
    @renamed
    IF TG_OP <> 'INSERT' THEN EXECUTE 'SELECT ROW(' || fields || ')::text' INTO former USING OLD; END IF;
    IF TG_OP <> 'DELETE' THEN EXECUTE 'SELECT ROW(' || fields || ')::text' INTO latter USING NEW; END IF;
   EXCEPTION WHEN OTHERS THEN
    former := NULL; latter := NULL; named := '!' || SQLERRM;
   END;
  END;
  IF former = latter COLLATE "C" THEN RETURN NULL; END IF;
  INSERT INTO @outbox (layout, op, size, named, old, new)
  VALUES (@layout, lower(left(TG_OP, 1))::"char", coalesce(octet_length(former), 0) + coalesce(octet_length(latter), 0), named, former, latter);
  @wake
  RETURN NULL;
END `

// truncateBody is the function that logs the deletion of every row.
const truncateBody = `
DECLARE
  fields text; named text;
BEGIN
  PERFORM pg_current_xact_id(); -- before an id is drawn
  BEGIN
    @renamed
    EXECUTE 'INSERT INTO @quoted (layout, op, size, named, old) SELECT @layout, ''d'', octet_length(r), $1, r FROM (SELECT ROW('
      || fields || ')::text AS r FROM @only' || TG_RELID::regclass || ' t) q' USING named;
  EXCEPTION WHEN OTHERS THEN
    INSERT INTO @outbox (layout, op, size, named) VALUES (@layout, 'x', 0, 'TRUNCATE: ' || SQLERRM);
  END;
  @wake
  RETURN NULL;
END `

// wakeSQL notifies a reader that sleeps (see waiter). A transaction that
// notifies cannot be prepared for a commit in two phases, so where that can be
// done nobody is notified, and the reader polls.
const wakeSQL = `IF NOT pg_try_advisory_xact_lock_shared(%d, %d) AND current_setting('max_prepared_transactions') = '0' THEN
    PERFORM pg_notify(%s, '');
  END IF;`

func (t *trigger) bodies(q queries) (log, truncate string) {
	only := ""
	if t.real.Kind == pgdb.Ordinary {
		only = "ONLY "
	}
	replacer := strings.NewReplacer(
		"@OLD", recordSQL("OLD", t.layout.columns), "@NEW", recordSQL("NEW", t.layout.columns),
		"@outbox", pgdb.Quote(q.schema, "outbox"), "@layout", fmt.Sprint(t.layout.id), "@only", only,
		"@quoted", strings.ReplaceAll(pgdb.Quote(q.schema, "outbox"), "'", "''"),
		"@wake", fmt.Sprintf(wakeSQL, q.lockOf, q.lockName, pgdb.QuoteLiteral(q.channel)),
	)
	log = strings.ReplaceAll(logBody, "@renamed", t.renamed("($1)"))
	truncate = strings.ReplaceAll(truncateBody, "@renamed", t.renamed("t"))
	return replacer.Replace(log), replacer.Replace(truncate)
}

// quoteBody quotes a function's body so that it can be read.
func quoteBody(body string) string {
	tag := "$fabric$"
	for strings.Contains(body, tag) {
		tag = tag[:len(tag)-1] + "_$"
	}
	return tag + body + tag
}
