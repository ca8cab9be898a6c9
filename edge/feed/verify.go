package feed

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/petpro/fabric/subjects/stream"
)

// otherHistory is why the stream is not the one that was followed: deleted and
// created anew, restored from an older copy, truncated by a power cut.
type otherHistory struct{ why string }

func (e otherHistory) Error() string { return "the stream holds another history: " + e.why }

// Times of the questions to the leader.
const (
	// checkEvery is how often the leader is asked whether the history is still
	// the same. leaderTimeout bounds each look: what is sent to a leader that
	// is gone is never answered, while its successor is there within a second.
	checkEvery    = time.Second
	leaderTimeout = time.Second
	// A leader that has just been deposed may answer with an old state for a
	// moment, so a different history is believed the third time only.
	doubts   = 3
	doubtGap = 150 * time.Millisecond
)

// verify asks the leader whether the history is the one that the window holds:
// fabric.epoch unchanged, the last sequence not below ours, and the newest of
// our messages that is still stored has our time. The consumer cannot tell: on
// a stream that was created anew or truncated it waits for ever at its old
// place. Returns otherHistory, or another error if there was no answer. last
// is the leader's last sequence.
func (f *Feed) verify(ctx context.Context) (last uint64, err error) {
	for try := 1; ; try++ {
		last, err = f.compare(ctx, f.window.mark())
		_, other := errors.AsType[otherHistory](err)
		f.pulse.asked(err == nil || other)
		if !other || try == doubts {
			return last, err
		}
		if !sleep(ctx, doubtGap) {
			return 0, ctx.Err()
		}
	}
}

func (f *Feed) compare(ctx context.Context, m mark) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	if !f.nc.IsConnected() {
		return 0, nats.ErrDisconnected
	}
	state, err := f.leader.State(ctx)
	if err != nil {
		return 0, err
	}
	if state.Last < m.last {
		return 0, otherHistory{fmt.Sprintf("it ends at sequence %d, %d was read before", state.Last, m.last)}
	}
	e, err := f.leader.Epoch(ctx)
	if err != nil {
		return 0, err
	}
	// A newer epoch that the tail has not reached comes by itself.
	if e.Seq <= m.last && (e.Epoch.Epoch != m.epoch || e.Seq != m.epochSeq) {
		return 0, otherHistory{fmt.Sprintf("epoch %s at sequence %d, was %s at %d", e.Epoch.Epoch, e.Seq, m.epoch, m.epochSeq)}
	}
	return state.Last, f.compareTime(ctx, m)
}

// compareTime looks for the newest message of the ring that is still stored;
// the newest may have been dropped by keep. It goes back in doubling steps:
// the first stored message behind each step is looked at.
func (f *Feed) compareTime(ctx context.Context, m mark) error {
	if m.ringFirst == 0 {
		return nil
	}
	for back := uint64(0); ; back = 2*back + 1 {
		seq := m.ringFirst
		if m.last-m.ringFirst > back {
			seq = m.last - back
		}
		got, err := f.leader.Next(ctx, seq, ">")
		if err != nil && !errors.Is(err, stream.ErrNotFound) {
			return err
		}
		if err == nil && got.Sequence <= m.last {
			if !f.window.agrees(m.gen, got.Sequence, got.Time.UnixMicro()) {
				return otherHistory{fmt.Sprintf("message %d has another time (%s) than when it was read", got.Sequence, got.Time.Format(time.RFC3339Nano))}
			}
			return nil
		}
		if seq == m.ringFirst {
			return nil // nothing of the ring is stored any more
		}
	}
}

// check verifies every second, and tells the tail if it must begin anew.
func (f *Feed) check(ctx context.Context) {
	t := time.NewTicker(checkEvery)
	defer t.Stop()
	var stuck stuck
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		m := f.window.mark()
		if m.gen == 0 {
			continue // no history has been begun
		}
		last, err := f.verify(ctx)
		_, other := errors.AsType[otherHistory](err)
		switch {
		case other:
			f.tail.interrupt(m.gen, err)
		case err == nil && stuck.at(m, last) && f.missing(ctx, m.last):
			f.tail.interrupt(m.gen, errStuck)
		}
	}
}

// missing reports whether the leader stores anything behind last.
func (f *Feed) missing(ctx context.Context, last uint64) bool {
	ctx, cancel := context.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	_, err := f.leader.Next(ctx, last+1, ">")
	return err == nil
}

// stuck notices a tail that does not move although the leader is ahead: the
// replica that its consumer lives on does not follow.
type stuck struct {
	gen, last uint64
	times     int
}

// stuckAfter is how many checks in a row must find the tail at the same place
// behind the leader.
const stuckAfter = 3

func (s *stuck) at(m mark, leaderLast uint64) bool {
	if m.gen != s.gen || m.last != s.last || leaderLast <= m.last {
		*s = stuck{gen: m.gen, last: m.last}
		return false
	}
	s.times++
	if s.times < stuckAfter {
		return false
	}
	s.times = 0
	return true
}

// jitter spreads d by a quarter to either side.
func jitter(d time.Duration) time.Duration { return d - d/4 + rand.N(d/2+1) }

// sleep waits for about d and reports whether ctx still lives.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(jitter(d))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
