package publisher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/petpro/fabric/subjects/stream"
)

var (
	// errHoldLost ends a session whose exclusive source another may have taken.
	errHoldLost = errors.New("another publisher may have the source now")
	// errRival ends a session of a publisher that has an exclusive source, as it
	// believes, and finds that another has published.
	errRival = errors.New("another publisher has published, although this one has the source")
	// errTakeOver is why a publisher that has just ceased to stand by does not
	// publish yet.
	errTakeOver = errors.New("taking over: reading the position back")
)

// acquire waits until this publisher has all its exclusive sources, in the
// order of their names: so two publishers of several never wait for each other.
// It keeps them across sessions. From then until release is called, the loss of
// one ends the session.
func (s *session) acquire(ctx context.Context) (release func(), err error) {
	for _, src := range s.exclusive() {
		if s.holds[src.Name()] != nil {
			continue
		}
		// Who cannot reach the stream must not keep the source from one who can.
		if _, err := stream.NewLeader(s.nc, s.cfg.Stream).State(ctx); err != nil {
			return nil, err
		}
		s.reached = time.Now()
		hold, err := s.standBy(ctx, src)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, &sourceError{source: src.Name(), err: fmt.Errorf("acquire it: %w", err)}
		}
		s.holds[src.Name()] = hold
	}
	return s.guard(), nil
}

// exclusive sources, by name.
func (p *Publisher) exclusive() []Exclusive {
	var all []Exclusive
	for _, src := range p.sources {
		if e, ok := src.(Exclusive); ok {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b Exclusive) int { return strings.Compare(a.Name(), b.Name()) })
	return all
}

// standBy waits for one source. Meanwhile the stream is looked at: a standby is
// well as long as somebody publishes.
func (s *session) standBy(ctx context.Context, src Exclusive) (Hold, error) {
	looking, stop := context.WithCancel(ctx)
	var (
		began  time.Time
		looker sync.WaitGroup
	)
	defer func() {
		stop()
		looker.Wait()
	}()
	hold, err := src.Acquire(ctx, func(holder string) {
		s.stands(src.Name(), holder)
		if began.IsZero() {
			began = time.Now()
			looker.Go(func() { s.look(looking) })
		}
	})
	if err == nil && !began.IsZero() {
		s.takesOver()
		s.log.Info("taking over", "source", src.Name(), "stood_by", time.Since(began).Round(time.Millisecond))
	}
	return hold, err
}

// takesOver notes that this publisher stands by no more.
func (p *Publisher) takesOver() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trouble, p.standby, p.toldStandby = errTakeOver, nil, ""
}

// guard ends the session when a source is lost.
func (s *session) guard() (release func()) {
	done := make(chan struct{})
	var guards sync.WaitGroup
	for name, hold := range s.holds {
		guards.Go(func() {
			select {
			case <-hold.Lost():
				s.give(fmt.Errorf("source %s: %w", name, errHoldLost))
			case <-done:
			}
		})
	}
	return func() {
		close(done)
		guards.Wait()
	}
}

// release lets standbys take over. It is called between sessions, when nothing
// is in flight.
func (p *Publisher) release() {
	for _, name := range slices.Sorted(maps.Keys(p.holds)) {
		p.holds[name].Release()
	}
	clear(p.holds)
}

// yields says whether the end of a session means that its sources must be
// acquired anew: one was lost, another publisher is at work, or the stream has
// been out of reach for so long that a standby elsewhere may do better.
func (p *Publisher) yields(err error) bool {
	return errors.Is(err, errHoldLost) || errors.Is(err, errRival) || time.Since(p.reached) > p.limit()
}

// bystander is what a standby knows of the publisher it waits for. It is guarded
// by Publisher.mu.
type bystander struct {
	source, holder string
	// What the stream showed when it was looked at last, and how old its newest
	// position was then.
	looked   time.Time
	position string
	sequence uint64
	old      time.Duration
	err      error
}

func (st *bystander) String() string {
	return fmt.Sprintf("standby: %s is published by %s", st.source, st.holder)
}

// age of the newest position.
func (st *bystander) age() time.Duration {
	if st.looked.IsZero() {
		return 0
	}
	return st.old + time.Since(st.looked)
}

// health is nil if somebody publishes, as far as the stream tells.
func (st *bystander) health(limit time.Duration) error {
	switch {
	case st.err != nil:
		return fmt.Errorf("%s; the stream cannot be asked whether that is so: %w", st, st.err)
	case st.looked.IsZero():
		return fmt.Errorf("%s; the stream has not been asked yet whether that is so", st)
	case st.position == "":
		return fmt.Errorf("standby, and nobody publishes: the stream holds no position; %s is held by %s", st.source, st.holder)
	case st.age() > limit:
		return fmt.Errorf("standby, and nobody publishes: the newest position is %s old; %s is held by %s: look there, or end it", st.age().Round(time.Second), st.source, st.holder)
	}
	return nil
}

// stands notes that this publisher stands by, and tells of it once for each
// holder.
func (p *Publisher) stands(source, holder string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := bystander{source: source, holder: holder}
	if p.standby != nil {
		now = *p.standby
		now.source, now.holder = source, holder
	}
	p.trouble, p.standby = nil, &now
	if told := source + " " + holder; told != p.toldStandby {
		p.toldStandby = told
		p.log.Info("standing by", "source", source, "holder", holder)
	}
}

// look asks the leader every few seconds how far the stream is published, until
// ctx ends.
func (s *session) look(ctx context.Context) {
	ticker := time.NewTicker(s.tuning.lookEvery)
	defer ticker.Stop()
	leader := stream.NewLeader(s.nc, s.cfg.Stream)
	for {
		end, err := leader.Standing(ctx, readable)
		if ctx.Err() != nil {
			return
		}
		s.looked(end, err)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (p *Publisher) looked(end stream.Standing, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := p.standby
	if st == nil {
		return // it stands by no more
	}
	st.looked, st.err = time.Now(), err
	if err == nil {
		// Both times are the leader's: its clock may differ from ours.
		st.position, st.sequence, st.old = end.Position, end.Seq, end.Now.Sub(end.Time)
	}
}
