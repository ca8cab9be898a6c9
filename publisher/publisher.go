package publisher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/petpro/fabric/subjects/stream"
)

// Publisher carries the changes of its sources into the stream.
type Publisher struct {
	// static after New
	cfg     Config
	nc      *nats.Conn
	sources []Source
	log     *slog.Logger
	metrics *metrics
	state   stateFile
	tuning  tuning
	// fault lets tests lose the nth acknowledgement; nil otherwise.
	fault func() error

	vitals map[string]*vitals // by source

	// mapMu lets sources map one after the other.
	mapMu  sync.Mutex
	mapper Mapper

	// owned by the session, of which there is one at a time, and by Run between
	// sessions
	ensured bool                // the streams are as configured
	checks  map[string]check    // by source
	holds   map[string]Hold     // exclusive sources that are ours
	moved   bool                // the last session ended with stream.ErrMoved
	reached time.Time           // when the stream answered last
	unknown map[string]unknown  // of sources that are to be published anew
	lost    map[string]string   // sources that lost what follows this place
	renewed time.Time           // when a lost source was published anew
	losses  int                 // in a row, shortly after each other
	until   map[string]Position // see sink
	// initializing is set while an initial publication of ours is incomplete;
	// gaveWay counts those that another publisher interrupted.
	initializing bool
	gaveWay      int
	pace         pace
	attempts     int // sessions in a row that published nothing

	initial chan struct{} // closed once complete

	mu         sync.Mutex
	mark       mark      // guarded by mu; the newest
	saved      mark      // guarded by mu; the one in the state directory
	ackedAt    time.Time // guarded by mu; when a position was acknowledged or read back
	initialSeq uint64    // guarded by mu
	flight     *flight   // guarded by mu; of the session
	// At most one of the two is set: why nothing is being published, or whom this
	// publisher waits for.
	trouble     error      // guarded by mu
	standby     *bystander // guarded by mu
	toldStandby string     // guarded by mu; what was logged of it
	stateErr    error      // guarded by mu
}

// check says whether a source is known to work.
type check uint8

const (
	checkNever check = iota // not asked yet: a failure ends Run
	checkAgain              // it failed since: a failure is retried
	checkPassed
)

// New checks the configuration and reads the state directory; it does not talk
// to NATS or to a source. Sources belong to the publisher from now on. A nil
// reg registers no metrics.
//
// The connection should reconnect for ever; the publisher goes on when it is
// back.
func New(cfg Config, nc *nats.Conn, sources []Source, mapper Mapper, log *slog.Logger, reg prometheus.Registerer) (*Publisher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, src := range sources {
		if err := checkSourceName(src.Name()); err != nil {
			return nil, err
		}
		if seen[src.Name()] {
			return nil, fmt.Errorf("two sources are named %q; positions are kept by name", src.Name())
		}
		seen[src.Name()] = true
	}
	alive := map[string]*vitals{}
	for name := range seen {
		alive[name] = &vitals{}
	}
	p := &Publisher{
		cfg:     cfg,
		nc:      nc,
		sources: sources,
		mapper:  mapper,
		log:     log.With("component", "publisher"),
		tuning:  tuned,
		pace:    newPace(),
		vitals:  alive,
		checks:  map[string]check{},
		holds:   map[string]Hold{},
		lost:    map[string]string{},
		unknown: map[string]unknown{},
		initial: make(chan struct{}),
		trouble: errors.New("not started"),
		ackedAt: time.Now(),
	}
	var err error
	if p.state, err = openState(cfg.State, cfg.Stream); err != nil {
		return nil, err
	}
	if p.saved, err = p.state.load(); err != nil {
		return nil, err
	}
	p.mark = p.saved
	p.metrics = newMetrics()
	if err := p.metrics.register(reg, p); err != nil {
		return nil, err
	}
	return p, nil
}

// Run publishes until ctx ends, then returns nil. It returns an error if going
// on needs an operator: a change that cannot be mapped, a stream or server that
// does not fit, a source that lost what was to be published (with on_lost
// halt), a source that fails its Check at the start other than by ErrAway.
// Everything else is retried. Nothing is confirmed to a source that is not in
// the stream, so a restart after the repair goes on where this run ended.
//
// Of several publishers of an Exclusive source one publishes; the others stand
// by. When Run ends it waits for the unit in flight and then releases the
// source, so that a standby takes over at once.
func (p *Publisher) Run(ctx context.Context) error {
	saved := make(chan struct{})
	// The state is kept until the last session has ended, so that what is
	// acknowledged while ctx ends is in it.
	keep, cancel := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(saved)
		p.keepState(keep)
	}()
	defer func() {
		cancel()
		<-saved
	}()
	defer p.release()
	for {
		err := p.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		wait, err := p.judge(err)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// judge decides what the end of a session means: how long to wait before the
// next, or the error that needs an operator. What is retried is logged once
// until something is published again.
func (p *Publisher) judge(err error) (wait time.Duration, fatal error) {
	p.setTrouble(err)
	wait = backoff(p.attempts)
	p.attempts++
	p.moved = errors.Is(err, stream.ErrMoved)
	if len(p.holds) > 0 && (p.moved || errors.Is(err, errRival)) {
		// Whoever publishes without having the source notices at the first unit that
		// gets in its way, so that must not be long in coming.
		wait = backoff(0)
	}
	if p.yields(err) {
		p.release()
	}
	var (
		lost   *lostError
		source *sourceError
	)
	switch {
	case errors.As(err, &lost) && p.cfg.OnLost == OnLostEpoch:
		return max(wait, p.lose(lost)), nil
	case errors.As(err, &lost), errors.Is(err, ErrHalt),
		errors.Is(err, stream.ErrServerVersion), errors.Is(err, stream.ErrStreamSettings):
		return 0, err
	case p.nc.IsClosed():
		return 0, fmt.Errorf("publish to %s: %w", p.cfg.Stream, nats.ErrConnectionClosed)
	case errors.Is(err, stream.ErrNoStream):
		p.ensured = false
	case errors.Is(err, stream.ErrMoved) && p.initializing:
		p.initializing = false
		p.gaveWay++
	case errors.As(err, &source):
		switch {
		case p.checks[source.source] != checkNever:
			p.checks[source.source] = checkAgain
		case !errors.Is(err, ErrAway):
			return 0, err
		}
	}
	level := slog.LevelWarn
	if p.attempts > 1 {
		level = slog.LevelDebug
	}
	p.log.Log(context.Background(), level, "publishing interrupted, reading the position back", "attempt", p.attempts, "err", err)
	return wait, nil
}

// lose notes a source that is to be published anew from its present state, and
// says how long that must wait: one that is lost again and again must not break
// every cursor each time at full speed.
func (p *Publisher) lose(lost *lostError) (wait time.Duration) {
	if p.losses > 0 && time.Since(p.renewed) < p.tuning.lossWindow {
		wait = min(p.tuning.lossPause<<min(p.losses-1, 10), p.tuning.lossWindow)
	} else {
		p.losses = 0
	}
	p.losses++
	p.lost[lost.source] = lost.place
	p.log.Error("source no longer has what follows its position: a new epoch begins with its present state; what happened in between is lost", "source", lost.source, "place", lost.place, "err", lost.err, "wait", wait)
	return wait
}

// backoff spreads retries: at once after the first failure, so that a new
// leader or the other of two publishers costs milliseconds, seconds apart for
// an outage.
func backoff(attempt int) time.Duration {
	const first, most = 20 * time.Millisecond, 2 * time.Second
	limit := min(first<<min(attempt, 10), most)
	return rand.N(limit) + time.Millisecond
}

// lostError says that a source returned ErrLost.
type lostError struct {
	source, place string
	err           error
}

func (e *lostError) Error() string {
	return fmt.Sprintf("source %s no longer has what follows %s: %v; bring back what it had (a backup of the database, its change log) and start again, or set publisher.on_lost to %q: then a new epoch begins with the present state, clients are told of the gap, and the events in between are lost",
		e.source, e.place, e.err, OnLostEpoch)
}

func (e *lostError) Unwrap() error { return e.err }

// sourceError is any other failure of a source.
type sourceError struct {
	source string
	err    error
}

func (e *sourceError) Error() string { return "source " + e.source + ": " + e.err.Error() }

func (e *sourceError) Unwrap() error { return e.err }

// Initial returns a channel that is closed once the initial publication of
// every source is complete; InitialSequence then tells the sequence up to which
// a reader must be to have all of it.
func (p *Publisher) Initial() <-chan struct{} { return p.initial }

// InitialSequence is the sequence of the fabric.position that closed the
// initial publication, or, if that happened in an earlier run, of the newest
// message when this run began. 0 before Initial is closed.
func (p *Publisher) InitialSequence() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.initialSeq
}

// initialDone is called by each session that follows its sources.
func (p *Publisher) initialDone(seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.initialSeq == 0 {
		p.initialSeq = seq
		close(p.initial)
	}
}

// learn remembers how far the stream is known to reach; at is zero if the
// stream's time is not known yet.
func (p *Publisher) learn(position string, seq uint64, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ackedAt = time.Now()
	p.mark = mark{Position: position, Sequence: seq, Time: at}
}

// marks returns the newest mark, and the newest one in the state directory.
func (p *Publisher) marks() (newest, saved mark) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mark, p.saved
}

// forgetSaved is called once a new epoch stands for the history that the state
// directory still speaks of.
func (p *Publisher) forgetSaved() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.saved = mark{}
}
