package stream

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/petpro/fabric/subjects"
)

// Reasons of an epoch, for operators; edges treat all alike.
const (
	ReasonNew    = "new stream"
	ReasonLimits = "limits changed"
)

// epochLen is the length of an epoch's id: 36^10 values, so two histories
// never meet by chance, and short enough for every cursor to carry.
const epochLen = 10

// NewEpoch makes an epoch with a fresh random id.
func NewEpoch(reason string, keep int, retention time.Duration) subjects.Epoch {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	id := make([]byte, 0, epochLen)
	var b [1]byte
	for len(id) < epochLen {
		rand.Read(b[:])  // never fails (crypto/rand, Go 1.24)
		if b[0] < 7*36 { // 252 is the largest multiple: no letter is likelier
			id = append(id, letters[b[0]%36])
		}
	}
	return subjects.Epoch{Epoch: string(id), Reason: reason, Keep: keep, Retention: subjects.Duration(retention)}
}

// EpochMessage is the fabric.epoch message of e. position is the value of the
// header Fabric-Position; empty leaves it out.
func EpochMessage(e subjects.Epoch, position string) *nats.Msg {
	data, err := json.Marshal(e)
	if err != nil {
		panic(fmt.Sprintf("an epoch is plain data and always becomes JSON: %v", err))
	}
	m := nats.NewMsg(subjects.EpochSubject)
	m.Data = data
	if position != "" {
		m.Header.Set(subjects.PositionHeader, position)
	}
	return m
}

// firstEpoch writes the message that opens a stream. If another process has
// written it at the same moment, that one counts.
func firstEpoch(ctx context.Context, nc *nats.Conn, c Config) (Epoch, error) {
	e := NewEpoch(ReasonNew, c.Keep, c.Retention)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	seq, err := Append(ctx, nc, c.Name, 0, EpochMessage(e, ""))
	switch {
	case err == nil:
		return Epoch{Epoch: e, Seq: seq}, nil
	case !errors.Is(err, ErrMoved):
		return Epoch{}, fmt.Errorf("write the first %s: %w", subjects.EpochSubject, err)
	}
	got, err := NewLeader(nc, c.Name).Epoch(ctx)
	if errors.Is(err, ErrNoEpoch) {
		return Epoch{}, fmt.Errorf("%w: stream %s holds messages but no %s, so it is not a fabric's; name another stream in nats.stream, or delete this one if nobody needs it", ErrStreamSettings, c.Name, subjects.EpochSubject)
	}
	return got, err
}

// nextEpoch appends a new epoch, and in the same batch the position that
// closes it, behind whatever a running publisher appends meanwhile. Where an
// initial publication is under way there is nothing to close: it begins again
// under an epoch of its own.
func nextEpoch(ctx context.Context, nc *nats.Conn, c Config) (Epoch, error) {
	e := NewEpoch(ReasonLimits, c.Keep, c.Retention)
	for {
		s, err := NewLeader(nc, c.Name).Standing(ctx, nil)
		if err != nil {
			return Epoch{}, err
		}
		msgs := []*nats.Msg{EpochMessage(e, s.Position)}
		if closes(s.Position) {
			closing := nats.NewMsg(subjects.PositionSubject)
			closing.Header.Set(subjects.PositionHeader, s.Position)
			msgs = append(msgs, closing)
		}
		seq, err := appendWithin(ctx, nc, c.Name, s.Last, msgs)
		switch {
		case err == nil:
			return Epoch{Epoch: e, Seq: seq - uint64(len(msgs)-1)}, nil
		case !errors.Is(err, ErrMoved):
			return Epoch{}, fmt.Errorf("write a new %s for changed limits: %w", subjects.EpochSubject, err)
		}
		// A busy publisher was faster. Meeting it at another moment of its
		// rhythm is all that helps.
		select {
		case <-ctx.Done():
			return Epoch{}, fmt.Errorf("write a new %s for changed limits: a publisher was faster each time: %w", subjects.EpochSubject, ctx.Err())
		case <-time.After(mrand.N(20 * time.Millisecond)):
		}
	}
}

// closes reports whether a position may close an epoch: something has been
// published, and no source's initial publication ("<source>=init") is under
// way.
func closes(position string) bool {
	return position != "" && !strings.Contains(position, "=init;")
}

func appendWithin(ctx context.Context, nc *nats.Conn, name string, last uint64, msgs []*nats.Msg) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return Append(ctx, nc, name, last, msgs...)
}
