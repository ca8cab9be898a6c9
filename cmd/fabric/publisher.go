package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/petpro/fabric/cmd/internal/check"
	"github.com/petpro/fabric/cmd/internal/sources"
	"github.com/petpro/fabric/config"
	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/subjects/stream"
)

// checkTime bounds a whole check.
const checkTime = time.Minute

func newPublisher(g *global) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "publisher",
		Short: "Check and set up what a publisher reads",
		Long: `Prepares a shop's database for a publisher, and finds out why one does not work.
The publisher itself is the program "publisher"; it never changes a shop's
PostgreSQL, so what it needs there is made once, by an administrator:

  fabric publisher check -c fabric.yaml                 what is missing
  fabric publisher setup -c fabric.yaml --print-sql     the SQL for it, to read
  fabric publisher setup -c fabric.yaml --apply --dsn … or run at once`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Example: `  fabric publisher check -c fabric.yaml
  fabric publisher setup -c fabric.yaml --print-sql | psql "$ADMIN_DSN"`,
	}
	cmd.AddCommand(newCheck(g), newSetup(g))
	return cmd
}

func newCheck(g *global) *cobra.Command {
	var only []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "List all that keeps a publisher from working, with what mends it",
		Long: `Asks the mapping, NATS and each source's database what a publisher would ask, and
prints every problem at once with the SQL or setting that mends it. Advice is
told apart: the publisher works without it.

It connects as the publisher does and needs no right beyond the publisher's. It
changes nothing in a PostgreSQL or a stream; a SQLite file gets its change log
and triggers, as at any start of the publisher.

The exit code is 0 if a publisher would work, 1 if not, 2 if the configuration
itself is wrong.`,
		Example: `  fabric publisher check -c fabric.yaml
  fabric publisher check -c fabric.yaml --source petpro --json`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, cfg, err := g.publisherConfig(only)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), checkTime)
			defer cancel()
			r := checkAll(ctx, c, cfg)
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(r)
			} else {
				err = r.WriteText(cmd.OutOrStdout())
			}
			return errors.Join(err, r.failure(g.command("setup")))
		},
	}
	g.configFlags(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one line of JSON on standard output")
	sourceFlag(cmd, &only)
	g.complete(cmd)
	return cmd
}

func sourceFlag(cmd *cobra.Command, only *[]string) {
	cmd.Flags().StringSliceVar(only, "source", nil, "`name` of the source; may be repeated (default: all)")
}

// publisherConfig reads the configuration and keeps the sources that are named.
func (g *global) publisherConfig(only []string) (config.Config, publisher.Config, error) {
	c, origins, loadErr := config.Load(g.config)
	cfg, err := c.PublisherConfig(origins)
	if err := config.Merge(loadErr, err); err != nil {
		return c, cfg, err
	}
	if len(only) == 0 {
		return c, cfg, nil
	}
	var names []string
	var kept []publisher.SourceConfig
	for _, s := range cfg.Sources {
		names = append(names, s.Name)
		if slices.Contains(only, s.Name) {
			kept = append(kept, s)
		}
	}
	for _, name := range only {
		if !slices.Contains(names, name) {
			return c, cfg, usagef("--source %q: the configuration has no such source, only %s", name, strings.Join(names, ", "))
		}
	}
	cfg.Sources = kept
	return c, cfg, nil
}

// report is what a check found.
type report struct{ check.Report }

// checkAll asks mapping, NATS and sources, in this order.
func checkAll(ctx context.Context, c config.Config, cfg publisher.Config) report {
	var r report
	r.Parts = append(r.Parts, check.Mapping(cfg))
	broker, nc := check.NATS(ctx, c.NATS, stream.Config{
		Name: cfg.Stream, Ingest: cfg.IngestStream, Kinds: cfg.Kinds, Keep: cfg.Keep, Retention: cfg.Retention, Replicas: cfg.Replicas,
	})
	if nc != nil {
		defer nc.Close()
	}
	r.Parts = append(r.Parts, broker)
	for _, s := range cfg.Sources {
		if s.Kind != publisher.KindIngest { // its stream has been asked
			r.Parts = append(r.Parts, checkSource(ctx, cfg, s, nc))
		}
	}
	return r
}

func checkSource(ctx context.Context, cfg publisher.Config, s publisher.SourceConfig, nc *nats.Conn) check.Part {
	src, err := sources.Open(cfg, s, nc, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return check.Failed(s.Name, err)
	}
	return check.Source(ctx, src, s)
}

// failure is the command's error if there are problems; setup is how to call
// `fabric publisher setup` with the same configuration.
func (r report) failure(setup string) error {
	problems, _ := r.Counts()
	if problems == 0 {
		return nil
	}
	for _, p := range r.Parts {
		if p.Name != "nats" && p.Name != "mapping" && p.Mendable() {
			return fmt.Errorf("%s; the SQL for the databases in one piece: %s --print-sql", check.Count(problems), setup)
		}
	}
	return errors.New(check.Count(problems))
}

// command is how a command of `fabric publisher` is called with this
// configuration.
func (g *global) command(name string) string {
	s := self() + " publisher " + name
	if g.config.File != "" {
		s += " -c " + g.config.File
	}
	return s
}
