package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"github.com/spf13/cobra"

	"github.com/petpro/fabric/config"
	"github.com/petpro/fabric/publisher/ingest"
	"github.com/petpro/fabric/subjects"
)

// publishTime is how long the broker may take to store a message.
const publishTime = 10 * time.Second

func newPublish(g *global) *cobra.Command {
	var id string
	cmd := &cobra.Command{
		Use:   "publish SUBJECT JSON",
		Short: "Publish something that is no row",
		Long: `Publishes as a booking service would that has something to say without a row
changing: into the stream INGEST, from where the publisher checks it and carries
it to the clients, once and in order.

SUBJECT is booking.<id>.<type>, user.<id>.notification or user.<id>.control.
JSON is the payload; - reads it from standard input.

With --id the same message may be sent again, for two minutes, without being
published twice.`,
		Example: `  fabric publish booking.42.reminder '{"text":"see you at ten"}'
  fabric publish user.u_7.notification '{"type":"NEWS","title":"Hello","message":"…"}'
  echo '{"text":"…"}' | fabric publish --id reminder-42-1 booking.42.reminder -

  # Log a user out everywhere: tokens issued before now are dead.
  fabric publish user.u_7.control "{\"notBefore\":$(date +%s)}"`,
		Args: exactly("subject", "json"),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := g.target()
			if err != nil {
				return err
			}
			payload, err := payloadOf(args[1], cmd.InOrStdin())
			if err != nil {
				return err
			}
			if err := checkMessage(t.config, args[0], payload); err != nil {
				return usageError{err}
			}
			if id == "" {
				id = nuid.Next()
			}
			return t.publish(cmd, args[0], payload, id)
		},
	}
	g.flags(cmd)
	cmd.Flags().StringVar(&id, "id", "", "`id` of the message (Nats-Msg-Id); default: a fresh one")
	return cmd
}

// payloadOf is the argument, or standard input for "-".
func payloadOf(arg string, in io.Reader) ([]byte, error) {
	if arg != "-" {
		return []byte(arg), nil
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("read the payload: %w", err)
	}
	return []byte(strings.TrimSpace(string(text))), nil
}

// checkMessage says before sending what the publisher would refuse.
func checkMessage(c config.Config, subject string, payload []byte) error {
	if strings.HasPrefix(subject, subjects.IngestPrefix) {
		return fmt.Errorf("subject %q: leave the prefix %q away, it is added", subject, subjects.IngestPrefix)
	}
	_, err := ingest.Parse(c.Rooms.Kinds, subjects.IngestPrefix+subject, payload, int(c.Publisher.MaxPayload))
	return err
}

// publish stores the message in INGEST and says where.
func (t target) publish(cmd *cobra.Command, subject string, payload []byte, id string) error {
	nc, err := t.connect(cmd)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("publish %s: %w", subject, err)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), publishTime)
	defer cancel()
	msg := &nats.Msg{Subject: subjects.IngestPrefix + subject, Data: payload}
	ack, err := js.PublishMsg(ctx, msg, jetstream.WithMsgID(id), jetstream.WithExpectStream(t.config.Publisher.IngestStream))
	switch {
	case errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("publish %s: no stream takes it; start the publisher or run `fabric provision`", subject)
	case err != nil:
		return fmt.Errorf("publish %s: %w", subject, err)
	case ack.Duplicate:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s was published before under id %s (%s sequence %d)\n", subject, id, ack.Stream, ack.Sequence)
	default:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "published %s (%s sequence %d, id %s)\n", subject, ack.Stream, ack.Sequence, id)
	}
	return err
}
