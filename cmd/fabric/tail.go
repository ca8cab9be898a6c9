package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
)

// tailOptions are the flags of `fabric tail`.
type tailOptions struct {
	since   string
	json    bool
	records bool
	types   []string
}

func newTail(g *global) *cobra.Command {
	var o tailOptions
	cmd := &cobra.Command{
		Use:   "tail [ROOM]",
		Short: "Follow a room, a user, or everything",
		Long: `Prints what is published, as it happens, straight from the stream: time of the
change, its lag (how long after the commit it was in the stream), room, type,
and what it says.

ROOM is booking.<id> or user.<id>; without it everything is followed. Only what
clients see is shown; --records adds what edges keep to themselves: who may be
in a room (access), the index of a user's bookings, epochs and positions.`,
		Example: `  fabric tail
  fabric tail booking.42 --since 24h
  fabric tail user.u_7
  fabric tail --since all --type status --json | jq .data.status
  fabric tail -c fabric.yaml --records`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("unexpected %q; follow one room, or everything", args[1])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return g.tail(cmd, args, o) },
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"booking.", "user."}, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
		},
	}
	g.flags(cmd)
	cmd.Flags().StringVar(&o.since, "since", "", "begin in the past: a duration (10m), a `time` (2026-11-22T10:30:00Z) or all")
	cmd.Flags().BoolVar(&o.json, "json", false, "one JSON object a line")
	cmd.Flags().BoolVar(&o.records, "records", false, "show what clients never see, too")
	cmd.Flags().StringSliceVar(&o.types, "type", nil, "only this `type` (status, notification, …); may be repeated")
	_ = cmd.RegisterFlagCompletionFunc("since", cobra.FixedCompletions([]string{"1m", "1h", "24h", "all"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions([]string{subjects.StatusType, subjects.NotificationType}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (g *global) tail(cmd *cobra.Command, args []string, o tailOptions) error {
	t, err := g.target()
	if err != nil {
		return err
	}
	kinds := subjects.Kinds(t.config.Rooms.Kinds)
	conf := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverNewPolicy}
	if err := o.begin(&conf, time.Now()); err != nil {
		return usageError{err}
	}
	if conf.FilterSubjects, err = filters(kinds, args, o); err != nil {
		return usageError{err}
	}
	nc, err := t.connect(cmd)
	if err != nil {
		return err
	}
	defer nc.Close()
	p := printer{out: cmd.OutOrStdout(), kinds: kinds, options: o, colour: colourful(cmd.OutOrStdout())}
	return follow(cmd.Context(), nc, t.config.NATS.Stream, conf, p.print)
}

// begin sets where to begin.
func (o tailOptions) begin(c *jetstream.OrderedConsumerConfig, now time.Time) error {
	switch at, err := time.Parse(time.RFC3339, o.since); {
	case o.since == "":
		return nil
	case o.since == "all":
		c.DeliverPolicy = jetstream.DeliverAllPolicy
		return nil
	case err == nil:
		c.DeliverPolicy, c.OptStartTime = jetstream.DeliverByStartTimePolicy, &at
		return nil
	}
	d, err := time.ParseDuration(o.since)
	if err != nil || d < 0 {
		return fmt.Errorf("--since %q is no duration (10m), time (2026-11-22T10:30:00Z) or \"all\"", o.since)
	}
	at := now.Add(-d)
	c.DeliverPolicy, c.OptStartTime = jetstream.DeliverByStartTimePolicy, &at
	return nil
}

// filters are the subjects to ask the stream for. What they cannot tell apart
// the printer leaves out.
func filters(kinds subjects.Kinds, args []string, o tailOptions) ([]string, error) {
	types := o.types
	if len(types) == 0 {
		types = []string{"*"}
	}
	for _, typ := range types {
		if err := subjects.CheckID(typ); typ != "*" && err != nil {
			return nil, fmt.Errorf("--type: %w", err)
		}
	}
	if len(args) == 0 && o.records && len(o.types) == 0 {
		return []string{">"}, nil
	}
	rooms := []string{subjects.UserKind + ".*"}
	for _, kind := range kinds {
		rooms = append(rooms, kind+".*")
	}
	if len(args) == 1 {
		room, err := kinds.Room(args[0])
		if err != nil {
			return nil, err
		}
		rooms = []string{string(room)}
	}
	var out []string
	for _, room := range rooms {
		for _, typ := range types {
			out = append(out, room+"."+typ)
		}
		if o.records && len(o.types) == 0 && strings.HasPrefix(room, subjects.UserKind+".") {
			for _, kind := range kinds {
				out = append(out, room+"."+kind+".*")
			}
		}
	}
	return out, nil
}

// follow calls f for each message until ctx ends or f fails. It survives
// whatever the broker goes through.
func follow(ctx context.Context, nc *nats.Conn, name string, conf jetstream.OrderedConsumerConfig, f func(jetstream.Msg) error) error {
	if _, err := stream.NewLeader(nc, name).State(ctx); err != nil {
		return err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("follow %s: %w", name, err)
	}
	consumer, err := js.OrderedConsumer(ctx, name, conf)
	if err != nil {
		return fmt.Errorf("follow %s: %w", name, err)
	}
	msgs, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("follow %s: %w", name, err)
	}
	defer msgs.Stop()
	for {
		m, err := msgs.Next(jetstream.NextContext(ctx))
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, jetstream.ErrNoHeartbeat):
			continue // the server is away or busy; the consumer is made anew
		case err != nil:
			return fmt.Errorf("follow %s: %w", name, err)
		}
		if err := f(m); err != nil {
			return err
		}
	}
}
