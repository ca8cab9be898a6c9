// Command publisher carries a booking database's changes, and what services
// publish themselves, into the stream. One publishes at a time; further ones
// stand by.
//
//	publisher --config fabric.yaml
//
// Signals and exit codes: package daemon. It ends with code 1 where only an
// operator can help, and says how.
package main

import (
	"context"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"github.com/petpro/fabric/cmd/internal/daemon"
	"github.com/petpro/fabric/cmd/internal/sources"
	"github.com/petpro/fabric/config"
	"github.com/petpro/fabric/publisher"
)

var service = daemon.Service[publisher.Config]{
	Name:      "publisher",
	About:     "publisher carries a booking database's changes, and what services publish themselves, into the stream.",
	Configure: config.Config.PublisherConfig,
	Serve:     serve,
}

func main() { service.Main() }

func serve(ctx context.Context, cfg publisher.Config, c config.Config, log *slog.Logger) error {
	nc, err := c.NATS.Connect("publisher", log)
	if err != nil {
		return err
	}
	defer nc.Close()
	reg := daemon.Registry()
	pub, err := sources.NewPublisher(cfg, nc, log, reg)
	if err != nil {
		return err
	}
	admin, err := listen(c.Publisher.AdminListen)
	if err != nil {
		return err
	}
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return pub.Run(ctx) })
	parts.Go(func() error { return serveAdmin(ctx, admin, pub, reg, log) })
	return parts.Wait()
}
