package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
)

// Check reports every problem of the database at once, each with the SQL or
// setting that mends it; what is advice only it logs, once. It changes nothing:
// a publisher that runs meanwhile is not disturbed.
func (s *Source) Check(ctx context.Context) error {
	found, err := s.Problems(ctx)
	if err != nil {
		return err
	}
	var errs []error
	serious := false
	for _, p := range found {
		errs = append(errs, p)
		serious = serious || !p.Advice
	}
	if serious {
		return s.failed("check", errors.Join(errs...))
	}
	for _, p := range found {
		if !s.advised[p.What] {
			s.advised[p.What] = true
			s.log.Warn("the database could be set up better: "+p.What, "mend", p.Mend)
		}
	}
	return nil
}

// Problems is Check for who wants to see advice, too. The error is that of a
// database that could not be asked.
func (s *Source) Problems(ctx context.Context) ([]publisher.Problem, error) {
	defer s.queries.close()
	f, err := s.find(ctx)
	if err != nil {
		return nil, s.ended(ctx, "check", err)
	}
	if f.server.InRecovery {
		return nil, s.failed("check", errStandby)
	}
	found := append(f.server.Problems(), s.ofServer(f)...)
	found = append(found, f.catalog.Problems(s.mapping)...)
	found = append(found, s.ofIdentities(f)...)
	return append(found, s.ofPublication(f)...), nil
}

// errStandby wraps publisher.ErrAway: a failover is under way, or the DSN names
// the wrong host.
var errStandby = fmt.Errorf("%w: the server is a standby; if that lasts, let the DSN name all hosts, with target_session_attrs=read-write", publisher.ErrAway)

// findings of one look at the database.
type findings struct {
	server pgdb.Server
	// mayReplicate says whether the role may open replication connections.
	mayReplicate bool
	catalog      *pgdb.Catalog
	// publication is nil if there is none, slot if there is none.
	publication *publication
	slot        *slotState
}

// find reads what Check and Setup judge.
func (s *Source) find(ctx context.Context) (f *findings, err error) {
	err = s.queries.do(ctx, func(conn *pgx.Conn) error {
		f, err = s.look(ctx, conn)
		return err
	})
	return f, err
}

func (s *Source) look(ctx context.Context, conn *pgx.Conn) (f *findings, err error) {
	f = &findings{}
	if f.server, err = pgdb.Identify(ctx, conn); err != nil || f.server.InRecovery {
		return f, err
	}
	if err := conn.QueryRow(ctx, mayReplicateQuery).Scan(&f.mayReplicate); err != nil {
		return f, err
	}
	if f.catalog, err = pgdb.ReadCatalog(ctx, conn, s.mapping); err != nil {
		return f, err
	}
	if f.publication, err = readPublication(ctx, conn, s.cfg.Publication, f.server.Version); err != nil && !errors.Is(err, errNoPublication) {
		return f, err
	}
	slot, err := readSlot(ctx, conn, s.cfg.Slot)
	switch {
	case errors.Is(err, errNoSlot):
		return f, nil
	case err == nil:
		f.slot = &slot
	}
	return f, err
}

// mayReplicateQuery knows the role by which Amazon RDS grants what REPLICATION
// does elsewhere.
const mayReplicateQuery = `
SELECT r.rolreplication OR r.rolsuper
       OR EXISTS (SELECT FROM pg_catalog.pg_roles g WHERE g.rolname = 'rds_replication' AND pg_has_role(g.oid, 'USAGE'))
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user`

// ofServer finds what is wrong with the server and the role.
func (s *Source) ofServer(f *findings) (found []publisher.Problem) {
	add := func(advice bool, mend, format string, args ...any) {
		found = append(found, publisher.Problem{What: fmt.Sprintf(format, args...), Mend: mend, Advice: advice})
	}
	server := f.server
	if server.Pooler {
		found = append(found, pgdb.ProblemPooler())
	}
	if server.WALLevel != "logical" {
		found = append(found, pgdb.ProblemWALLevel(server.WALLevel))
	}
	if !f.mayReplicate {
		found = append(found, pgdb.ProblemReplication(server.Role.Name))
	}
	if f.slot == nil && server.Slots >= server.MaxSlots {
		found = append(found, pgdb.ProblemSlots())
	}
	if reading := f.slot != nil && f.slot.pid != 0; !reading && server.WALSenders >= server.MaxWALSenders {
		add(false, fmt.Sprintf("ALTER SYSTEM SET max_wal_senders = %d, then restart PostgreSQL", server.MaxWALSenders+5),
			"all %d max_wal_senders are in use", server.MaxWALSenders)
	}
	if server.MaxSlotWALKeep < 0 {
		add(true, "ALTER SYSTEM SET max_slot_wal_keep_size = '2GB' (what the disk can spare), then SELECT pg_reload_conf()",
			"max_slot_wal_keep_size is unlimited: while no publisher runs, the log grows until the disk is full")
	}
	return append(found, s.ofSlot(f)...)
}

// ofSlot finds a slot of our name that is not ours. One that is lost is not a
// problem here: Run reports it, and what happens then is configured.
func (s *Source) ofSlot(f *findings) []publisher.Problem {
	if f.slot == nil || f.slot.plugin == plugin && f.slot.database == f.server.Database {
		return nil
	}
	return []publisher.Problem{{
		What: fmt.Sprintf("replication slot %s is another one's: plugin %q in database %q", s.cfg.Slot, f.slot.plugin, f.slot.database),
		Mend: "give the source a slot of its own (postgres.slot)",
	}}
}

// ofIdentities finds tables whose former rows the log does not tell as far as
// the mapping needs them.
func (s *Source) ofIdentities(f *findings) (found []publisher.Problem) {
	for _, t := range s.plan.sorted() {
		if real := f.known(t); real != nil {
			found = append(found, t.ofIdentity(real)...)
		}
	}
	return found
}

// known is the real table, nil if it or its key is missing: the catalog
// complains of that.
func (f *findings) known(t *table) *pgdb.Table {
	real := f.catalog.Tables[t.name]
	if real == nil || real.Kind != pgdb.Ordinary && real.Kind != pgdb.Partitioned {
		return nil
	}
	for _, c := range t.columns {
		if _, ok := real.Column(c); !ok {
			return nil
		}
	}
	return real
}

// ofPublication finds what the publication lacks, or does to the shop.
func (s *Source) ofPublication(f *findings) (found []publisher.Problem) {
	add := func(mend []pgdb.Statement, format string, args ...any) {
		found = append(found, publisher.Problem{What: fmt.Sprintf(format, args...), Mend: sql(mend)})
	}
	p := f.publication
	if p == nil {
		add(s.create(f), "publication %s does not exist; it has to be made before the replication slot", s.cfg.Publication)
		return found
	}
	if !p.complete() {
		add(s.publishAll(p), "publication %s publishes only %s", p.name, strings.Join(p.publishes, ", "))
	}
	if p.allTables {
		found = append(found, publisher.Problem{
			What:   fmt.Sprintf("publication %s is FOR ALL TABLES: whatever is written anywhere is sent, and UPDATE and DELETE of tables without primary key fail", p.name),
			Mend:   "DROP PUBLICATION " + pgdb.Quote(p.name) + "; " + sql(s.create(f)) + "; and a new slot, for the old one cannot be read any more: with publisher.on_lost: epoch",
			Advice: true,
		})
	}
	for _, t := range s.plan.sorted() {
		if real := f.known(t); real != nil {
			found = append(found, s.ofPublished(f, t, real)...)
		}
	}
	return found
}

// ofPublished finds what is wrong with one table in the publication.
func (s *Source) ofPublished(f *findings, t *table, real *pgdb.Table) (found []publisher.Problem) {
	p := f.publication
	problem := func(mend []pgdb.Statement, format string, args ...any) {
		found = append(found, publisher.Problem{What: fmt.Sprintf(format, args...), Mend: sql(mend)})
	}
	if real.Kind == pgdb.Partitioned && !p.viaRoot {
		problem(s.publishAll(p), "%s is partitioned, and publication %s sends its rows under the names of partitions", real.Name, p.name)
		return found
	}
	in, ok := p.tables[real.OID]
	if !ok {
		problem([]pgdb.Statement{s.add(f, t, real)}, "publication %s lacks %s: its changes are not sent", p.name, real.Name)
		return found
	}
	if in.filter != "" {
		problem(s.again(f, t, real), "publication %s sends only some rows of %s (WHERE %s): changes would be missing, and UPDATE fails if the condition has columns outside of the replica identity",
			p.name, real.Name, in.filter)
	}
	if len(in.columns) == 0 {
		return found
	}
	if lacks := in.lacks(t.logged(real)); len(lacks) > 0 {
		problem(s.again(f, t, real), "publication %s leaves out columns of %s that the mapping uses: %s", p.name, real.Name, strings.Join(lacks, ", "))
	}
	identity := identityColumns(real)
	if lacks := in.lacks(identity); identity == nil || len(lacks) > 0 {
		problem(s.again(f, t, real), "publication %s has a column list for %s that does not cover its replica identity (%s): UPDATE and DELETE of it fail",
			p.name, real.Name, identityName(real.Identity))
	}
	return found
}
