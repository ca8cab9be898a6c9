package publisher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
)

// unitBytes bounds the payloads of one batch, which the server stages.
const unitBytes = 4 << 20

// tuning is what only tests change.
type tuning struct {
	// singles overrides pace if it is not 0.
	singles int
	// unitTimeout is how long an acknowledgement is waited for, and a
	// millisecond more per message. One that was lost at a change of leader never
	// comes, and giving up too early costs only a look at the stream's end.
	unitTimeout time.Duration
	// positionEvery and positionInterval are how many messages and how much
	// time lie between two fabric.position messages. Edges take a publisher
	// that is silent for 30 s for dead.
	positionEvery    int
	positionInterval time.Duration
	// initialTimeout takes unitTimeout's place during an initial publication,
	// where giving up costs a new epoch.
	initialTimeout time.Duration
	// initialQuiet is how long nothing must have been appended to an initial
	// publication that is incomplete for it to count as abandoned.
	initialQuiet time.Duration
	// confirmStep is how often sources are confirmed to at most: each
	// confirmation is a write to the shop's database.
	confirmStep time.Duration
	// silence is for how long a source may not be heard of.
	silence time.Duration
	// lookEvery is how often a standby looks at the stream.
	lookEvery time.Duration
	// A source that is lost again within lossWindow of its last publication from
	// the present state waits lossPause for the next, then twice as long, and so
	// on up to lossWindow.
	lossPause, lossWindow time.Duration
}

var tuned = tuning{
	unitTimeout:      time.Second,
	positionEvery:    1000,
	positionInterval: 10 * time.Second,
	initialTimeout:   5 * time.Second,
	initialQuiet:     3 * time.Second,
	confirmStep:      time.Second,
	silence:          3 * Pulse,
	lookEvery:        3 * time.Second,
	lossPause:        10 * time.Second,
	lossWindow:       10 * time.Minute,
}

// outgoing is a message that waits for its unit, or, without a message, the
// news that a source was read up to a position.
type outgoing struct {
	message  *Message
	source   string // empty for fabric.position
	position Position
	time     time.Time // of the change
	emitted  time.Time // by the source
}

// sink appends to the stream. At most one unit is in flight: a single message,
// or one atomic batch of all that waits. It belongs to the goroutine that
// pumps; after an error it is of no use, for nobody knows then where the
// stream ends.
type sink struct {
	// static
	tuning
	nc     *nats.Conn
	pace   *pace
	stream string
	// acked is called after each acknowledgement; an error counts as if the
	// acknowledgement had been lost.
	acked func(receipt) error
	// compare orders places of a source.
	compare func(source, a, b string) int

	// last is the sequence the stream ends at, pos how far the sources are
	// published by everything sent.
	last uint64
	pos  Positions

	// queue waits to be sent; waiting counts its messages.
	queue   []outgoing
	waiting int

	// since counts messages since the newest fabric.position, at is when that
	// was sent, sentAt when anything was.
	since      int
	at, sentAt time.Time
	// quiet withholds fabric.position during an initial publication: it would
	// tell edges that the access records are complete.
	quiet bool
	// until withholds it, unless there is nothing more to read, while what the
	// stream had lost is published again.
	until map[string]Position
}

// receipt tells of an acknowledged unit.
type receipt struct {
	last            uint64
	positions       Positions
	position        string // as in the header of the newest message
	events, records int
	time            time.Time // of the newest change; zero if unknown
	// messages of the unit; handed is how many of them sources made, emitted
	// when they emitted the newest.
	messages []*nats.Msg
	handed   int
	emitted  time.Time
}

// push queues what a row became.
func (s *sink) push(out []outgoing) {
	for _, o := range out {
		if o.message != nil {
			s.waiting++
		}
	}
	s.queue = append(s.queue, out...)
}

// pushPosition queues a fabric.position before everything that waits.
func (s *sink) pushPosition() {
	s.queue = append([]outgoing{{message: &Message{Subject: subjects.PositionSubject}}}, s.queue...)
	s.waiting++
	s.since, s.at = 0, time.Now()
}

// positionDue says whether a fabric.position has to be sent, and if not, how
// long nothing changes that by itself.
func (s *sink) positionDue(now time.Time) (due bool, wait time.Duration) {
	switch {
	case s.quiet:
		return false, s.positionInterval
	case s.until != nil && !s.reached():
		wait = s.sentAt.Add(s.positionInterval).Sub(now)
		return wait <= 0, wait
	case s.until != nil:
		s.until = nil
		return true, 0
	case s.since >= s.positionEvery:
		return true, 0
	}
	wait = s.at.Add(s.positionInterval).Sub(now)
	return wait <= 0, wait
}

// reached says whether the sources are where they were before the stream lost
// data.
func (s *sink) reached() bool {
	for name, p := range s.until {
		if s.compare(name, s.pos.Sources[name].Place, p.Place) < 0 {
			return false
		}
	}
	return true
}

// send sends one unit and waits for its acknowledgement, as long as ctx lasts.
// Marks behind the last message stay in the queue: no header has recorded them
// yet.
func (s *sink) send(ctx context.Context) error {
	var (
		n    = s.unit()
		msgs = make([]*nats.Msg, 0, n)
		r    receipt
	)
	for len(msgs) < n {
		o := s.next()
		if o.message == nil {
			continue
		}
		r.position = s.pos.of(o.source)
		msgs = append(msgs, encode(*o.message, r.position))
		if o.source != "" {
			r.handed++
			r.emitted = o.emitted
		}
		if o.message.Event {
			r.events++
		} else {
			r.records++
		}
		if !o.time.IsZero() {
			r.time = o.time
		}
	}
	r.positions = s.pos.clone()
	return s.append(ctx, msgs, r)
}

// settle takes over marks when no message waits. The next fabric.position
// records them.
func (s *sink) settle() {
	for s.waiting == 0 && len(s.queue) > 0 {
		s.next()
	}
}

// next takes the head of the queue and moves the position there.
func (s *sink) next() outgoing {
	o := s.queue[0]
	s.queue[0] = outgoing{}
	s.queue = s.queue[1:]
	if o.source != "" {
		s.pos.Sources[o.source] = o.position
	}
	if o.message != nil {
		s.waiting--
	}
	return o
}

// unit says of how many messages the next unit consists.
func (s *sink) unit() int {
	singles := s.singles
	if singles == 0 {
		singles = s.pace.singles()
	}
	if s.waiting <= singles {
		return min(s.waiting, 1)
	}
	n, size := 0, 0
	for _, o := range s.queue {
		if o.message == nil {
			continue
		}
		if size += len(o.message.Data); n == stream.MaxBatch || n > 0 && size > unitBytes {
			break
		}
		n++
	}
	return n
}

// sendEpoch begins a new epoch, at the present positions.
func (s *sink) sendEpoch(ctx context.Context, e subjects.Epoch) error {
	r := receipt{position: s.pos.String(), positions: s.pos.clone(), records: 1}
	return s.append(ctx, []*nats.Msg{stream.EpochMessage(e, r.position)}, r)
}

func (s *sink) append(ctx context.Context, msgs []*nats.Msg, r receipt) error {
	limit := s.unitTimeout + time.Duration(len(msgs))*time.Millisecond
	if s.quiet {
		limit = s.initialTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errUnanswered)
	defer cancel()
	begin := time.Now()
	last, err := stream.Append(ctx, s.nc, s.stream, s.last, msgs...)
	if err != nil {
		switch cause := context.Cause(ctx); {
		case errors.Is(cause, errUnanswered):
			err = fmt.Errorf("%w within %s: %w", errUnanswered, limit, err)
		case cause != nil:
			err = cause
		}
		return nackError{err}
	}
	s.sentAt = time.Now()
	s.pace.observe(len(msgs), s.sentAt.Sub(begin))
	s.last = last
	s.since += len(msgs)
	r.last, r.messages = last, msgs
	return s.acked(r)
}

// errUnanswered is the cause of a unit that timed out.
var errUnanswered = errors.New("no acknowledgement")

// nackError is a unit that was refused or not acknowledged.
type nackError struct{ error }

func (e nackError) Unwrap() error { return e.error }

// encode makes the NATS message.
func encode(m Message, position string) *nats.Msg {
	header := nats.Header{subjects.PositionHeader: {position}}
	if !m.Time.IsZero() {
		header[subjects.TimeHeader] = []string{m.Time.UTC().Format(time.RFC3339Nano)}
	}
	return &nats.Msg{Subject: m.Subject, Data: m.Data, Header: header}
}
