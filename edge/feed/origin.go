package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
)

// origin is where a feed begins on a history.
type origin struct {
	epoch    subjects.Epoch
	epochSeq uint64
	// positionSeq is that of the newest fabric.position, 0 if there is none.
	positionSeq uint64
	// start is the first sequence asked for, end the leader's last one when
	// that was decided: from end+1 on nothing may be missing.
	start, end uint64
}

// Waits between tries to find the stream.
const (
	originWait    = 50 * time.Millisecond
	originMaxWait = 2 * time.Second
)

// await asks for the origin until there is one. What is missing is logged
// when it changes. At the first start a wrong server version or stream setting
// is returned: only an operator can mend it. Later it is waited for, so that
// sessions stay. Returns ctx's error if that ends.
func (f *Feed) await(ctx context.Context, first bool) (origin, error) {
	wait, said := originWait, ""
	for {
		o, err := f.origin(ctx)
		switch {
		case err == nil:
			return o, nil
		case ctx.Err() != nil:
			return origin{}, ctx.Err()
		case f.nc.IsClosed():
			return origin{}, fmt.Errorf("follow stream %s: %w for good; nothing reconnects it", f.cfg.Stream, nats.ErrConnectionClosed)
		case first && (errors.Is(err, stream.ErrServerVersion) || errors.Is(err, stream.ErrStreamSettings)):
			return origin{}, fmt.Errorf("follow stream %s: %w", f.cfg.Stream, err)
		}
		if text := err.Error(); text != said {
			f.log.Warn("waiting for the stream", "stream", f.cfg.Stream, "err", err)
			said = text
		}
		if !sleep(ctx, wait) {
			return origin{}, ctx.Err()
		}
		wait = min(2*wait, originMaxWait)
	}
}

// origin asks the leader where to begin. The end is read before the epoch and
// the newest messages, so that those are not older than it.
func (f *Feed) origin(ctx context.Context) (origin, error) {
	if !f.nc.IsConnected() {
		return origin{}, nats.ErrDisconnected
	}
	ctx, cancel := context.WithTimeout(ctx, 5*leaderTimeout)
	defer cancel()
	if _, err := stream.Check(ctx, f.nc, f.cfg.Stream, f.cfg.Kinds...); err != nil {
		return origin{}, err
	}
	state, err := f.leader.State(ctx)
	if err != nil {
		return origin{}, err
	}
	e, err := f.leader.Epoch(ctx)
	if err != nil {
		return origin{}, err
	}
	if e.Epoch.Epoch == "" {
		return origin{}, fmt.Errorf("%s at sequence %d names no epoch; nobody but the publisher may publish there", subjects.EpochSubject, e.Seq)
	}
	o := origin{epoch: e.Epoch, epochSeq: e.Seq, end: state.Last}
	if o.positionSeq, err = f.newest(ctx, subjects.PositionSubject); err != nil {
		return origin{}, err
	}
	last, err := f.newest(ctx, ">")
	if err != nil {
		return origin{}, err
	}
	o.start = max(warmFrom(state, f.cfg.RingBytes, last), e.Seq)
	return o, nil
}

// newest returns the sequence of the newest message of a pattern, 0 if there
// is none.
func (f *Feed) newest(ctx context.Context, pattern string) (uint64, error) {
	m, err := f.leader.Last(ctx, pattern)
	if errors.Is(err, stream.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return m.Sequence, nil
}

// warmFrom is the sequence from which on about as much is stored as fits into
// the ring, at most that of the newest message: with it the watermark has its
// time from the start. Where keep has thinned out the stream less is read than
// would fit.
func warmFrom(s stream.State, ringBytes int, newest uint64) uint64 {
	if newest == 0 {
		newest = s.Last // purged; the next one stored begins the ring
	}
	each := uint64((&hub.Message{}).Size())
	if s.Messages > 0 {
		each += s.Bytes / s.Messages
	}
	if fit := uint64(ringBytes) / each; fit < s.Last {
		return max(min(newest, s.Last-fit+1), 1)
	}
	return 1
}
