package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/petpro/fabric/config"
)

// target is the fabric that a command talks to.
type target struct {
	config  config.Config
	origins config.Origins
	// dev is set if it is a running `fabric dev`.
	dev bool
}

// target reads the configuration. Where that does not say which NATS is meant,
// a dev running on the data directory is.
func (g *global) target() (target, error) {
	c, origins, err := config.Load(g.config)
	if err != nil {
		return target{}, err
	}
	t := target{config: c, origins: origins}
	if origins["nats.urls"] != config.FromDefault {
		return t, nil
	}
	if ready, ok := running(g.data); ok {
		t.config.NATS.URLs, t.dev = []string{ready.NATS}, true
	}
	return t, nil
}

// connect opens a connection for one command: it is tried once.
func (t target) connect(cmd *cobra.Command) (*nats.Conn, error) {
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	nc, err := t.config.NATS.Connect("fabric "+cmd.Name(), log, nats.RetryOnFailedConnect(false))
	switch {
	case err == nil:
		return nc, nil
	case t.dev:
		return nil, fmt.Errorf("%w; `fabric dev` announced it there: start it again, or name another with --set nats.urls=…", err)
	case errors.Is(err, nats.ErrNoServers):
		return nil, fmt.Errorf("%w; start it, or `fabric dev`, or name another with --set nats.urls=…", err)
	case errors.Is(err, nats.ErrAuthorization):
		return nil, fmt.Errorf("%w; check nats.creds, and the account's password in nats.urls", err)
	}
	return nil, err
}
