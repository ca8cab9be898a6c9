package publisher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// reader runs one source for a session, in a goroutine of its own.
type reader struct {
	*session
	src    Source
	from   Position
	skip   string // place of an entry to leave out
	resume resume
	rows   chan<- []outgoing
	vitals *vitals
}

func (s *session) newReader(src Source, from Position, rows chan<- []outgoing) *reader {
	return &reader{
		session: s, src: src, from: from, rows: rows,
		skip:   s.cfg.skip(src.Name()),
		resume: resume{from: from, compare: src.Compare},
		vitals: s.vitals[src.Name()],
	}
}

// run reads the source until ctx ends or it fails; it never returns nil.
func (r *reader) run(ctx context.Context) error {
	name := r.src.Name()
	r.vitals.begin()
	err := r.src.Run(ctx, r.from.Place, func(e Entry) error { return r.emit(ctx, e) })
	r.vitals.end()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ErrLost):
		// What it had until there is published yet.
		if err := r.flight.landed(ctx); err != nil {
			return err
		}
		return &lostError{source: name, place: r.from.Place, err: err}
	case r.past.failed() != nil:
		return r.past.failed() // the stream failed, not the source
	case err == nil:
		err = errors.New("it ended by itself")
	}
	return &sourceError{source: name, err: err}
}

// emit maps an entry and hands its messages over. It blocks while the stream is
// slower than the source.
func (r *reader) emit(ctx context.Context, e Entry) error {
	if e.Place == "" && e.Change == nil && e.Direct == nil {
		r.vitals.heard()
		return nil
	}
	emitted := r.vitals.enter()
	defer r.vitals.leave()
	if e.Change != nil && e.Change.Op == Load {
		_, err := r.mapEntry(r.src, e, about{unused: true})
		return err
	}
	done := r.resume.at(e.Place)
	// Also what is left out is mapped: the mapper remembers followed rows.
	msgs, err := r.mapEntry(r.src, e, r.about(done))
	switch {
	case r.past.failed() != nil:
		return err
	case err != nil && r.skip != "" && e.Place == r.skip:
		r.log.Warn("entry left out, as publisher.sources[].skip says", "source", r.src.Name(), "place", e.Place, "err", err)
		msgs = nil
	case err != nil && done.all:
		msgs = nil // published long ago; what it would be now, with no past, does not matter
	case err != nil:
		return fmt.Errorf("%w; %s", err, r.cfg.wayOut(r.src.Name(), e.Place))
	}
	r.metrics.skipped.Add(float64(done.leftOut(msgs)))
	if done.all {
		return nil
	}
	return r.handOver(ctx, r.rows, unroll(r.src.Name(), e.Place, e.Time, msgs, done.events), emitted)
}

// about tells the past which messages are those of the entry itself.
func (r *reader) about(d done) about {
	if !d.some {
		return about{unused: d.all}
	}
	name, place := r.src.Name(), r.from.Place
	return about{own: func(header string) bool {
		p, err := ParsePositions(header)
		return err == nil && p.Sources[name].Place == place
	}}
}

// mapEntry maps one entry; an error halts the publisher, for to leave the entry
// out would be to lose it.
func (s *session) mapEntry(src Source, e Entry, a about) ([]Message, error) {
	s.mapMu.Lock()
	defer s.mapMu.Unlock()
	if s.past != nil {
		s.past.about = a
	}
	msgs, err := s.mapper.Map(e)
	switch {
	case s.past.failed() != nil:
		return nil, s.past.failed()
	case err != nil && e.Place == "": // of a snapshot
		return nil, fmt.Errorf("%w: %w", ErrHalt, err)
	case err != nil:
		return nil, fmt.Errorf("%w: entry at %s: %w", ErrHalt, e.Place, err)
	}
	return msgs, nil
}

// handOver gives the messages of a row to the pump.
func (s *session) handOver(ctx context.Context, rows chan<- []outgoing, out []outgoing, emitted time.Time) error {
	n := 0
	for i := range out {
		out[i].emitted = emitted
		if out[i].message != nil {
			n++
		}
	}
	// In this order: a past that begins to be asked waits for what is in flight.
	s.flight.add(n, emitted)
	if s.past != nil {
		s.past.sent(out)
	}
	select {
	case rows <- out:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// index of a source in the configuration; -1 if it is not there.
func (c Config) index(source string) int {
	return slices.IndexFunc(c.Sources, func(s SourceConfig) bool { return s.Name == source })
}

// skip is the place of the entry that may be left out.
func (c Config) skip(source string) string {
	if i := c.index(source); i >= 0 {
		return c.Sources[i].Skip
	}
	return ""
}

// wayOut tells an operator how to go on behind an entry that cannot be mapped.
func (c Config) wayOut(source, place string) string {
	out := "take the entry out of the log"
	if i := c.index(source); i >= 0 {
		switch c.Sources[i].Kind {
		case KindSQLite:
			id, _, _ := strings.Cut(place, "/")
			out += " (DELETE FROM fabric_changes WHERE id = " + id + ")"
		case KindPostgres, KindOutbox:
			// It cannot be taken out: a slot advanced past the position would count as
			// one that lost what follows it, and many entries share a row of the batch
			// log.
			out = fmt.Sprintf("have the publisher leave it out (publisher.sources[%d].skip: %q)", i, place)
		}
	}
	return "to correct the row is not enough, as the log holds it as it was: change the mapping, or correct it and " + out +
		"; nothing from there on is confirmed, so a start after that goes on with it"
}
