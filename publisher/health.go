package publisher

import (
	"errors"
	"fmt"
	"time"
)

// Role of a publisher among those of the same sources.
type Role string

// The roles.
const (
	// Starting is a publisher that does not publish: not yet, or not at the
	// moment; Status.Err says why.
	Starting Role = "starting"
	// Standby waits for an exclusive source that another publisher has.
	Standby Role = "standby"
	// Active publishes.
	Active Role = "active"
)

// Status is how a publisher stands, for operators.
type Status struct {
	Role Role
	// Standby says who has the source, for a publisher that stands by.
	Standby string
	// Position and Sequence of the newest message that was acknowledged to this
	// publisher, read back from the stream or, by a standby, seen there. Age is the
	// time since then; a standby tells how old the message is.
	Position string
	Sequence uint64
	Age      time.Duration
	// Waiting is for how long the oldest change under way from a source has not
	// been acknowledged; 0 if there is none.
	Waiting time.Duration
	// Silence is for how long each running source has not been heard of.
	Silence map[string]time.Duration
	// Err is what Health returns.
	Err error
}

// Health is nil while changes are being published: the sources are read, all
// have been heard of within 3×Pulse, and neither has the stream acknowledged
// nothing nor a change that a source emitted waited longer than three intervals
// of fabric.position. For a standby it is nil as long as the stream shows that
// another publisher is at work: its newest position is at most three intervals
// old.
func (p *Publisher) Health() error { return p.Status().Err }

// Status tells how the publisher stands. It may be called at any time.
func (p *Publisher) Status() Status {
	s := Status{Waiting: p.waiting(), Silence: p.silences()}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Role, s.Position, s.Sequence, s.Age = Active, p.mark.Position, p.mark.Sequence, time.Since(p.ackedAt)
	switch {
	case p.trouble != nil:
		s.Role = Starting
		s.Err = fmt.Errorf("not publishing; the last position is %s old: %w", s.Age.Round(time.Second), p.trouble)
		if p.mark.Position == "" {
			s.Err = fmt.Errorf("not publishing: %w", p.trouble)
		}
	case p.standby != nil:
		s.Role, s.Standby = Standby, p.standby.String()
		s.Position, s.Sequence, s.Age = p.standby.position, p.standby.sequence, p.standby.age()
		s.Err = p.standby.health(p.limit())
	default:
		s.Err = errors.Join(p.overdue(s), p.stateErr)
	}
	return s
}

// limit is how old the newest position may be.
func (p *Publisher) limit() time.Duration { return 3 * p.tuning.positionInterval }

// overdue says what takes longer than it should.
func (p *Publisher) overdue(s Status) error {
	var errs []error
	switch {
	case s.Age > p.limit():
		errs = append(errs, fmt.Errorf("the stream has acknowledged nothing for %s", s.Age.Round(time.Second)))
	case s.Waiting > p.limit():
		errs = append(errs, fmt.Errorf("a change has been waiting for %s to be in the stream", s.Waiting.Round(time.Second)))
	}
	for _, src := range p.sources {
		if silence := s.Silence[src.Name()]; silence > p.tuning.silence {
			errs = append(errs, fmt.Errorf("source %s has been silent for %s, since %s: it hangs", src.Name(),
				silence.Round(time.Second), time.Now().Add(-silence).UTC().Format(time.RFC3339)))
		}
	}
	return errors.Join(errs...)
}

func (p *Publisher) silences() map[string]time.Duration {
	m := make(map[string]time.Duration, len(p.vitals))
	for name, v := range p.vitals {
		m[name] = v.silence()
	}
	return m
}

// waiting is for how long the oldest change that a source has emitted is not in
// the stream.
func (p *Publisher) waiting() time.Duration {
	p.mu.Lock()
	f := p.flight
	p.mu.Unlock()
	var longest time.Duration
	if f != nil {
		longest = f.waiting()
	}
	for _, v := range p.vitals {
		longest = max(longest, v.held())
	}
	return longest
}

// fly names what is in flight in the session that begins.
func (p *Publisher) fly(f *flight) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flight = f
}

// setTrouble says why nothing is being published; nil while something is.
func (p *Publisher) setTrouble(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trouble, p.standby = err, nil
}

func (p *Publisher) sinceAck() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Since(p.ackedAt)
}
