package publisher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"github.com/petpro/fabric/subjects/stream"
)

// rowsWaiting bounds the mapped rows between the sources and the sink: enough
// to fill the next batch while one is in flight. A full channel stops the
// sources.
const rowsWaiting = stream.MaxBatch

var errDisconnected = errors.New("the connection to NATS was lost")

// session is one stretch of publishing: from reading the position back to the
// first doubt.
type session struct {
	*Publisher
	// doubt ends when an acknowledgement cannot be hoped for any more; give ends
	// it, and the session.
	doubt context.Context
	give  context.CancelCauseFunc

	sink    *sink
	confirm *confirmer
	flight  *flight
	past    *past // nil during an initial publication
	// fresh are the sources to be published from their present state, epoch the
	// sequence of the fabric.epoch for that; 0 if it needs none.
	fresh []Source
	epoch uint64
}

// session runs until ctx ends or something is in doubt; it never returns nil.
func (p *Publisher) session(ctx context.Context) error {
	// Whoever ends the session waits for the unit in flight, so that nothing is
	// under way when another publisher takes over. Only doubt gives it up.
	doubt, doubted := context.WithCancelCause(context.WithoutCancel(ctx))
	ctx, cancel := context.WithCancelCause(ctx)
	s := &session{
		Publisher: p,
		doubt:     doubt,
		give:      func(cause error) { doubted(cause); cancel(cause) },
		confirm:   &confirmer{sources: p.sources, delay: p.cfg.ConfirmDelay, step: p.tuning.confirmStep, log: p.log},
		flight:    newFlight(),
	}
	defer s.give(nil)
	defer p.watch(s.give)()
	p.fly(s.flight)
	err := s.run(ctx)
	if s.sink != nil {
		p.until = s.sink.until
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if nack := (nackError{}); errors.As(err, &nack) {
		p.metrics.nacks.Inc()
	}
	return err
}

// watch cancels when the connection is lost: what was acknowledged before may
// not be there after.
func (p *Publisher) watch(cancel context.CancelCauseFunc) (stop func()) {
	changes := p.nc.StatusChanged(nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, ok := <-changes; ok {
			cancel(errDisconnected)
		}
	}()
	return func() {
		p.nc.RemoveStatusListener(changes)
		<-done
	}
}

func (s *session) run(ctx context.Context) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	release, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	reason, err := s.readBack(ctx)
	if err != nil {
		return err
	}
	if reason != "" {
		if err := s.mayRevoke(ctx); err != nil {
			return err
		}
		if err := s.beginEpoch(reason); err != nil {
			return err
		}
	}
	s.setTrouble(nil)
	if len(s.fresh) > 0 {
		if err := s.publishInitial(ctx); err != nil {
			return err
		}
	}
	s.initialDone(s.sink.last)
	return s.overtaken(s.follow(ctx))
}

// overtaken tells a source that lost data from one that was asked for what
// another publisher has published meanwhile, and let the source forget. Then
// the stream ends elsewhere than this session knows.
func (s *session) overtaken(err error) error {
	lost, ok := errors.AsType[*lostError](err)
	if !ok {
		return err
	}
	state, failed := stream.NewLeader(s.nc, s.cfg.Stream).State(s.doubt)
	switch {
	case failed != nil:
		return failed // the next session will find the source as it is
	case state.Last != s.sink.last:
		return fmt.Errorf("%w: it ends at %d and not at %d any more, and meanwhile: %w", stream.ErrMoved, state.Last, s.sink.last, lost.err)
	}
	return err
}

// prepare brings the streams to what the configuration says, once: two
// publishers with different limits would otherwise begin a new epoch each time
// one overtakes the other. Then it checks the sources that were not checked
// since they failed.
func (s *session) prepare(ctx context.Context) error {
	if !s.ensured {
		if _, err := stream.Ensure(ctx, s.nc, s.cfg.streams()); err != nil {
			return err
		}
		s.ensured = true
	}
	for _, src := range s.sources {
		if s.checks[src.Name()] == checkPassed {
			continue
		}
		if err := src.Check(ctx); err != nil {
			return &sourceError{source: src.Name(), err: err}
		}
		s.checks[src.Name()] = checkPassed
	}
	return nil
}

// follow publishes what the sources have from their positions on.
func (s *session) follow(ctx context.Context) error {
	s.mapper.Forget()
	rows := make(chan []outgoing, rowsWaiting)
	g, ctx := errgroup.WithContext(ctx)
	s.past = newPast(ctx, stream.NewLeader(s.nc, s.cfg.Stream), s.flight, s.metrics.lookup)
	s.mapper.Recall(s.past)
	for _, src := range s.sources {
		r := s.newReader(src, s.sink.pos.Sources[src.Name()], rows)
		g.Go(func() error { return r.run(ctx) })
	}
	g.Go(func() error { return s.pump(ctx, rows) })
	g.Go(func() error { return s.confirm.run(ctx) })
	return g.Wait()
}

// pump sends what arrives, one unit at a time, until rows is closed.
func (s *session) pump(ctx context.Context, rows <-chan []outgoing) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for open := true; open || s.sink.waiting > 0; {
		if open {
			open = s.fill(rows)
		}
		due, wait := s.sink.positionDue(time.Now())
		if due {
			s.sink.pushPosition()
		}
		if s.sink.waiting > 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := s.sink.send(s.doubt); err != nil {
				return err
			}
			continue
		}
		s.sink.settle()
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		case out, ok := <-rows:
			open = ok
			s.sink.push(out)
		}
	}
	s.sink.settle()
	return nil
}

// fill takes what waits, up to a full batch, without waiting for more. It
// returns false once rows is closed and empty.
func (s *session) fill(rows <-chan []outgoing) (open bool) {
	for s.sink.waiting < stream.MaxBatch {
		select {
		case out, ok := <-rows:
			if !ok {
				return false
			}
			s.sink.push(out)
		default:
			return true
		}
	}
	return true
}

// acked is called by the sink after each acknowledgement.
func (s *session) acked(r receipt) error {
	if s.fault != nil {
		if err := s.fault(); err != nil {
			return nackError{err}
		}
	}
	if s.attempts > 0 {
		s.log.Info("publishing again", "attempts", s.attempts, "seq", r.last)
		s.attempts = 0
	}
	s.reached = time.Now()
	s.learn(r.position, r.last, time.Time{})
	s.flight.done(r.handed, r.emitted)
	if s.past != nil {
		s.past.stored(r.messages)
	}
	s.confirm.acked(r.positions.Sources)
	s.metrics.events.Add(float64(r.events))
	s.metrics.records.Add(float64(r.records))
	if r.events+r.records > 1 {
		s.metrics.batches.Inc()
	}
	if !r.time.IsZero() {
		s.metrics.lag.Set(time.Since(r.time).Seconds())
	}
	return nil
}

// compare orders places of a source.
func (s *session) compare(source, a, b string) int {
	i := slices.IndexFunc(s.sources, func(src Source) bool { return src.Name() == source })
	return s.sources[i].Compare(a, b)
}
