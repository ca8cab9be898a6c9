package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// MaxBatch is how many messages one atomic batch may hold; nats-server refuses
// more (ADR-50).
const MaxBatch = 1000

// ErrMoved is returned by Append when the stream does not end where the caller
// believes: somebody else has appended. Nothing was stored.
var ErrMoved = errors.New("the stream has moved on")

// Headers of atomic batches (ADR-50).
const (
	batchID       = "Nats-Batch-Id"
	batchSequence = "Nats-Batch-Sequence"
	batchCommit   = "Nats-Batch-Commit"
)

// ack is the server's answer to a publish.
type ack struct {
	Error    *jetstream.APIError `json:"error"`
	Stream   string              `json:"stream"`
	Sequence uint64              `json:"seq"`
	Count    int                 `json:"count"`
}

// Append adds msgs behind the message with sequence last, or nothing at all:
// one message by itself, several as one atomic batch. It returns the sequence
// of the newest one. The headers that carry the protocol are set on msgs.
//
// Returns ErrMoved if the stream ends elsewhere. After any other error the
// outcome is unknown: the messages may be stored, or may yet be (nats.go sends
// what it buffered once it is connected again). Read the stream's end through
// its Leader before going on. The caller limits the wait with ctx and appends
// nothing else before Append has returned. A message is given to Append once:
// a second try builds it anew.
func Append(ctx context.Context, nc *nats.Conn, stream string, last uint64, msgs ...*nats.Msg) (uint64, error) {
	if len(msgs) == 0 || len(msgs) > MaxBatch {
		return 0, fmt.Errorf("append to stream %s: %d messages, must be 1 to %d", stream, len(msgs), MaxBatch)
	}
	for _, m := range msgs {
		if m.Header == nil {
			m.Header = nats.Header{}
		}
	}
	set(msgs[0], jetstream.ExpectedLastSeqHeader, strconv.FormatUint(last, 10))
	set(msgs[0], jetstream.ExpectedStreamHeader, stream)
	if len(msgs) > 1 {
		id := nuid.Next()
		for i, m := range msgs {
			set(m, batchID, id)
			set(m, batchSequence, strconv.Itoa(i+1))
		}
		set(msgs[len(msgs)-1], batchCommit, "1")
		for _, m := range msgs[:len(msgs)-1] {
			if err := nc.PublishMsg(m); err != nil {
				return 0, fmt.Errorf("append %d messages to stream %s: %w", len(msgs), stream, err)
			}
		}
	}
	return commit(ctx, nc, stream, last, msgs)
}

// commit sends the last message of a unit and judges the answer.
func commit(ctx context.Context, nc *nats.Conn, stream string, last uint64, msgs []*nats.Msg) (uint64, error) {
	n := len(msgs)
	reply, err := nc.RequestMsgWithContext(ctx, msgs[n-1])
	if errors.Is(err, nats.ErrNoResponders) {
		return 0, fmt.Errorf("append to stream %s: no stream takes %s; the stream is gone, has no leader, or JetStream is down: %w", stream, msgs[n-1].Subject, err)
	}
	if err != nil {
		return 0, fmt.Errorf("append %d messages to stream %s behind sequence %d: %w", n, stream, last, err)
	}
	var a ack
	if err := json.Unmarshal(reply.Data, &a); err != nil {
		return 0, fmt.Errorf("append %d messages to stream %s behind sequence %d: the acknowledgement is no JSON: %w", n, stream, last, err)
	}
	switch {
	case a.Error != nil && (a.Error.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || a.Error.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant):
		return 0, fmt.Errorf("%w: append %d messages to stream %s behind sequence %d: %s", ErrMoved, n, stream, last, a.Error.Description)
	case a.Error != nil:
		return 0, fmt.Errorf("append %d messages to stream %s behind sequence %d: %w", n, stream, last, explain(stream, a.Error))
	case a.Stream != stream || a.Sequence != last+uint64(n):
		return 0, fmt.Errorf("append %d messages to stream %s behind sequence %d: acknowledged as sequence %d of stream %q", n, stream, last, a.Sequence, a.Stream)
	}
	return a.Sequence, nil
}

// set writes a header without the canonical form of Header.Set, which would
// allocate; the names are canonical already.
func set(m *nats.Msg, key, value string) { m.Header[key] = []string{value} }
