// Command edge runs one stateless edge node: it follows the stream and serves
// clients. Start as many as are needed, behind any balancer.
//
//	edge --config fabric.yaml
//
// Signals and exit codes: package daemon. The first signal drains it.
package main

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/petpro/fabric/cmd/internal/daemon"
	"github.com/petpro/fabric/config"
	"github.com/petpro/fabric/edge"
)

var service = daemon.Service[edge.Config]{
	Name:      "edge",
	About:     "edge follows the stream and serves clients. It keeps no state; start as many as are needed.",
	Configure: configure,
	Serve:     serve,
}

// gcPercent keeps less garbage beside what lives: an edge is mostly memory that
// idle connections hold, and a quarter of its RSS would be headroom at Go's
// default of 100. GOGC in the environment decides otherwise.
const gcPercent = 50

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	service.Main()
}

// configure complains about the keys together with everything else; EdgeConfig
// does not read the files that hold them.
func configure(c config.Config, o config.Origins) (edge.Config, error) {
	cfg, err := c.EdgeConfig(o)
	return cfg, config.Merge(err, c.Auth.Validate())
}

func serve(ctx context.Context, cfg edge.Config, c config.Config, log *slog.Logger) error {
	nc, err := c.NATS.Connect("edge", log)
	if err != nil {
		return err
	}
	defer nc.Close()
	node, err := edge.New(cfg, nc, log, daemon.Registry())
	if err != nil {
		return err
	}
	return node.Run(ctx)
}
