package check

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/subjects/stream"
)

// right to publish: the pattern as an operator grants it, and a subject to try.
type right struct{ pattern, try string }

// probe is the id and name that questions are asked with. No room, stream or
// consumer has it.
const probe = "fabric-check"

// rightsToPublish are those without which no publisher works.
func rightsToPublish(c stream.Config) []right {
	rights := []right{{"user.>", "user." + probe + ".control"}, {"fabric.>", "fabric.position"}}
	for _, kind := range c.Kinds {
		rights = append(rights, right{kind + ".>", kind + "." + probe + ".access"})
	}
	for _, name := range []string{c.Name, c.Ingest} {
		for _, verb := range []string{"INFO", "MSG.GET"} {
			rights = append(rights, exactly("$JS.API.STREAM."+verb+"."+name))
		}
	}
	for _, name := range []string{c.Ingest, c.Name} { // to read, and to list what a new epoch revokes
		for _, verb := range []string{"CREATE", "MSG.NEXT"} {
			api := "$JS.API.CONSUMER." + verb + "." + name
			rights = append(rights, right{api + ".>", api + "." + probe})
		}
	}
	return rights
}

// rightsToProvision are needed where the streams are not as configured.
func rightsToProvision(c stream.Config) []right {
	var rights []right
	for _, name := range []string{c.Name, c.Ingest} {
		for _, verb := range []string{"CREATE", "UPDATE"} {
			rights = append(rights, exactly("$JS.API.STREAM."+verb+"."+name))
		}
	}
	return rights
}

func exactly(subject string) right { return right{subject, subject} }

// flushTime bounds one question.
const flushTime = 5 * time.Second

// refusals tries each right and returns the patterns of those the connection
// has not. Nothing comes of the tries: no stream takes a message that expects a
// stream of another name, and requests that are no JSON are refused.
func refusals(ctx context.Context, nc *nats.Conn, rights []right) ([]string, error) {
	var refused []string
	for _, r := range rights {
		msg := &nats.Msg{Subject: r.try, Data: []byte("{"), Header: nats.Header{jetstream.ExpectedStreamHeader: {probe}}}
		if err := nc.PublishMsg(msg); err != nil {
			return nil, err
		}
		// A refusal is told before the answer to a ping.
		ctx, cancel := context.WithTimeout(ctx, flushTime)
		err := nc.FlushWithContext(ctx)
		cancel()
		if err != nil {
			return nil, fmt.Errorf("wait for NATS: %w", err)
		}
		if err := nc.LastError(); errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), strconv.Quote(r.try)) {
			refused = append(refused, r.pattern)
		}
	}
	return refused, nil
}

// allow is what an operator adds to nats-server's configuration.
func allow(patterns []string) string {
	quoted := make([]string, len(patterns))
	for i, p := range patterns {
		quoted[i] = strconv.Quote(p)
	}
	return "add to the user's permissions { publish: […] } in nats-server's configuration: " + strings.Join(quoted, " ")
}
