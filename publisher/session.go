package publisher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	sink    *sink
	confirm *confirmer
	// fresh are the sources to be published from their present state.
	fresh []Source
}

// session runs until ctx ends or something is in doubt; it never returns nil.
func (p *Publisher) session(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer p.watch(cancel)()
	s := &session{Publisher: p, confirm: &confirmer{sources: p.sources, delay: p.cfg.ConfirmDelay, step: p.tuning.confirmStep, log: p.log}}
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
	reason, err := s.readBack(ctx)
	if err != nil {
		return err
	}
	if reason != "" {
		if err := s.beginEpoch(ctx, reason); err != nil {
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
	return s.follow(ctx)
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
	for _, src := range s.sources {
		from := s.sink.pos.Sources[src.Name()]
		g.Go(func() error { return s.read(ctx, src, from, rows) })
	}
	g.Go(func() error { return s.pump(ctx, rows) })
	g.Go(func() error { return s.confirm.run(ctx) })
	return g.Wait()
}

// read runs one source.
func (s *session) read(ctx context.Context, src Source, from Position, rows chan<- []outgoing) error {
	resume := resume{from: from, compare: src.Compare}
	err := src.Run(ctx, from.Place, func(e Entry) error {
		skip, all := 0, e.Change != nil && e.Change.Op == Load
		if !all {
			skip, all = resume.skip(e.Place)
		}
		// Also what is skipped is mapped: the mapper remembers followed rows.
		msgs, err := s.mapEntry(src, e)
		if err != nil {
			return fmt.Errorf("%w; %s", err, s.cfg.wayOut(src.Name(), e.Place))
		}
		if all {
			return nil
		}
		return handOver(ctx, rows, unroll(src.Name(), e.Place, e.Time, msgs, skip))
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ErrLost):
		return &lostError{source: src.Name(), place: from.Place, err: err}
	case err == nil:
		err = errors.New("it ended by itself")
	}
	return &sourceError{source: src.Name(), err: err}
}

// mapEntry maps one entry; an error halts the publisher, for to leave the entry
// out would be to lose it.
func (s *session) mapEntry(src Source, e Entry) ([]Message, error) {
	s.mapMu.Lock()
	defer s.mapMu.Unlock()
	msgs, err := s.mapper.Map(e)
	if err != nil {
		if e.Place == "" { // of a snapshot
			return nil, fmt.Errorf("%w: %w", ErrHalt, err)
		}
		return nil, fmt.Errorf("%w: entry at %s: %w", ErrHalt, e.Place, err)
	}
	return msgs, nil
}

// wayOut tells an operator how to go on behind an entry that cannot be mapped.
func (c Config) wayOut(source, place string) string {
	remove := "take the entry out of the log"
	for _, s := range c.Sources {
		if s.Name == source && s.Kind == KindSQLite {
			id, _, _ := strings.Cut(place, "/")
			remove += " (DELETE FROM fabric_changes WHERE id = " + id + ")"
		}
	}
	return "to correct the row is not enough, as the log holds it as it was: change the mapping, or correct it and " + remove +
		"; nothing from there on is confirmed, so a start after that goes on with it"
}

func handOver(ctx context.Context, rows chan<- []outgoing, out []outgoing) error {
	select {
	case rows <- out:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
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
			if err := s.sink.send(ctx); err != nil {
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
	s.learn(r.position, r.last, time.Time{})
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
