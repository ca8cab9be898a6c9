package outbox

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
)

// formatVersion is that of our tables, and part of every layout.
const formatVersion = 1

// ownTables are made once. Rows of the outbox live for milliseconds, batches
// until they are confirmed; autovacuum has to look at what was deleted, not at
// the share of it. Batches are already small pieces of text: to compress them
// would cost more than it saves.
var ownTables = []pgdb.Statement{
	{Why: "a schema that holds all that the fabric needs", SQL: `CREATE SCHEMA IF NOT EXISTS @`},
	{Why: "the outbox: changes that were not read yet", SQL: `CREATE TABLE IF NOT EXISTS @.outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  layout int NOT NULL,
  op "char" NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  size int NOT NULL,
  named text,
  old text,
  new text
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_insert_threshold = -1,
  autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000, autovacuum_vacuum_cost_delay = 0,
  toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 2000, toast.autovacuum_vacuum_cost_delay = 0)`},
	{Why: "the batch log: changes that were read, in their order, until they are safe in the stream", SQL: `CREATE TABLE IF NOT EXISTS @.batches (
  n bigint PRIMARY KEY,
  tag text NOT NULL,
  prior_tag text NOT NULL,
  prior_rows int NOT NULL,
  rows int NOT NULL,
  follows bool NOT NULL,
  discarded bigint NOT NULL,
  ahead bigint NOT NULL,
  seen int NOT NULL,
  layout int[] NOT NULL,
  op text NOT NULL,
  at timestamptz[] NOT NULL,
  named text[] NOT NULL,
  old text[] NOT NULL,
  new text[] NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_insert_threshold = -1,
  autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000, autovacuum_vacuum_cost_delay = 0,
  toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 2000, toast.autovacuum_vacuum_cost_delay = 0)`},
	{Why: "batches are not compressed, for speed", SQL: `ALTER TABLE @.batches ALTER old SET STORAGE EXTERNAL, ALTER new SET STORAGE EXTERNAL`},
	{Why: "what the triggers write, also former ones", SQL: `CREATE TABLE IF NOT EXISTS @.layouts (
  id int PRIMARY KEY,
  tbl text NOT NULL,
  relation oid NOT NULL,
  columns text[] NOT NULL,
  numbers int2[] NOT NULL,
  bools bool[] NOT NULL,
  watched bool NOT NULL DEFAULT false
)`},
	{Why: "one publisher at a time", SQL: `CREATE TABLE IF NOT EXISTS @.lease (
  one bool PRIMARY KEY DEFAULT true CHECK (one),
  holder text NOT NULL,
  until timestamptz NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500)`},
	{Why: "the lease, which nobody has", SQL: `INSERT INTO @.lease (holder, until) VALUES ('', '-infinity') ON CONFLICT DO NOTHING`},
	{Why: "the version of these tables", SQL: `CREATE TABLE IF NOT EXISTS @.meta (name text PRIMARY KEY, value text NOT NULL)`},
	{Why: "the version of these tables, and the source that they belong to", SQL: `INSERT INTO @.meta VALUES ('format', '@version'), ('source', @source)
ON CONFLICT (name) DO UPDATE SET value = excluded.value`},
}

// Setup lists what has to be executed, by the owner of the mapped tables or a
// superuser, before Check is content: our own schema, a function and two
// triggers for each table of the mapping, and the rights of the publisher's
// role, which is the one of the DSN. CREATE TRIGGER waits for the writers of
// the table, and makes them wait; nothing else touches the shop.
//
// All can be repeated; after a change of the mapping it has to be. There is
// nothing to do where Check is content.
func (s *Source) Setup(ctx context.Context) (statements []pgdb.Statement, err error) {
	err = s.withConn(ctx, "setup", func(c *conn) error {
		in, err := s.inspect(ctx, c)
		if err != nil {
			return err
		}
		if in.foreign != nil {
			return *in.foreign
		}
		if len(in.triggers) < len(s.plan) {
			return unmappable(in.catalog.Problems(s.mapping))
		}
		if in.serious() != nil {
			statements = s.statements(in.triggers, in.catalog.Role)
		}
		return nil
	})
	return statements, err
}

// unmappable joins the problems that no setup can mend.
func unmappable(problems []publisher.Problem) error {
	in := inspection{problems: problems}
	return in.serious()
}

func (s *Source) statements(triggers []*trigger, role string) []pgdb.Statement {
	var list []pgdb.Statement
	schema := quote(s.queries.schema)
	for _, st := range ownTables {
		st.SQL = strings.NewReplacer("@version", fmt.Sprint(formatVersion), "@source", pgdb.QuoteLiteral(s.name), "@", schema).Replace(st.SQL)
		list = append(list, st)
	}
	for _, t := range triggers {
		list = append(list, s.forTable(t)...)
	}
	list = append(list, s.dropOthers(triggers))
	return append(list, s.grants(triggers, role)...)
}

func (s *Source) forTable(t *trigger) []pgdb.Statement {
	q := s.queries
	l, name := t.layout, t.real.String()
	log, truncate := t.bodies(q)
	logName, truncateName := objectName(logPrefix, l.table), objectName(truncatePrefix, l.table)
	return []pgdb.Statement{
		{Why: "the columns of " + name + " that are logged, and no other", SQL: fmt.Sprintf(
			"INSERT INTO %s (id, tbl, relation, columns, numbers, bools)\nVALUES (%d, %s, %s::regclass, ARRAY[%s], '%s', '%s') ON CONFLICT (id) DO UPDATE SET relation = excluded.relation",
			pgdb.Quote(q.schema, "layouts"), l.id, pgdb.QuoteLiteral(l.table), pgdb.QuoteLiteral(t.real.Quoted()), literals(l.columns), braces(l.numbers), braces(l.bools))},
		{Why: "logs a change of a row of " + name, SQL: t.head(q, logName, t.forms) + quoteBody(log)},
		{Why: "logs a TRUNCATE of " + name + " as the deletion of each row", SQL: t.head(q, truncateName, t.forms) + quoteBody(truncate)},
		{Why: "nobody needs to call it", SQL: fmt.Sprintf("REVOKE ALL ON FUNCTION %s(), %s() FROM PUBLIC", pgdb.Quote(q.schema, logName), pgdb.Quote(q.schema, truncateName))},
		{Why: "triggers on " + name + ", if they are not there yet; where they were removed, the log says that it has a hole", SQL: s.createTriggers(t, logName, truncateName)},
	}
}

const triggersBody = `
BEGIN
  IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = @table::regclass AND tgname = @log AND tgenabled IN ('O', 'A'))
  AND EXISTS (SELECT FROM pg_trigger WHERE tgrelid = @table::regclass AND tgname = @truncate AND tgenabled IN ('O', 'A')) THEN
    UPDATE @layouts SET watched = true WHERE id = @layout AND NOT watched;
    RETURN;
  END IF;
  DROP TRIGGER IF EXISTS @"log ON @relation;
  DROP TRIGGER IF EXISTS @"truncate ON @relation;
  CREATE TRIGGER @"log AFTER INSERT OR UPDATE OR DELETE ON @relation FOR EACH ROW EXECUTE FUNCTION @"flog();
  CREATE TRIGGER @"truncate BEFORE TRUNCATE ON @relation FOR EACH STATEMENT EXECUTE FUNCTION @"ftruncate();
  INSERT INTO @outbox (layout, op, size, named)
  SELECT @layout, 'x', 0, 'its triggers had been removed or disabled' WHERE EXISTS (SELECT FROM @layouts WHERE tbl = @tbl AND watched);
  UPDATE @layouts SET watched = true WHERE id = @layout;
END `

func (s *Source) createTriggers(t *trigger, logName, truncateName string) string {
	q := s.queries
	logTrigger, truncateTrigger := q.triggerName(logPrefix), q.triggerName(truncatePrefix)
	return "DO " + quoteBody(strings.NewReplacer(
		"@table", pgdb.QuoteLiteral(t.real.Quoted()), "@relation", t.real.Quoted(), "@tbl", pgdb.QuoteLiteral(t.layout.table),
		`@"log`, quote(logTrigger), `@"truncate`, quote(truncateTrigger),
		"@log", pgdb.QuoteLiteral(logTrigger), "@truncate", pgdb.QuoteLiteral(truncateTrigger),
		`@"flog`, pgdb.Quote(q.schema, logName), `@"ftruncate`, pgdb.Quote(q.schema, truncateName),
		"@layouts", pgdb.Quote(q.schema, "layouts"), "@layout", fmt.Sprint(t.layout.id), "@outbox", pgdb.Quote(q.schema, "outbox"),
	).Replace(triggersBody))
}

const dropBody = `
DECLARE f regprocedure;
BEGIN
  FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = @schema::regnamespace AND prorettype = 'trigger'::regtype
    AND proname ~ '^(log|truncate) ' AND NOT proname = ANY (ARRAY[@names]::name[])
  LOOP EXECUTE 'DROP FUNCTION ' || f || ' CASCADE'; END LOOP;
END `

// dropOthers drops the functions, and with them the triggers, of tables that
// are no longer mapped.
func (s *Source) dropOthers(triggers []*trigger) pgdb.Statement {
	var names []string
	for _, t := range triggers {
		names = append(names, objectName(logPrefix, t.layout.table), objectName(truncatePrefix, t.layout.table))
	}
	return pgdb.Statement{Why: "triggers of tables that are no longer mapped", SQL: "DO " + quoteBody(strings.NewReplacer(
		"@schema", pgdb.QuoteLiteral(quote(s.queries.schema)), "@names", literals(names)).Replace(dropBody))}
}

// grants is the least that the publisher's role needs.
func (s *Source) grants(triggers []*trigger, role string) []pgdb.Statement {
	schema, to := s.queries.schema, " TO "+quote(role)
	list := []pgdb.Statement{{Why: "the publisher reads the outbox", SQL: "GRANT USAGE ON SCHEMA " + quote(schema) + to}}
	for _, r := range ownRights {
		list = append(list, pgdb.Statement{Why: r.why, SQL: "GRANT " + r.rights + " ON " + pgdb.Quote(schema, r.table) + to})
	}
	schemas := map[string]bool{}
	for _, t := range triggers {
		if !t.real.SchemaUsage && !schemas[t.real.Schema] {
			schemas[t.real.Schema] = true
			list = append(list, pgdb.Statement{Why: "to reach the tables", SQL: "GRANT USAGE ON SCHEMA " + quote(t.real.Schema) + to})
		}
		if denied := t.denied(); len(denied) > 0 {
			list = append(list, pgdb.Statement{Why: "for the initial publication of " + t.real.String() + ": these columns only",
				SQL: "GRANT SELECT (" + pgdb.QuoteList(denied) + ") ON " + t.real.Quoted() + to})
		}
	}
	return list
}

// denied are the mapped columns that the publisher's role may not read.
func (t *trigger) denied() []string {
	return slices.DeleteFunc(slices.Clone(t.layout.columns), func(name string) bool {
		c, ok := t.real.Column(name)
		return ok && c.Select
	})
}

// ownRights are what the publisher's role does with our tables.
var ownRights = []struct{ table, rights, why string }{
	{"outbox", "SELECT, DELETE", "to move changes out of the outbox"},
	{"batches", "SELECT, INSERT, DELETE", "into the batch log, and to forget them there"},
	{"lease", "SELECT, UPDATE", "to take turns with a standby"},
	{"layouts", "SELECT", "to read what the triggers wrote"},
	{"meta", "SELECT", "to see the version"},
}

const uninstallBody = `
DECLARE f regprocedure;
BEGIN
  FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = to_regnamespace(@schema) AND prorettype = 'trigger'::regtype AND proname ~ '^(log|truncate) '
  LOOP EXECUTE 'DROP FUNCTION ' || f || ' CASCADE'; END LOOP;
END `

// Uninstall lists what removes all that Setup makes, but for the role's rights
// on the shop's tables, which it may have had before. The publisher has to be
// stopped before.
func (s *Source) Uninstall(context.Context) ([]pgdb.Statement, error) {
	schema := quote(s.queries.schema)
	list := []pgdb.Statement{{Why: "our functions, and with them the triggers on the shop's tables",
		SQL: "DO " + quoteBody(strings.ReplaceAll(uninstallBody, "@schema", pgdb.QuoteLiteral(schema)))}}
	for _, table := range []string{"outbox", "batches", "layouts", "lease", "meta"} {
		list = append(list, pgdb.Statement{Why: "with all that was not published yet", SQL: "DROP TABLE IF EXISTS " + schema + "." + table})
	}
	return append(list, pgdb.Statement{Why: "fails if somebody else has put something into it", SQL: "DROP SCHEMA IF EXISTS " + schema}), nil
}

// literals are texts for ARRAY[…].
func literals(texts []string) string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = pgdb.QuoteLiteral(text)
	}
	return strings.Join(quoted, ", ")
}

// braces writes an array of values that need no quotes.
func braces[T any](values []T) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = fmt.Sprint(v)
	}
	return "{" + strings.Join(texts, ",") + "}"
}
