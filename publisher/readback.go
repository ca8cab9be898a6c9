package publisher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
)

// Reasons of an epoch that a publisher begins.
const (
	reasonRolledBack  = "stream lost data"
	reasonInterrupted = "initial publication interrupted"
	reasonSourceLost  = "source lost data"
)

// readBack asks the stream's leader how far the sources are published. A
// reason is why the history cannot go on in its epoch.
func (s *session) readBack(ctx context.Context) (reason string, err error) {
	s.metrics.resyncs.Inc()
	leader := stream.NewLeader(s.nc, s.cfg.Stream)
	end, err := leader.Standing(ctx, readable)
	if err != nil {
		return "", err
	}
	s.reached = time.Now()
	if end.Foreign > 0 {
		s.metrics.foreign.Add(float64(end.Foreign))
		s.log.Error("somebody else has published to the stream; take the permission from everybody but the publisher", "stream", s.cfg.Stream, "messages", end.Foreign, "seq", end.Last)
	}
	newest, _ := s.marks()
	if s.moved && len(s.holds) > 0 && end.Seq > newest.Sequence {
		return "", errRival
	}
	pos := Positions{Sources: map[string]Position{}}
	if end.Position != "" {
		if pos, err = ParsePositions(end.Position); err != nil {
			return "", err
		}
	}
	behind, err := s.behind(ctx, leader, end, pos)
	if err != nil {
		return "", err
	}
	reason = s.plan(pos, end.Time, behind)
	if reason == reasonInterrupted && !s.initializing {
		if err := s.abandoned(ctx, leader, end.Last); err != nil {
			return "", err
		}
	}
	s.warnOfMapping(pos)
	pos.Map = s.mapper.Hash()
	s.sink = &sink{
		tuning: s.tuning, nc: s.nc, stream: s.cfg.Stream, pace: &s.pace,
		acked: s.acked, compare: s.compare,
		last: end.Last, pos: pos, at: time.Now(), sentAt: time.Now(),
	}
	if behind {
		s.until = s.reachedBefore()
	}
	s.sink.until = s.until
	if !behind && end.Seq > 0 {
		s.learn(end.Position, end.Seq, end.Time)
		s.confirm.acked(maps.Clone(pos.Sources))
	}
	if end.Foreign > 0 {
		s.sink.at = time.Time{} // so that the next search is short
	}
	return reason, nil
}

// plan says which sources start from their present state and why that, or
// anything else, needs a new epoch. A source new to an epoch in which others
// are complete adds to it; only a repetition would break it. at is when the
// stream reached pos.
func (s *session) plan(pos Positions, at time.Time, behind bool) (reason string) {
	if behind {
		reason = reasonRolledBack
	}
	for _, src := range s.sources {
		is, known := pos.Sources[src.Name()]
		switch {
		case known && s.stillLost(src.Name(), is):
			reason = reasonSourceLost
		case known && is.Place == InitPlace:
			reason = reasonInterrupted
		case known:
			continue
		}
		if known && is.Place != InitPlace {
			s.unknown[src.Name()] = unknown{place: is.Place, at: at}
		}
		s.fresh = append(s.fresh, src)
	}
	for _, src := range s.fresh {
		pos.Sources[src.Name()] = Position{Place: InitPlace}
	}
	return reason
}

// stillLost says whether a source that was lost is where this publisher left it.
// Otherwise another has seen to it, and its loss is forgotten.
func (s *session) stillLost(source string, is Position) bool {
	from, lost := s.lost[source]
	if !lost {
		return false
	}
	newest, _ := s.marks()
	marked, err := ParsePositions(newest.Position)
	if is.Place == from || err == nil && is.Place == marked.Sources[source].Place {
		return true
	}
	if is.Place != InitPlace {
		delete(s.lost, source)
	}
	return false
}

// errOther says that another publisher is at the initial publication.
var errOther = errors.New("another publisher is at its initial publication")

// abandoned waits until it is clear that nobody continues the initial
// publication under way, and returns errOther if somebody does. Two publishers
// that start together on an empty stream would otherwise begin it again in turn
// for ever; whoever had to give way waits longer each time.
func (s *session) abandoned(ctx context.Context, leader stream.Leader, last uint64) error {
	quiet := s.tuning.initialQuiet << min(s.gaveWay, 5)
	for deadline := time.Now().Add(quiet); time.Now().Before(deadline); {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(quiet / 10):
		}
		switch state, err := leader.State(ctx); {
		case err != nil:
			return err
		case state.Last != last:
			return errOther
		}
	}
	return nil
}

// behind says whether the stream ends before what it acknowledged to us, or
// holds another message where the state directory says one was.
func (s *session) behind(ctx context.Context, leader stream.Leader, end stream.Standing, pos Positions) (bool, error) {
	newest, saved := s.marks()
	report := func(msg string, m mark) {
		s.log.Error(msg+"; a new epoch begins, and what the sources still have is published again",
			"stream", s.cfg.Stream, "acknowledged", m.Position, "seq", m.Sequence, "time", m.Time, "found", end.Position, "last", end.Last)
	}
	if newest.Sequence > end.Last || s.before(pos, newest) {
		report("the stream lost data that it had acknowledged", newest)
		return true, nil
	}
	if saved.Sequence == 0 {
		return false, nil
	}
	got, err := leader.Get(ctx, saved.Sequence)
	switch {
	case errors.Is(err, stream.ErrNotFound):
		return false, nil // made room for newer ones
	case err != nil:
		return false, err
	case !got.Time.Equal(saved.Time) || got.Header.Get(subjects.PositionHeader) != saved.Position:
		report("the stream was restored or made anew: it holds another message than the one it had acknowledged", saved)
		return true, nil
	}
	return false, nil
}

// before says whether pos is behind the mark for any source.
func (s *session) before(pos Positions, m mark) bool {
	marked, err := ParsePositions(m.Position)
	if err != nil {
		return false // nothing is marked: load refuses what cannot be read
	}
	for _, src := range s.sources {
		was, ok := marked.Sources[src.Name()]
		if !ok || was.Place == InitPlace {
			continue
		}
		is, ok := pos.Sources[src.Name()]
		if !ok {
			return true
		}
		if is.Place == InitPlace {
			continue // begun anew by another publisher, in an epoch of its own
		}
		if c := src.Compare(is.Place, was.Place); c < 0 || c == 0 && is.less(was) {
			return true
		}
	}
	return false
}

// reachedBefore is where the sources had been before the stream lost data.
func (s *session) reachedBefore() map[string]Position {
	newest, _ := s.marks()
	marked, err := ParsePositions(newest.Position)
	if err != nil {
		return nil
	}
	maps.DeleteFunc(marked.Sources, func(name string, p Position) bool {
		return p.Place == InitPlace || !slices.ContainsFunc(s.sources, func(src Source) bool { return src.Name() == name })
	})
	return marked.Sources
}

// warnOfMapping tells that the rest of a row is published by another mapping.
func (s *session) warnOfMapping(pos Positions) {
	if pos.Map == "" || pos.Map == s.mapper.Hash() {
		return
	}
	for name, p := range pos.Sources {
		if p.Done != AllDone && p.Done > 0 {
			s.log.Warn("the mapping changed in the middle of a row; its rest is published by the new one", "source", name, "place", p.Place, "events", p.Done)
		}
	}
}

func (s *session) beginEpoch(reason string) error {
	e := stream.NewEpoch(reason, s.cfg.Keep, s.cfg.Retention)
	if err := s.sink.sendEpoch(s.doubt, e); err != nil {
		return fmt.Errorf("begin a new epoch: %w", err)
	}
	s.epoch = s.sink.last
	s.forgetSaved()
	s.metrics.epochs.WithLabelValues(reason).Inc()
	s.log.Warn("new epoch", "epoch", e.Epoch, "reason", reason, "seq", s.sink.last)
	return nil
}

// readable tells our own headers from what somebody else wrote into one.
func readable(position string) bool {
	_, err := ParsePositions(position)
	return err == nil
}
