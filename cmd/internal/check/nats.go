package check

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/petpro/fabric/config"
	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/subjects/stream"
)

// NATS asks the broker what the publisher will ask it, and writes nothing. The
// connection is nil if there is none; it is the caller's to close.
func NATS(ctx context.Context, c config.NATS, want stream.Config) (Part, *nats.Conn) {
	p := Part{Name: "nats"}
	nc, err := c.Connect("fabric publisher check", slog.New(slog.DiscardHandler), nats.RetryOnFailedConnect(false))
	if err != nil {
		p.wrong(err.Error(), connectMend(err))
		return p, nil
	}
	p.fine("%s runs nats-server %s", nc.ConnectedUrlRedacted(), nc.ConnectedServerVersion())
	always, err := refusals(ctx, nc, rightsToPublish(want))
	if err == nil && len(always) > 0 {
		p.wrong("NATS refuses what the publisher has to do", allow(always))
		return p, nc // whoever may not ask would wait for answers in vain
	}
	var changes []string
	if err == nil {
		changes, err = refusals(ctx, nc, rightsToProvision(want))
	}
	if err != nil {
		p.wrong("asking NATS what the publisher may do: "+err.Error(), "")
		return p, nc
	}
	p.streams(ctx, nc, want, changes)
	return p, nc
}

func connectMend(err error) string {
	switch {
	case errors.Is(err, nats.ErrNoServers):
		return "start nats-server, or correct nats.urls"
	case errors.Is(err, nats.ErrAuthorization):
		return "correct nats.creds, or user and password in nats.urls"
	}
	return ""
}

// streams tells what the publisher would do to the streams at its start; it
// may not be allowed to.
func (p *Part) streams(ctx context.Context, nc *nats.Conn, want stream.Config, refused []string) {
	plan, err := stream.Preview(ctx, nc, want)
	p.add(err)
	switch {
	case len(plan.Steps) > 0 && len(refused) > 0:
		p.wrong("the publisher would have to "+strings.Join(plan.Steps, ", ")+", and may not",
			"run `fabric provision` as a user who may, or "+allow(refused))
	case len(plan.Steps) > 0:
		p.fine("its first start will %s", strings.Join(plan.Steps, ", "))
	case err == nil:
		p.fine("streams %s and %s are as configured, epoch %s", want.Name, want.Ingest, plan.Epoch.Epoch.Epoch)
	}
	if plan.Epoch.Seq > 0 {
		p.foreign(ctx, nc, want)
	}
}

// foreign tells of messages that somebody else has written.
func (p *Part) foreign(ctx context.Context, nc *nats.Conn, want stream.Config) {
	standing, err := stream.NewLeader(nc, want.Name).Standing(ctx, func(position string) bool {
		_, err := publisher.ParsePositions(position)
		return err == nil
	})
	if err != nil {
		p.add(err)
		return
	}
	if standing.Foreign > 0 {
		p.advise(fmt.Sprintf("somebody else has published %s to %s since the publisher did", count(standing.Foreign, "message"), want.Name),
			"take the permission to publish on "+strings.Join(want.Kinds.Streamed(), ", ")+" from everybody but the publisher, as deploy/nats.conf does")
	}
}
