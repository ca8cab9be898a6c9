package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/subjects"
)

// ErrNotFound is returned when the stream holds no such message.
var ErrNotFound = errors.New("no such message in the stream")

// patience is how long one answer is waited for. A change of leader takes a
// fraction of it.
const patience = 2 * time.Second

// Leader reads a stream through its leader. A direct get is answered by any
// replica: in one measurement 166 of 2 000 answers did not hold a message that
// had been acknowledged before. Its methods may be called from any goroutine.
type Leader struct {
	nc     *nats.Conn
	stream string
}

// NewLeader asks nothing yet.
func NewLeader(nc *nats.Conn, stream string) Leader { return Leader{nc: nc, stream: stream} }

// State is how far the stream reaches.
type State struct {
	First, Last uint64
	// LastTime is the stream time of message Last.
	LastTime time.Time
	// Messages and Bytes are what it holds.
	Messages, Bytes uint64
	// Created is when the stream was created.
	Created time.Time
	// Now is the leader's clock when it answered.
	Now time.Time
}

// State asks for the bounds of the stream. Last counts purged messages too: it
// is what Append expects.
func (l Leader) State(ctx context.Context) (State, error) {
	info, err := l.info(ctx)
	if err != nil {
		return State{}, err
	}
	return State{First: info.State.FirstSeq, Last: info.State.LastSeq, LastTime: info.State.LastTime, Messages: info.State.Msgs, Bytes: info.State.Bytes, Created: info.Created, Now: info.TimeStamp}, nil
}

// Get reads the message with this sequence. Returns ErrNotFound if it is gone
// or not there yet.
func (l Leader) Get(ctx context.Context, seq uint64) (*jetstream.RawStreamMsg, error) {
	return l.get(ctx, getRequest{Seq: seq})
}

// Last reads the newest message whose subject matches pattern. Returns
// ErrNotFound if there is none.
func (l Leader) Last(ctx context.Context, pattern string) (*jetstream.RawStreamMsg, error) {
	return l.get(ctx, getRequest{LastFor: pattern})
}

// Next reads the first message with at least this sequence whose subject
// matches pattern. Returns ErrNotFound if there is none.
func (l Leader) Next(ctx context.Context, seq uint64, pattern string) (*jetstream.RawStreamMsg, error) {
	return l.get(ctx, getRequest{Seq: seq, NextFor: pattern})
}

// Epoch reads the newest fabric.epoch. Returns ErrNoEpoch if there is none.
func (l Leader) Epoch(ctx context.Context) (Epoch, error) {
	m, err := l.Last(ctx, subjects.EpochSubject)
	if errors.Is(err, ErrNotFound) {
		return Epoch{}, fmt.Errorf("%w: stream %s holds no %s; start the publisher or run \"fabric provision\"", ErrNoEpoch, l.stream, subjects.EpochSubject)
	}
	if err != nil {
		return Epoch{}, err
	}
	e := Epoch{Seq: m.Sequence}
	if err := json.Unmarshal(m.Data, &e.Epoch); err != nil {
		return Epoch{}, fmt.Errorf("%s at sequence %d is not the publisher's: %w; nobody else may publish there", subjects.EpochSubject, m.Sequence, err)
	}
	return e, nil
}

// getRequest is the body of $JS.API.STREAM.MSG.GET.
type getRequest struct {
	Seq     uint64 `json:"seq,omitempty"`
	LastFor string `json:"last_by_subj,omitempty"`
	NextFor string `json:"next_by_subj,omitempty"`
}

// stored is a message as $JS.API.STREAM.MSG.GET returns it.
type stored struct {
	Subject string    `json:"subject"`
	Seq     uint64    `json:"seq"`
	Header  []byte    `json:"hdrs"`
	Data    []byte    `json:"data"`
	Time    time.Time `json:"time"`
}

func (l Leader) get(ctx context.Context, req getRequest) (*jetstream.RawStreamMsg, error) {
	var resp struct {
		Error   *jetstream.APIError `json:"error"`
		Message *stored             `json:"message"`
	}
	if err := l.ask(ctx, "MSG.GET", req, &resp); err != nil {
		return nil, err
	}
	switch {
	case resp.Error != nil && resp.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, ErrNotFound
	case resp.Error != nil:
		return nil, explain(l.stream, resp.Error)
	case resp.Message == nil:
		return nil, fmt.Errorf("read from stream %s: the answer holds no message", l.stream)
	}
	m := &jetstream.RawStreamMsg{Subject: resp.Message.Subject, Sequence: resp.Message.Seq, Data: resp.Message.Data, Time: resp.Message.Time}
	if len(resp.Message.Header) > 0 {
		hdr, err := nats.DecodeHeadersMsg(resp.Message.Header)
		if err != nil {
			return nil, fmt.Errorf("headers of message %d of stream %s: %w", m.Sequence, l.stream, err)
		}
		m.Header = hdr
	}
	return m, nil
}

func (l Leader) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	var resp struct {
		Error *jetstream.APIError `json:"error"`
		jetstream.StreamInfo
	}
	if err := l.ask(ctx, "INFO", nil, &resp); err != nil {
		return nil, err
	}
	if resp.Error != nil {
		return nil, explain(l.stream, resp.Error)
	}
	return &resp.StreamInfo, nil
}

// ask sends one request to $JS.API.STREAM.<verb>.<stream> and decodes the
// answer.
func (l Leader) ask(ctx context.Context, verb string, req, resp any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var body []byte
	if req != nil {
		var err error
		if body, err = json.Marshal(req); err != nil {
			return fmt.Errorf("ask for %s of stream %s: %w", verb, l.stream, err)
		}
	}
	m, err := l.nc.RequestWithContext(ctx, "$JS.API.STREAM."+verb+"."+l.stream, body)
	if err != nil {
		return fmt.Errorf("ask for %s of stream %s: %w", verb, l.stream, explain(l.stream, err))
	}
	if err := json.Unmarshal(m.Data, resp); err != nil {
		return fmt.Errorf("ask for %s of stream %s: the answer is no JSON: %w", verb, l.stream, err)
	}
	return nil
}
