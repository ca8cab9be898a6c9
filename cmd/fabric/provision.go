package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/petpro/fabric/subjects/stream"
)

// provisionTime is how long the servers may take to make both streams.
const provisionTime = 30 * time.Second

func newProvision(g *global) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "provision",
		Short: "Create or check the streams",
		Long: `Brings the streams to what the configuration says, and writes the first epoch.
It may be run any number of times. It creates what is missing, adds subjects of
new kinds, changes replicas, and begins a new epoch if keep or retention
changed. Other differences are refused, each by name.

The publisher does the same when it starts; use this where the publisher's
account may not create streams.`,
		Example: `  fabric provision -c fabric.yaml
  fabric provision --set nats.urls=nats://10.0.0.1:4222 --set publisher.replicas=3`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := g.target()
			if err != nil {
				return err
			}
			c, err := t.config.StreamConfig(t.origins)
			if err != nil {
				return err
			}
			nc, err := t.connect(cmd)
			if err != nil {
				return err
			}
			defer nc.Close()
			ctx, cancel := context.WithTimeout(cmd.Context(), provisionTime)
			defer cancel()
			return provision(ctx, nc, c, cmd.OutOrStdout())
		},
	}
	g.flags(cmd)
	return cmd
}

// provision ensures the streams and tells what was done.
func provision(ctx context.Context, nc *nats.Conn, c stream.Config, out io.Writer) error {
	existed := map[string]bool{}
	for _, name := range []string{c.Name, c.Ingest} {
		_, err := stream.NewLeader(nc, name).State(ctx)
		existed[name] = !errors.Is(err, stream.ErrNoStream)
	}
	before, err := stream.NewLeader(nc, c.Name).Epoch(ctx)
	if err != nil {
		before = stream.Epoch{} // Ensure judges what is there
	}
	now, err := stream.Ensure(ctx, nc, c)
	if err != nil {
		return err
	}
	for _, name := range []string{c.Name, c.Ingest} {
		fmt.Fprintf(out, "stream %-8s %s\n", name, outcome(existed[name], "checked, as configured", "created"))
	}
	what := outcome(before.Epoch.Epoch == now.Epoch.Epoch, "unchanged", "new: "+now.Reason)
	_, err = fmt.Fprintf(out, "epoch  %-8s %s (keep %d, retention %s)\n", now.Epoch.Epoch, what, now.Keep, time.Duration(now.Retention))
	return err
}

func outcome(ok bool, yes, no string) string {
	if ok {
		return yes
	}
	return no
}
