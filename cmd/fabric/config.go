package main

import (
	"github.com/spf13/cobra"

	"github.com/petpro/fabric/config"
	"github.com/petpro/fabric/publisher"
)

func newConfig(g *global) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show the configuration in force, and where each value came from",
		Long: `Prints the configuration as edge and publisher would read it, as YAML: what is
not set has its default, and each key tells its origin, which is the default, a
line of the file, an environment variable or --set. Secrets are hidden.

Everything that is wrong with it is told at once, and the exit code is 2.`,
		Example: `  fabric config -c fabric.yaml
  FABRIC_EDGE_PING=10s fabric config --set edge.ring=128MiB
  fabric config -c fabric.yaml | grep -v default      # what differs`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, origins, err := config.Load(g.config)
			if printErr := c.Print(cmd.OutOrStdout(), origins); printErr != nil {
				return printErr
			}
			return config.Merge(err, complaints(c, origins))
		},
	}
	g.configFlags(cmd.Flags())
	cmd.Flags().StringVar(&g.config.File, "file", "", "the same as --config")
	g.complete(cmd)
	return cmd
}

// complaints asks both services whether they could work with c. A configuration
// that names no source and no mapping is an edge's alone.
func complaints(c config.Config, o config.Origins) error {
	_, edgeErr := c.EdgeConfig(o)
	errs := []error{edgeErr, c.Auth.Validate()}
	if len(c.Publisher.Sources) > 0 || len(c.Mapping.Tables) > 0 {
		p, err := c.PublisherConfig(o)
		errs = append(errs, err)
		if _, err := publisher.NewMapper(p.Mapping, p.Kinds, p.MaxPayload); err != nil {
			errs = append(errs, err)
		}
	}
	return config.Merge(errs...)
}
