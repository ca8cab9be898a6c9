package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/petpro/fabric/cmd/internal/check"
	"github.com/petpro/fabric/cmd/internal/install"
	"github.com/petpro/fabric/cmd/internal/sources"
	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
)

// setupOptions are the flags of `fabric publisher setup`.
type setupOptions struct {
	only      []string
	dsn       string
	print     bool
	apply     bool
	uninstall bool
}

func newSetup(g *global) *cobra.Command {
	var o setupOptions
	cmd := &cobra.Command{
		Use:   "setup (--print-sql | --apply) [--uninstall]",
		Short: "Make in a shop's database what a source needs, or print the SQL",
		Long: `Makes in the shop's PostgreSQL what the configured sources need, and no more: for
postgres a publication, grants, and identities of rows where the mapping asks for
former values; for outbox a schema, its tables and the triggers.

  --print-sql   prints it as a script for psql, each statement with its reason;
                nothing is changed
  --apply       runs it, as few transactions as can be, then checks
  --uninstall   is about removing all of it, the replication slot first: a slot
                that nobody reads keeps the server's log for ever

The catalog is read as the publisher's own role. DDL needs more: --dsn names an
owner or administrator to run it as, in the same database. Grants are made to
the publisher's role in any case.

It may be repeated: what is there already is left as it is. After a change of the
mapping run it again. --uninstall leaves the role and its rights, which may be older.`,
		Example: `  fabric publisher setup -c fabric.yaml --print-sql > setup.sql
  psql "$ADMIN_DSN" -f setup.sql
  fabric publisher setup -c fabric.yaml --apply --dsn "$ADMIN_DSN"
  fabric publisher setup -c fabric.yaml --uninstall --print-sql`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.print == o.apply {
				return usagef("say --print-sql to read what would be done, or --apply to do it")
			}
			_, cfg, err := g.publisherConfig(o.only)
			if err != nil {
				return err
			}
			if err := o.fits(cfg); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), setupTime)
			defer cancel()
			var errs []error
			for _, s := range cfg.Sources {
				if s.Kind != publisher.KindIngest {
					errs = append(errs, o.run(ctx, cfg, s, cmd.OutOrStdout()))
				}
			}
			return errors.Join(errs...)
		},
	}
	g.configFlags(cmd.Flags())
	f := cmd.Flags()
	f.BoolVar(&o.print, "print-sql", false, "print a script for psql, and change nothing")
	f.BoolVar(&o.apply, "apply", false, "run it")
	f.BoolVar(&o.uninstall, "uninstall", false, "remove what setup and the publisher have made")
	f.StringVar(&o.dsn, "dsn", "", "connect as this administrator instead of the publisher's role (`dsn`)")
	sourceFlag(cmd, &o.only)
	g.complete(cmd)
	return cmd
}

// fits refuses one administrator's DSN for several databases.
func (o setupOptions) fits(cfg publisher.Config) error {
	databases := 0
	for _, s := range cfg.Sources {
		if check.DSN(s) != "" {
			databases++
		}
	}
	if o.dsn != "" && databases != 1 {
		return usagef("--dsn is of one database, and the configuration has %d sources on PostgreSQL; name one with --source", databases)
	}
	return nil
}

// run is one source.
func (o setupOptions) run(ctx context.Context, cfg publisher.Config, s publisher.SourceConfig, out io.Writer) error {
	role := check.DSN(s)
	admin := role
	if o.dsn != "" {
		admin = o.dsn
	}
	if o.uninstall && role != "" {
		s = withDSN(s, admin) // the role may be gone already
	} else if err := sameDatabase(ctx, role, admin); err != nil {
		return fmt.Errorf("source %s: %w", s.Name, err)
	}
	src, err := sources.Open(cfg, s, nil, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return fmt.Errorf("source %s: %w", s.Name, err)
	}
	installer, ok := src.(sources.Installer)
	if !ok {
		return o.runOwn(ctx, src, s, out)
	}
	statements, err := o.statements(ctx, installer)
	if err != nil {
		return fmt.Errorf("source %s: %w", s.Name, err)
	}
	if o.print {
		err := install.Print(out, o.title(s), statements)
		return errors.Join(err, o.tellLeft(out, "-- ", role))
	}
	fmt.Fprintf(out, "%s\n", o.title(s))
	if err := install.Apply(ctx, out, admin, statements); err != nil {
		return fmt.Errorf("source %s: %w", s.Name, err)
	}
	if o.uninstall {
		return o.tellLeft(out, "", role)
	}
	r := report{check.Report{Parts: []check.Part{check.Source(ctx, src, s)}}}
	if err := r.WriteText(out); err != nil {
		return err
	}
	if problems, _ := r.Counts(); problems > 0 {
		return fmt.Errorf("source %s: %s left", s.Name, check.Count(problems))
	}
	return nil
}

// withDSN is s as another role.
func withDSN(s publisher.SourceConfig, dsn string) publisher.SourceConfig {
	s.Postgres.DSN, s.Outbox.DSN = dsn, dsn
	return s
}

// sameDatabase refuses an administrator of another database, in which nobody
// would look for what is made. Who cannot be asked is judged later.
func sameDatabase(ctx context.Context, role, admin string) error {
	if role == admin {
		return nil
	}
	var servers [2]pgdb.Server
	for i, dsn := range []string{role, admin} {
		conn, err := pgdb.Connect(ctx, dsn, pgdb.Options{Application: "fabric publisher setup", Pooled: true})
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(ctx))
		if servers[i], err = pgdb.Identify(ctx, conn); err != nil {
			return err
		}
	}
	a, b := servers[0], servers[1]
	switch {
	case a.Database != b.Database:
		return fmt.Errorf("the source is in database %q, and --dsn leads to %q", a.Database, b.Database)
	case a.SystemID != b.SystemID && a.SystemID != 0 && b.SystemID != 0:
		return fmt.Errorf("the source's server and that of --dsn are not the same (systems %d and %d)", a.SystemID, b.SystemID)
	}
	return nil
}

// tellLeft says what an uninstall leaves: rights that the role may have had
// before, or for another purpose.
func (o setupOptions) tellLeft(out io.Writer, prefix, dsn string) error {
	c, err := pgx.ParseConfig(dsn)
	if err != nil || !o.uninstall {
		return nil
	}
	role := pgdb.Quote(c.User)
	_, err = fmt.Fprintf(out, "\n%[1]sLeft is role %[2]s with its rights. If it was for the publisher alone:\n%[1]s  DROP OWNED BY %[2]s; DROP ROLE %[2]s;\n", prefix, role)
	return err
}

func (o setupOptions) statements(ctx context.Context, src sources.Installer) ([]pgdb.Statement, error) {
	if o.uninstall {
		return sources.Uninstall(ctx, src)
	}
	return src.Setup(ctx)
}

// title says what a run is about.
func (o setupOptions) title(s publisher.SourceConfig) string {
	what := "what source " + s.Name + " needs in its database"
	if o.uninstall {
		what = "removes what source " + s.Name + " has made in its database; stop its publishers first"
	}
	return fmt.Sprintf("fabric publisher setup: %s (kind %s)", what, s.Kind)
}

// runOwn is a source that makes what it needs by itself.
func (o setupOptions) runOwn(ctx context.Context, src publisher.Source, s publisher.SourceConfig, out io.Writer) error {
	var err error
	what := "the publisher makes what source " + s.Name + " needs by itself"
	switch {
	case o.print && o.uninstall:
		what = "source " + s.Name + " removes what it has made with --apply"
	case o.print:
	case o.uninstall:
		err = sources.Remove(ctx, s)
		what = "source " + s.Name + ": removed"
	default:
		err = src.Check(ctx)
		what = "source " + s.Name + ": ready"
	}
	if err != nil {
		return fmt.Errorf("source %s: %w", s.Name, err)
	}
	if o.print {
		what = "-- " + what
	}
	_, err = fmt.Fprintln(out, what)
	return err
}

// setupTime bounds a whole setup: building an index on a large table takes
// minutes.
const setupTime = time.Hour
