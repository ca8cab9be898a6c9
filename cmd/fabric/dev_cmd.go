package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/petpro/fabric/config"
)

func newDev(g *global) *cobra.Command {
	var port int
	var asJSON bool
	var own PostgresOptions
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run the whole fabric on this machine",
		Long: `Runs a shop's database (SQLite), a NATS server, a publisher, two edges and a page
in one process, on loopback only. The page shows a vendor and a customer side by
side, each on another edge. Change bookings there or with any client of the database.

With --postgres it publishes from a PostgreSQL of yours instead, by the mapping of
-c, or PetPro's. What a publisher needs there is checked first: what is missing is
told with its SQL, or made with --apply. Everything it keeps there is called
fabric_dev. When it ends it drops its replication slot, which would keep the
server's log for ever, and what --apply made; so the next start begins a new epoch.
--keep leaves all of it there, and the next start resumes. After a kill -9 it is all
still there: start once more with the same flags, and end it.

Everything else is kept in --data: another start goes on where this one ended, and
cursors stay good. Ctrl-C ends it; a second Ctrl-C ends it at once.

With --json exactly one line is printed on standard output, once clients can
connect and will miss nothing:

  {"edges":["http://127.0.0.1:…",…],"page":"…","nats":"…","database":"…",
   "tokens":{"vendor":"…","customer":"…","stranger":"…"},"bookings":["…",…]}`,
		Example: `  fabric dev
  fabric dev --port 8400 --data /tmp/shop     # page 8400, edges 8401 and 8402, NATS 8403
  fabric dev --json > ready.json &
  fabric dev --set edge.ring=64KiB --set log.level=debug
  fabric dev --postgres postgres://me@127.0.0.1:5432/shop --apply
  fabric dev --postgres postgres://me@127.0.0.1:5432/empty --apply --demo`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, origins, err := config.Load(g.config)
			if err != nil {
				return err
			}
			if origins["log.level"] == config.FromDefault && !asJSON {
				c.Log.Level = "warn" // a person reads this
			}
			log := c.Logger(cmd.ErrOrStderr())
			slog.SetDefault(log)
			d, err := NewDev(DevOptions{Data: g.data, Port: port, Config: c, Origins: origins, Postgres: own, Log: log})
			if err != nil {
				return err
			}
			ctx, stop := withParent(cmd.Context())
			defer stop()
			return d.Run(ctx, func(r Ready) error {
				if asJSON {
					return r.writeJSON(cmd.OutOrStdout())
				}
				return r.writeText(cmd.OutOrStdout(), g.data)
			})
		},
	}
	g.flags(cmd)
	cmd.Flags().Lookup("data").Usage = "`directory` that everything is kept in"
	cmd.Flags().IntVarP(&port, "port", "p", 0, "`port` of the page; the edges and NATS take the three that follow (default: free ones)")
	cmd.Flags().StringVar(&own.DSN, "postgres", "", "publish from this database of yours (`dsn`)")
	cmd.Flags().StringVar(&own.Source, "source", "", "`kind` of source for --postgres: postgres or outbox (default: what the server allows)")
	cmd.Flags().BoolVar(&own.Apply, "apply", false, "make in the database of --postgres what the publisher needs, and remove it at the end")
	cmd.Flags().BoolVar(&own.Demo, "demo", false, "make the tables of a small shop in an empty database")
	cmd.Flags().BoolVar(&own.Keep, "keep", false, "leave slot and triggers in the database at the end, so that the next start resumes")
	_ = cmd.RegisterFlagCompletionFunc("source", cobra.FixedCompletions([]string{"postgres", "outbox"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one line of JSON when ready, and nothing else, on standard output")
	return cmd
}
