package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/petpro/fabric/config"
)

func newDev(g *global) *cobra.Command {
	var port int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run the whole fabric on this machine",
		Long: `Runs a shop's database (SQLite), a NATS server, a publisher, two edges and a page
in one process, on loopback only. The page shows a vendor and a customer side by
side, each on another edge. Change bookings there or with any SQLite client.

Everything is kept in --data: another start goes on where this one ended, and
cursors stay good. Ctrl-C ends it; a second Ctrl-C ends it at once.

With --json exactly one line is printed on standard output, once clients can
connect and will miss nothing:

  {"edges":["http://127.0.0.1:…",…],"page":"…","nats":"…","database":"…",
   "tokens":{"vendor":"…","customer":"…","stranger":"…"},"bookings":["…",…]}`,
		Example: `  fabric dev
  fabric dev --port 8400 --data /tmp/shop     # page 8400, edges 8401 and 8402, NATS 8403
  fabric dev --json > ready.json &
  fabric dev --set edge.ring=64KiB --set log.level=debug`,
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
			d, err := NewDev(DevOptions{Data: g.data, Port: port, Config: c, Origins: origins, Log: log})
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
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one line of JSON when ready, and nothing else, on standard output")
	return cmd
}
