package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
)

const (
	// pull is how many messages are asked for at a time. With payloads of the
	// largest size that is 8 MiB.
	pull = 256
	// heartbeat of the consumer: twice that in silence ends Run.
	heartbeat = 2 * time.Second
	// look is how long a message is waited for until Run emits a sign of life:
	// longer than two heartbeats, which nats.go counts anew in each wait.
	look = 2*heartbeat + 500*time.Millisecond
	// inactive is how long the server keeps the consumer of a source that was
	// killed.
	inactive = 30 * time.Second
)

// The sign of life is in time.
var _ [publisher.Pulse - look]struct{}

// Config of a source.
type Config struct {
	// Name of the source in positions.
	Name string
	// Stream that services publish into, INGEST unless the operator says
	// otherwise. stream.Ensure creates it.
	Stream string
	// Kinds of rooms that events may be published to.
	Kinds subjects.Kinds
	// MaxPayload in bytes.
	MaxPayload int
}

// Source carries INGEST over. Its place is INGEST's sequence, in decimal.
type Source struct {
	cfg     Config
	nc      *nats.Conn
	leader  stream.Leader
	log     *slog.Logger
	refused *prometheus.CounterVec
}

var _ publisher.Source = (*Source)(nil)

// New asks nothing of NATS yet. A nil reg registers no metrics.
func New(cfg Config, nc *nats.Conn, log *slog.Logger, reg prometheus.Registerer) (*Source, error) {
	s := &Source{
		cfg:    cfg,
		nc:     nc,
		leader: stream.NewLeader(nc, cfg.Stream),
		log:    log.With("component", "ingest", "source", cfg.Name),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "fabric", Subsystem: "publisher", Name: "ingest_refused_total",
			Help: "Messages of services that were refused, by reason.", ConstLabels: prometheus.Labels{"source": cfg.Name},
		}, []string{"reason"}),
	}
	if reg != nil {
		if err := reg.Register(s.refused); err != nil {
			return nil, fmt.Errorf("register the metrics of source %s: %w", cfg.Name, err)
		}
	}
	return s, nil
}

// Name of the source in positions.
func (s *Source) Name() string { return s.cfg.Name }

// Check reports whether the stream is there.
func (s *Source) Check(ctx context.Context) error {
	_, err := s.leader.State(ctx)
	return err
}

// Snapshot emits nothing: events have no present state. Its place is before
// everything that INGEST still holds.
func (s *Source) Snapshot(ctx context.Context, _ func(publisher.Entry) error) (string, error) {
	state, err := s.leader.State(ctx)
	if err != nil {
		return "", err
	}
	return strconv.FormatUint(max(state.First, 1)-1, 10), nil
}

// Run emits the messages from INGEST's sequence from on.
func (s *Source) Run(ctx context.Context, from string, emit func(publisher.Entry) error) error {
	last, err := parsePlace(from)
	if err != nil {
		return err
	}
	if err := s.retained(ctx, last); err != nil {
		return err
	}
	msgs, err := s.consume(ctx, max(last, 1))
	if err != nil {
		return err
	}
	defer msgs.Stop()
	for delivered := uint64(1); ; delivered++ {
		m, err := next(ctx, msgs, emit)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("read stream %s behind sequence %d: %w", s.cfg.Stream, last, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("read stream %s behind sequence %d: %w", s.cfg.Stream, last, err)
		}
		seq := meta.Sequence.Stream
		switch {
		case meta.Sequence.Consumer != delivered:
			return fmt.Errorf("read stream %s behind sequence %d: delivery %d is missing", s.cfg.Stream, last, delivered)
		case seq > last+1:
			if err := s.retained(ctx, last); err != nil {
				return err
			}
		}
		last = seq
		if err := emit(s.entry(seq, meta.Timestamp, m)); err != nil {
			return err
		}
	}
}

// next waits for a message, and emits a sign of life while there is none.
func next(ctx context.Context, msgs jetstream.MessagesContext, emit func(publisher.Entry) error) (jetstream.Msg, error) {
	for {
		waiting, cancel := context.WithTimeout(ctx, look)
		m, err := msgs.Next(jetstream.NextContext(waiting))
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return m, err
		}
		if err := emit(publisher.Entry{}); err != nil {
			return nil, err
		}
	}
}

// retained returns ErrLost if messages behind sequence last are gone, or if the
// stream has never been that long. Single messages that an operator deleted
// are not missed.
func (s *Source) retained(ctx context.Context, last uint64) error {
	state, err := s.leader.State(ctx)
	if err != nil {
		return err
	}
	switch {
	case state.Last < last:
		return fmt.Errorf("%w: stream %s ends at sequence %d, %d was carried over: it was made anew or lost data", publisher.ErrLost, s.cfg.Stream, state.Last, last)
	case state.First > last+1:
		return fmt.Errorf("%w: stream %s begins at sequence %d, %d was carried over: it dropped messages by age or purge", publisher.ErrLost, s.cfg.Stream, state.First, last)
	}
	return nil
}

// consume creates an ephemeral consumer: in memory, nothing to acknowledge.
func (s *Source) consume(ctx context.Context, from uint64) (jetstream.MessagesContext, error) {
	js, err := jetstream.New(s.nc)
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", s.cfg.Stream, err)
	}
	consumer, err := js.CreateConsumer(ctx, s.cfg.Stream, jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       from,
		AckPolicy:         jetstream.AckNonePolicy,
		MaxDeliver:        1,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: inactive,
	})
	if err != nil {
		return nil, fmt.Errorf("read stream %s from sequence %d: %w", s.cfg.Stream, from, err)
	}
	msgs, err := consumer.Messages(jetstream.PullMaxMessages(pull), jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		return nil, fmt.Errorf("read stream %s from sequence %d: %w", s.cfg.Stream, from, err)
	}
	return msgs, nil
}

// entry of one message; without Direct if it is refused, so that the position
// moves past it.
func (s *Source) entry(seq uint64, at time.Time, m jetstream.Msg) publisher.Entry {
	e := publisher.Entry{Place: strconv.FormatUint(seq, 10), Time: at}
	msg, err := Parse(s.cfg.Kinds, m.Subject(), m.Data(), s.cfg.MaxPayload)
	if err != nil {
		s.refused.WithLabelValues(reason(err)).Inc()
		s.log.Warn("message of a service refused", "subject", m.Subject(), "seq", seq, "err", err)
		return e
	}
	msg.Time = at
	e.Direct = &msg
	return e
}

// reason is the metric label of a refusal.
func reason(err error) string {
	switch {
	case errors.Is(err, ErrSubject):
		return "subject"
	case errors.Is(err, ErrSize):
		return "size"
	}
	return "json"
}

// Confirm does nothing: INGEST ages by itself.
func (s *Source) Confirm(context.Context, string) error { return nil }

// Compare orders two places. What is no place of this source is before all.
func (s *Source) Compare(a, b string) int {
	an, aerr := parsePlace(a)
	bn, berr := parsePlace(b)
	switch {
	case aerr != nil && berr != nil:
		return 0
	case aerr != nil || berr == nil && an < bn:
		return -1
	case berr != nil || an > bn:
		return 1
	}
	return 0
}

func parsePlace(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("place %q is not a sequence of the ingest stream, such as 1042", s)
	}
	return n, nil
}
