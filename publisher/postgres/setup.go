package postgres

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/petpro/fabric/publisher/pgdb"
)

// Setup returns what has still to be done to the database before the source can
// work, in this order; nothing if it is ready. It looks at the database as the
// role of the DSN and changes nothing. The replication slot is not among it: the
// first Snapshot makes it.
func (s *Source) Setup(ctx context.Context) ([]pgdb.Statement, error) {
	defer s.queries.close()
	f, err := s.find(ctx)
	if err == nil && f.server.InRecovery {
		err = errStandby
	}
	if err != nil {
		return nil, s.ended(ctx, "setup", err)
	}
	if err := s.mappable(f); err != nil {
		return nil, s.failed("setup", err)
	}
	all := s.prepareServer(f)
	for _, t := range s.plan.sorted() {
		all = append(all, s.grants(f, t)...)
	}
	var identities []pgdb.Statement
	for _, t := range s.plan.sorted() {
		identities = append(identities, t.identify(f.catalog.Tables[t.name])...)
	}
	// With FULL, a column list would make the shop's UPDATE fail: the list goes
	// first. In all other cases the identity comes first, for without one a table
	// that is published cannot be updated.
	lists, rest := s.publish(f)
	return slices.Concat(all, lists, identities, rest, s.note(f)), nil
}

// mappable returns the catalog's problems that no SQL of ours can solve.
func (s *Source) mappable(f *findings) error {
	var errs []error
	for _, t := range s.plan.sorted() {
		if f.known(t) == nil {
			for _, p := range f.catalog.Problems(s.mapping) {
				if !p.Advice {
					errs = append(errs, p)
				}
			}
			return errors.Join(errs...)
		}
	}
	return nil
}

func (s *Source) prepareServer(f *findings) []pgdb.Statement {
	var all []pgdb.Statement
	if f.server.WALLevel != "logical" {
		all = append(all, pgdb.Statement{
			SQL: "ALTER SYSTEM SET wal_level = 'logical'",
			Why: "Takes effect when PostgreSQL is restarted. As long as a logical slot exists, the server does not start with a lower level.",
		})
	}
	if role := f.server.Role; !f.mayReplicate {
		all = append(all, pgdb.Statement{
			SQL: "ALTER ROLE " + pgdb.Quote(role.Name) + " REPLICATION",
			Why: "To read the log. Such a role can read everything in the log: its password is a secret.",
		})
	}
	return all
}

// grants let the role read what the mapping lists, and no more.
func (s *Source) grants(f *findings, t *table) []pgdb.Statement {
	real, role := f.catalog.Tables[t.name], pgdb.Quote(f.server.Role.Name)
	var all []pgdb.Statement
	if !real.SchemaUsage {
		all = append(all, pgdb.Statement{SQL: "GRANT USAGE ON SCHEMA " + pgdb.Quote(real.Schema) + " TO " + role, Why: "To reach " + real.Name.String() + "."})
	}
	var denied []string
	for _, c := range t.columns {
		if column, ok := real.Column(c); ok && !column.Select {
			denied = append(denied, c)
		}
	}
	if len(denied) > 0 {
		all = append(all, pgdb.Statement{
			SQL: "GRANT SELECT (" + pgdb.QuoteList(denied) + ") ON " + real.Quoted() + " TO " + role,
			Why: "For the first publication, and for large values that the log does not repeat.",
		})
	}
	if real.RowSecurity {
		all = append(all, pgdb.Statement{SQL: "ALTER ROLE " + role + " BYPASSRLS", Why: "Row level security would hide rows of " + real.Name.String() + "."})
	}
	return all
}

// publish are the statements for the publication: lists takes column lists away
// that do not go with FULL.
func (s *Source) publish(f *findings) (lists, rest []pgdb.Statement) {
	p := f.publication
	if p == nil {
		return nil, s.create(f)
	}
	partitioned := false
	for _, t := range s.plan.sorted() {
		real := f.catalog.Tables[t.name]
		partitioned = partitioned || real.Kind == pgdb.Partitioned && !p.viaRoot
		in, ok := p.tables[real.OID]
		switch _, identity, _ := t.remedy(real); {
		case !ok && (real.Kind != pgdb.Partitioned || p.viaRoot || !p.sendsAny(real)):
			rest = append(rest, s.add(f, t, real))
		case len(in.columns) > 0 && identity == nil:
			lists = append(lists, s.again(f, t, real)...)
		case in.filter != "" || len(in.lacks(t.logged(real))) > 0 || len(in.lacks(identity)) > 0:
			rest = append(rest, s.again(f, t, real)...)
		}
	}
	if partitioned || !p.complete() {
		lists = append(s.publishAll(p), lists...)
	}
	return lists, rest
}

// sendsAny says whether partitions of the table are sent.
func (p *publication) sendsAny(real *pgdb.Table) bool {
	return slices.ContainsFunc(real.Children, func(c pgdb.Child) bool { _, ok := p.tables[c.OID]; return ok })
}

// options of a publication that we need.
const options = "(publish = 'insert, update, delete, truncate', publish_via_partition_root = true)"

// create makes the publication.
func (s *Source) create(f *findings) []pgdb.Statement {
	var tables []string
	for _, t := range s.plan.sorted() {
		if real := f.known(t); real != nil {
			tables = append(tables, s.clause(f, t, real))
		}
	}
	if len(tables) == 0 {
		return nil
	}
	return []pgdb.Statement{{
		SQL: "CREATE PUBLICATION " + pgdb.Quote(s.cfg.Publication) + " FOR TABLE " + strings.Join(tables, ", ") + " WITH " + options,
		Why: "What the server sends us. A slot can only be read from where its publication exists, so this comes before the first start. " +
			"To drop a column of a list, or to alter its type, take the table out of the publication and add it again in the same transaction.",
	}}
}

// publishAll sets the options of a publication.
func (s *Source) publishAll(p *publication) []pgdb.Statement {
	return []pgdb.Statement{{
		SQL: "ALTER PUBLICATION " + pgdb.Quote(p.name) + " SET " + options,
		Why: "All operations, and rows of partitions as rows of their table.",
	}}
}

func (s *Source) add(f *findings, t *table, real *pgdb.Table) pgdb.Statement {
	return pgdb.Statement{
		SQL: "ALTER PUBLICATION " + pgdb.Quote(s.cfg.Publication) + " ADD TABLE " + s.clause(f, t, real),
		Why: "The mapping uses it. What is written before is not sent.",
	}
}

// again replaces the column list and filter of a table.
func (s *Source) again(f *findings, t *table, real *pgdb.Table) []pgdb.Statement {
	return []pgdb.Statement{
		{SQL: "ALTER PUBLICATION " + pgdb.Quote(s.cfg.Publication) + " DROP TABLE " + real.Quoted(),
			Why: "To be added again in the same transaction, with other columns."},
		{SQL: "ALTER PUBLICATION " + pgdb.Quote(s.cfg.Publication) + " ADD TABLE " + s.clause(f, t, real),
			Why: "The columns that the mapping uses, and those of the replica identity; all, if that is FULL."},
	}
}

// clause names a table for a publication, with the columns to be sent where the
// server can choose (PostgreSQL 15): others never leave it.
func (s *Source) clause(f *findings, t *table, real *pgdb.Table) string {
	_, identity, _ := t.remedy(real)
	if f.server.Version < columnListVersion || identity == nil {
		return real.Quoted()
	}
	columns := append(t.logged(real), identity...)
	slices.Sort(columns)
	return real.Quoted() + " (" + pgdb.QuoteList(slices.Compact(columns)) + ")"
}

// logged are the columns that the mapping uses and the log can have.
func (t *table) logged(real *pgdb.Table) []string {
	return slices.DeleteFunc(slices.Clone(t.columns), func(c string) bool {
		column, ok := real.Column(c)
		return !ok || column.Generated
	})
}

// noted is how the comment on our publication begins: it says which identities
// setup made FULL, so that Uninstall can undo that and nothing else.
const noted = "made by fabric; replica identity set to full: "

// note writes the comment.
func (s *Source) note(f *findings) []pgdb.Statement {
	var names []string
	before := ""
	if f.publication != nil {
		before = f.publication.comment
	}
	for _, t := range s.plan.sorted() {
		real := f.catalog.Tables[t.name]
		if kind, _, _ := t.remedy(real); kind == full && !strings.Contains(before, real.Quoted()) {
			names = append(names, real.Quoted())
		}
	}
	if len(names) == 0 {
		return nil
	}
	if rest, ok := strings.CutPrefix(before, noted); ok {
		names = append(names, rest)
	}
	return []pgdb.Statement{{
		SQL: "COMMENT ON PUBLICATION " + pgdb.Quote(s.cfg.Publication) + " IS " + pgdb.QuoteLiteral(noted+strings.Join(names, ", ")),
		Why: "So that uninstalling knows what was changed.",
	}}
}

// Uninstall returns what removes the source from the database; it changes
// nothing itself. The publisher has to be stopped before.
func (s *Source) Uninstall(ctx context.Context) ([]pgdb.Statement, error) {
	defer s.queries.close()
	f, err := s.find(ctx)
	if err == nil && f.server.InRecovery {
		err = errStandby
	}
	if err != nil {
		return nil, s.ended(ctx, "uninstall", err)
	}
	var all []pgdb.Statement
	if f.slot != nil {
		all = append(all, pgdb.Statement{
			SQL: "SELECT pg_catalog.pg_drop_replication_slot(" + pgdb.QuoteLiteral(s.cfg.Slot) + ")",
			Why: "First: a slot that nobody reads keeps log until the disk is full, and with one the server does not start with a lower wal_level.",
		})
	}
	if f.publication != nil {
		all = append(all, pgdb.Statement{SQL: "DROP PUBLICATION " + pgdb.Quote(s.cfg.Publication), Why: "Nobody reads it any more."})
	}
	for _, t := range s.plan.sorted() {
		if real := f.catalog.Tables[t.name]; real != nil {
			all = append(all, s.restore(f, real)...)
		}
	}
	return all, nil
}

// restore sets an identity back that setup has changed.
func (s *Source) restore(f *findings, real *pgdb.Table) []pgdb.Statement {
	var all []pgdb.Statement
	reset := func(n pgdb.Name) {
		all = append(all, pgdb.Statement{SQL: "ALTER TABLE " + n.Quoted() + " REPLICA IDENTITY DEFAULT", Why: "As it was before setup."})
	}
	for _, i := range real.Indexes {
		if !strings.HasPrefix(i.Name, ownIndex) {
			continue
		}
		if real.Identity.Kind == pgdb.IdentityIndex && slices.Equal(real.Identity.Columns, i.Columns) {
			reset(real.Name)
		}
		all = append(all, pgdb.Statement{SQL: "DROP INDEX CONCURRENTLY " + pgdb.Quote(real.Schema, i.Name), Why: "It was only for the replica identity."})
	}
	if f.publication == nil || !strings.Contains(f.publication.comment, real.Quoted()) {
		return all
	}
	if real.Identity.Kind == pgdb.IdentityFull {
		reset(real.Name)
	}
	for _, c := range real.Children {
		if c.Partition && c.Identity.Kind == pgdb.IdentityFull {
			reset(c.Name)
		}
	}
	return all
}
