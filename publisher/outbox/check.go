package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
)

// setupCommand is what mends most of what may be missing.
const setupCommand = "fabric publisher setup --apply"

// Check reports every problem of the database at once, each with what mends
// it; what is advice only it logs, once. It changes nothing.
func (s *Source) Check(ctx context.Context) error {
	found, err := s.Problems(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(found, func(p publisher.Problem) bool { return !p.Advice }) {
		errs := make([]error, len(found))
		for i, p := range found {
			errs[i] = p
		}
		return s.failed("check", errors.Join(errs...))
	}
	for _, p := range found {
		if _, told := s.advised.LoadOrStore(p.What, true); !told {
			s.log.Warn("the database could be set up better: "+p.What, "mend", p.Mend)
		}
	}
	return nil
}

// Problems is Check for who wants to see advice, too. The error is that of a
// database that could not be asked.
func (s *Source) Problems(ctx context.Context) (found []publisher.Problem, err error) {
	err = s.withConn(ctx, "check", func(c *conn) error {
		server, err := pgdb.Identify(ctx, c.Conn)
		if err != nil {
			return err
		}
		if server.InRecovery {
			return errStandby
		}
		in, err := s.inspect(ctx, c)
		if err != nil {
			return err
		}
		found = append(server.Problems(), in.problems...)
		return nil
	})
	return found, err
}

// errStandby wraps publisher.ErrAway: a failover is under way, or the DSN names
// the wrong host.
var errStandby = fmt.Errorf("%w: the server is a standby; if that lasts, let the DSN name all hosts, with target_session_attrs=read-write", publisher.ErrAway)

// inspection is one look at the mapped tables and at what is installed.
type inspection struct {
	catalog  *pgdb.Catalog
	triggers []*trigger
	problems []publisher.Problem
	// foreign is the one of them that says that the outbox is another source's.
	foreign *publisher.Problem
}

// serious joins the problems that are no advice.
func (in *inspection) serious() error {
	var errs []error
	for _, p := range in.problems {
		if !p.Advice {
			errs = append(errs, p)
		}
	}
	return errors.Join(errs...)
}

// describe reads the catalog, and says which triggers there have to be. A table
// whose columns are not all there has none.
func (s *Source) describe(ctx context.Context, c *conn) (triggers []*trigger, catalog *pgdb.Catalog, err error) {
	catalog, err = pgdb.ReadCatalog(ctx, c.Conn, s.mapping)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range s.plan.sorted() {
		real := catalog.Tables[t.name]
		if real == nil || real.Kind != pgdb.Ordinary && real.Kind != pgdb.Partitioned {
			continue
		}
		if slices.ContainsFunc(t.columns, func(name string) bool { _, ok := real.Column(name); return !ok }) {
			continue
		}
		triggers = append(triggers, &trigger{layout: newLayout(t, real), real: real})
	}
	return triggers, catalog, readForms(ctx, c, triggers)
}

// inspect compares the database with the mapping.
func (s *Source) inspect(ctx context.Context, c *conn) (*inspection, error) {
	triggers, catalog, err := s.describe(ctx, c)
	if err != nil {
		return nil, err
	}
	in := &inspection{catalog: catalog, triggers: triggers, problems: catalog.Problems(s.mapping)}
	found, err := s.readInstalled(ctx, c, triggers)
	if err != nil {
		return nil, err
	}
	if source, ok := found.meta["source"]; ok && source != s.name {
		in.foreign = &publisher.Problem{
			What: fmt.Sprintf("schema %s is the outbox of a source named %q", quote(s.queries.schema), source),
			Mend: "give this source a schema of its own (outbox.schema), or, if it was renamed, remove the outbox with `fabric publisher setup --uninstall`"}
		in.problems = append(in.problems, *in.foreign)
		return in, nil
	}
	in.problems = append(in.problems, s.compare(found, in)...)
	return in, nil
}

// installed is what the database has of ours.
type installed struct {
	schema, usage bool
	// rights that are missing, by table; absent are tables that do not exist.
	missing map[string][]string
	absent  []string
	// functions by name; triggers by table and name.
	functions map[string]function
	triggers  map[triggerKey]foundTrigger
	// subscribed are mapped tables that a subscription writes to.
	subscribed map[uint32]bool
	// meta is our table of that name.
	meta    map[string]string
	layouts map[int32]*layout
}

type function struct {
	source, config string
	definer        bool
}

type triggerKey struct {
	oid  uint32
	name string
}

type foundTrigger struct {
	function string
	enabled  string
}

const (
	rightsQuery = `
SELECT w.tbl, w.priv, c.oid IS NOT NULL, coalesce(has_table_privilege(c.oid, w.priv), false)
FROM unnest($2::text[], $3::text[]) w(tbl, priv)
LEFT JOIN (pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = $1::name AND c.relkind = 'r') ON c.relname = w.tbl::name`

	schemaQuery = `SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = $1::name`

	functionsQuery = `
SELECT p.proname::text, p.prosrc, coalesce(array_to_string(p.proconfig, '; '), ''), p.prosecdef
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = $1::name AND p.prorettype = 'trigger'::regtype`

	triggersQuery = `
SELECT t.tgrelid, t.tgname::text, t.tgenabled::text, p.proname::text
FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = $1::name AND t.tgrelid = ANY ($2::oid[])`

	subscribedQuery = `SELECT DISTINCT srrelid FROM pg_subscription_rel WHERE srrelid = ANY ($1::oid[])`
)

func (s *Source) readInstalled(ctx context.Context, c *conn, triggers []*trigger) (*installed, error) {
	in := &installed{missing: map[string][]string{}, functions: map[string]function{}, triggers: map[triggerKey]foundTrigger{}, subscribed: map[uint32]bool{}, meta: map[string]string{}}
	schema := s.queries.schema
	var tables, rights []string
	for _, own := range ownRights {
		for right := range strings.SplitSeq(own.rights, ", ") {
			tables, rights = append(tables, own.table), append(rights, right)
		}
	}
	oids := make([]uint32, len(triggers))
	for i, t := range triggers {
		oids[i] = t.real.OID
	}
	list := braces(oids)
	queue := &pgx.Batch{}
	queue.Queue(schemaQuery, schema).Query(in.scanSchema)
	queue.Queue(rightsQuery, schema, tables, rights).Query(in.scanRights)
	queue.Queue(functionsQuery, schema).Query(in.scanFunctions)
	queue.Queue(triggersQuery, schema, list).Query(in.scanTriggers)
	queue.Queue(subscribedQuery, list).Query(in.scanSubscribed)
	if err := c.SendBatch(ctx, queue).Close(); err != nil {
		return nil, fmt.Errorf("look what is installed: %w", err)
	}
	if !in.usage || len(in.absent) > 0 || len(in.missing) > 0 {
		return in, nil
	}
	rows, err := c.Query(ctx, s.queries.meta)
	if err != nil {
		return nil, err
	}
	var name, value string
	if _, err := pgx.ForEachRow(rows, []any{&name, &value}, func() error {
		in.meta[name] = value
		return nil
	}); err != nil {
		return nil, err
	}
	in.layouts, err = s.queries.readLayouts(ctx, c)
	return in, err
}

func (in *installed) scanSchema(rows pgx.Rows) error {
	_, err := pgx.ForEachRow(rows, []any{&in.usage}, func() error {
		in.schema = true
		return nil
	})
	return err
}

func (in *installed) scanRights(rows pgx.Rows) error {
	var table, right string
	var there, has bool
	_, err := pgx.ForEachRow(rows, []any{&table, &right, &there, &has}, func() error {
		switch {
		case !there && !slices.Contains(in.absent, table):
			in.absent = append(in.absent, table)
		case there && !has:
			in.missing[table] = append(in.missing[table], right)
		}
		return nil
	})
	return err
}

func (in *installed) scanFunctions(rows pgx.Rows) error {
	var name string
	var f function
	_, err := pgx.ForEachRow(rows, []any{&name, &f.source, &f.config, &f.definer}, func() error {
		in.functions[name] = f
		return nil
	})
	return err
}

func (in *installed) scanTriggers(rows pgx.Rows) error {
	var key triggerKey
	var f foundTrigger
	_, err := pgx.ForEachRow(rows, []any{&key.oid, &key.name, &f.enabled, &f.function}, func() error {
		in.triggers[key] = f
		return nil
	})
	return err
}

func (in *installed) scanSubscribed(rows pgx.Rows) error {
	var oid uint32
	_, err := pgx.ForEachRow(rows, []any{&oid}, func() error {
		in.subscribed[oid] = true
		return nil
	})
	return err
}

// compare what is installed with what has to be.
func (s *Source) compare(found *installed, in *inspection) (problems []publisher.Problem) {
	add := func(mend, format string, args ...any) {
		problems = append(problems, publisher.Problem{What: fmt.Sprintf(format, args...), Mend: mend})
	}
	schema := s.queries.schema
	switch {
	case !found.schema:
		add(setupCommand, "schema %s does not exist: the outbox is not installed in this database", quote(schema))
		return problems
	case !found.usage:
		add("GRANT USAGE ON SCHEMA "+quote(schema)+" TO "+quote(in.catalog.Role), "role %s may not use schema %s", quote(in.catalog.Role), quote(schema))
	case len(found.absent) > 0:
		add(setupCommand, "schema %s has no table %s: the outbox is not installed, or not whole", quote(schema), strings.Join(found.absent, ", "))
		return problems
	}
	for _, own := range ownRights {
		if rights := slices.Sorted(slices.Values(found.missing[own.table])); len(rights) > 0 {
			add("GRANT "+strings.Join(rights, ", ")+" ON "+pgdb.Quote(schema, own.table)+" TO "+quote(in.catalog.Role),
				"role %s lacks %s on %s", quote(in.catalog.Role), strings.Join(rights, ", "), pgdb.Quote(schema, own.table))
		}
	}
	if want := fmt.Sprint(formatVersion); found.layouts != nil && found.meta["format"] != want {
		add(setupCommand, "the tables in schema %s are of version %q, and this program needs %s", quote(schema), found.meta["format"], want)
	}
	for _, t := range in.triggers {
		problems = append(problems, s.compareTable(found, t)...)
	}
	return problems
}

// compareTable compares the triggers of one table.
func (s *Source) compareTable(found *installed, t *trigger) (problems []publisher.Problem) {
	log, truncate := t.bodies(s.queries)
	for _, want := range []struct{ prefix, body, what string }{
		{logPrefix, log, "changes"}, {truncatePrefix, truncate, "a TRUNCATE"},
	} {
		name := objectName(want.prefix, t.layout.table)
		installed, ok := found.triggers[triggerKey{t.real.OID, s.queries.triggerName(want.prefix)}]
		f := found.functions[name]
		problem := publisher.Problem{Mend: setupCommand}
		switch {
		case !ok:
			problem.What = fmt.Sprintf("table %s has no trigger that logs %s", t.real, want.what)
		case installed.enabled != "O" && installed.enabled != "A":
			problem.What = fmt.Sprintf("the trigger of table %s that logs %s is disabled", t.real, want.what)
		case installed.function != name || f.source != want.body || !f.definer || !strings.EqualFold(f.config, t.config()) ||
			found.layouts != nil && found.layouts[t.layout.id] == nil:
			problem.What = fmt.Sprintf("the trigger of table %s that logs %s was made for another mapping, other columns or by another version", t.real, want.what)
		case installed.enabled == "O" && found.subscribed[t.real.OID]:
			problem = publisher.Problem{Advice: true,
				What: fmt.Sprintf("a subscription writes to table %s, and fires only triggers that are enabled always", t.real),
				Mend: "ALTER TABLE " + t.real.Quoted() + " ENABLE ALWAYS TRIGGER " + quote(s.queries.triggerName(want.prefix))}
		default:
			continue
		}
		problems = append(problems, problem)
	}
	return problems
}

// config is pg_proc.proconfig of the functions, but for the case of names.
func (t *trigger) config() string {
	config := "search_path=pg_catalog, pg_temp"
	for _, f := range t.forms {
		config += "; " + f.Name + "=" + f.Value
	}
	return config
}
