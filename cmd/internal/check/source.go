package check

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
)

// Source asks the source, and says what it leads to.
func Source(ctx context.Context, src publisher.Source, cfg publisher.SourceConfig) Part {
	p := Part{Name: cfg.Name}
	err := p.ask(ctx, src)
	if problems, _ := p.Counts(); problems == 0 {
		p.fine("%s", describe(cfg))
	}
	if DSN(cfg) != "" && !errors.Is(err, publisher.ErrAway) {
		p.server(ctx, src, DSN(cfg))
	}
	return p
}

// ask adds what the source complains of, and advises if it does.
func (p *Part) ask(ctx context.Context, src publisher.Source) error {
	adviser, ok := src.(interface {
		Problems(context.Context) ([]publisher.Problem, error)
	})
	if !ok {
		err := src.Check(ctx)
		p.add(err)
		return err
	}
	found, err := adviser.Problems(ctx)
	p.Problems = append(p.Problems, found...)
	p.add(err)
	return err
}

// DSN of a source on PostgreSQL; empty for the others.
func DSN(cfg publisher.SourceConfig) string {
	switch cfg.Kind {
	case publisher.KindPostgres:
		return cfg.Postgres.DSN
	case publisher.KindOutbox:
		return cfg.Outbox.DSN
	}
	return ""
}

func describe(cfg publisher.SourceConfig) string {
	switch cfg.Kind {
	case publisher.KindPostgres:
		return "logical replication is set up, and the mapping fits the tables"
	case publisher.KindOutbox:
		return "the outbox and its triggers are there, and the mapping fits the tables"
	case publisher.KindSQLite:
		return cfg.SQLite.Path + " has its change log and triggers, and the mapping fits the tables"
	}
	return "ready"
}

// server says what the DSN leads to, and how its slot stands; who cannot be
// reached has been complained about.
func (p *Part) server(ctx context.Context, src publisher.Source, dsn string) {
	conn, err := pgdb.Connect(ctx, dsn, pgdb.Options{Application: "fabric publisher check", Pooled: true})
	if err != nil {
		return
	}
	defer conn.Close(context.WithoutCancel(ctx))
	s, err := pgdb.Identify(ctx, conn)
	if err != nil {
		return
	}
	via := ""
	if s.Pooler {
		via = ", through a pooler"
	}
	p.fine("PostgreSQL %s, database %s as %s%s, wal_level %s", s.VersionString(), s.Database, s.Role.Name, via, s.WALLevel)
	if reader, ok := src.(interface{ Slot() string }); ok {
		p.slot(ctx, conn, reader.Slot())
	}
}

// slotQuery reads wal_status (PostgreSQL documentation, 54.19
// "pg_replication_slots").
const slotQuery = `SELECT coalesce(wal_status, ''), active, pg_size_pretty(coalesce(pg_wal_lsn_diff(
	CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn), 0))
FROM pg_replication_slots WHERE slot_name = $1 AND database = current_database()`

// slot tells how the replication slot stands, if there is one yet.
func (p *Part) slot(ctx context.Context, conn *pgx.Conn, name string) {
	var status, kept string
	var active bool
	err := conn.QueryRow(ctx, slotQuery, name).Scan(&status, &active, &kept)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		p.fine("replication slot %s will be made by the first start", name)
	case err != nil:
		p.add(err)
	case status == "lost":
		p.wrong(fmt.Sprintf("replication slot %s is lost: the server removed the log that it needs, as more was kept than max_slot_wal_keep_size allows", name),
			"publisher.on_lost: epoch, to begin a new epoch with the present state; and a larger max_slot_wal_keep_size")
	case status == "unreserved":
		p.advise(fmt.Sprintf("replication slot %s is about to be lost: it keeps %s of the log", name, kept),
			"start the publisher, or ALTER SYSTEM SET max_slot_wal_keep_size = … and SELECT pg_reload_conf()")
	case active:
		p.fine("replication slot %s is being read, and keeps %s of the log", name, kept)
	default:
		p.fine("replication slot %s is read by nobody, and keeps %s of the log", name, kept)
	}
}

// Failed is a part that could not be asked.
func Failed(name string, err error) Part {
	p := Part{Name: name}
	p.add(err)
	return p
}
