package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/cmd/internal/check"
	"github.com/petpro/fabric/cmd/internal/install"
	"github.com/petpro/fabric/cmd/internal/sources"
	"github.com/petpro/fabric/config"
	"github.com/petpro/fabric/deploy"
	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
)

// devName is what a dev calls everything it keeps in a developer's database:
// slot, publication, the outbox's schema. A publisher's own never has it, so a
// dev can remove what it finds under it.
const devName = "fabric_dev"

// cleanTime bounds the removal when a dev ends.
const cleanTime = 15 * time.Second

// PostgresOptions say how a Dev uses a developer's own database.
type PostgresOptions struct {
	// DSN of the database; empty: the dev has its own.
	DSN string
	// Source is "postgres" or "outbox"; empty chooses what the server allows.
	Source string
	// Apply makes what is missing in the database, and removes it at the end.
	Apply bool
	// Demo makes the tables of a small shop in a database that has none.
	Demo bool
	// Keep leaves everything there at the end, so that the next start resumes.
	Keep bool
}

func (o PostgresOptions) validate() error {
	if o.DSN == "" && o != (PostgresOptions{}) {
		return usagef("--source, --apply, --demo and --keep are about a database of yours: name it with --postgres DSN")
	}
	if o.Source != "" && o.Source != publisher.KindPostgres && o.Source != publisher.KindOutbox {
		return usagef("--source %q: must be %s or %s", o.Source, publisher.KindPostgres, publisher.KindOutbox)
	}
	return nil
}

// openOwn looks at the developer's database, and makes what is missing if it was
// told to. What the dev keeps there is removed after the publisher has ended.
func (d *Dev) openOwn(ctx context.Context, s *stack, dir *dataDir, petpro publisher.Mapping) (database, error) {
	db := database{mapping: petpro}
	if len(d.cfg.Mapping.Tables) > 0 {
		db.mapping = d.cfg.Mapping
	}
	server, err := d.look(ctx, db.mapping)
	if err != nil {
		return db, err
	}
	var why string
	db.source, why = d.own.source(server)
	if err := dir.remember(memory{Kind: db.source.Kind, Database: server.Database, System: server.SystemID}); err != nil {
		return db, err
	}
	src, err := d.install(ctx, db)
	if err != nil {
		return db, err
	}
	if !d.own.Keep {
		s.closer("database", func() error { return d.clean(src, db.source) })
	}
	db.note = fmt.Sprintf("The source is %s: %s.", db.source.Kind, why)
	db.end = d.own.end(db.source.Kind)
	db.shop, err = openPostgres(ctx, d.own.DSN, config.RedactDSN(d.own.DSN), db.mapping)
	return db, err
}

// look says what the DSN leads to, and makes the demo's tables in it.
func (d *Dev) look(ctx context.Context, m publisher.Mapping) (pgdb.Server, error) {
	conn, err := pgdb.Connect(ctx, d.own.DSN, pgdb.Options{Application: "fabric dev", Pooled: true})
	if err != nil {
		return pgdb.Server{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	server, err := pgdb.Identify(ctx, conn)
	if err != nil {
		return server, err
	}
	catalog, err := pgdb.ReadCatalog(ctx, conn, m)
	if err != nil || len(catalog.Tables) > 0 {
		return server, err
	}
	if !d.own.Demo {
		return server, fmt.Errorf("database %q has none of the mapping's tables (%s): name the database that does, or a mapping of its tables with -c; --demo makes the tables of a small shop in it",
			server.Database, tableNames(m))
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		_, err := tx.Conn().PgConn().Exec(ctx, deploy.Postgres).ReadAll()
		return err
	})
	if err != nil {
		return server, fmt.Errorf("make the demo's tables in database %q: %w", server.Database, pgdb.Translate(err))
	}
	return server, nil
}

func tableNames(m publisher.Mapping) string {
	var names []string
	for table := range m.Needs() {
		names = append(names, m.Relation(table))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// source of the kind that was asked for, or that the server allows, and why.
func (o PostgresOptions) source(server pgdb.Server) (source publisher.SourceConfig, why string) {
	kind := o.Source
	switch {
	case kind != "":
		why = "you asked for it"
	case server.Pooler:
		kind, why = publisher.KindOutbox, "a pooler stands before the server"
	case server.WALLevel != "logical":
		kind, why = publisher.KindOutbox, "wal_level is "+server.WALLevel
	case !server.Role.Replication && !server.Role.Superuser:
		kind, why = publisher.KindOutbox, "role "+server.Role.Name+" may not replicate"
	default:
		kind, why = publisher.KindPostgres, "wal_level is logical, and role "+server.Role.Name+" may replicate"
	}
	source = publisher.SourceConfig{Name: sourceName, Kind: kind}
	if kind == publisher.KindOutbox {
		source.Outbox = publisher.OutboxConfig{DSN: o.DSN, Schema: devName}
	} else {
		source.Postgres = publisher.PostgresConfig{DSN: o.DSN, Slot: devName, Publication: devName}
	}
	return source, why
}

// end says what happens when the dev ends.
func (o PostgresOptions) end(kind string) string {
	growing := "replication slot " + devName + " keeps the server's log"
	if kind == publisher.KindOutbox {
		growing = "the triggers in schema " + devName + " fill the outbox"
	}
	switch {
	case o.Keep:
		return "The next start resumes. Until then " + growing + ":\n  start once more without --keep if there is to be none."
	case o.Apply:
		return "What --apply made in the database is removed then; the next start begins a new epoch (--keep keeps it)."
	case kind == publisher.KindOutbox:
		return "Until the next start " + growing + "; with --apply it would be made and removed by itself."
	}
	return "Its replication slot is dropped then, and the next start begins a new epoch (--keep keeps it)."
}

// install checks the source, and makes what it lacks if it was told to.
func (d *Dev) install(ctx context.Context, db database) (sources.Installer, error) {
	cfg := publisher.DefaultConfig()
	cfg.Mapping = db.mapping
	src, err := sources.Open(cfg, db.source, nil, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return nil, err
	}
	installer := src.(sources.Installer) // both kinds are
	if d.own.Apply {
		statements, err := installer.Setup(ctx)
		if err == nil {
			err = install.Apply(ctx, io.Discard, d.own.DSN, statements)
		}
		if err != nil {
			return nil, fmt.Errorf("prepare the database: %w", err)
		}
	}
	found := check.Source(ctx, src, db.source)
	problems, _ := found.Counts()
	if problems == 0 {
		return installer, nil
	}
	var text strings.Builder
	if err := (check.Report{Parts: []check.Part{found}}).WriteText(&text); err != nil {
		return nil, err
	}
	hint := "run it again with --apply, and it makes what is missing, and removes it at the end; or run the SQL above as an owner of the tables"
	if d.own.Apply {
		hint = "this is left after --apply"
	}
	return nil, fmt.Errorf("the database is not ready:\n\n%s\n%s", text.String(), hint)
}

// clean removes what would grow while no dev runs, or everything if the dev has
// made it. The server may need a moment to let go of the slot.
func (d *Dev) clean(src sources.Installer, source publisher.SourceConfig) error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanTime)
	defer cancel()
	for {
		err := d.remove(ctx, src, source)
		if pgdb.State(err) != "55006" { // object_in_use
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (d *Dev) remove(ctx context.Context, src sources.Installer, source publisher.SourceConfig) error {
	var statements []pgdb.Statement
	switch {
	case d.own.Apply:
		var err error
		if statements, err = sources.Uninstall(ctx, src); err != nil {
			return err
		}
	case source.Kind == publisher.KindPostgres:
		statements = []pgdb.Statement{{SQL: "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database() AND slot_name = " + pgdb.QuoteLiteral(devName)}}
	}
	err := install.Apply(ctx, io.Discard, d.own.DSN, statements)
	if errors.Is(err, publisher.ErrAway) {
		return fmt.Errorf("%w; what %s is in the database is still there: start once more and end it", err, devName)
	}
	return err
}
