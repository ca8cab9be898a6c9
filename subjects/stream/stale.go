package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/subjects"
)

const (
	// stalePull is how many messages are asked for at a time.
	stalePull = 256
	// staleTries is how often reading begins again when a server fails or lags.
	staleTries = 10
)

// errLags says that the replica which answers had not applied all that the
// question is about.
var errLags = errors.New("the replica lags")

// Stale calls f with the newest message of each subject that matches pattern, if
// that message is older than the fabric.epoch at sequence epoch, in stream
// order. It holds a few messages at a time, whatever the stream's size. f may
// append to the stream; what it renews is stale no more. After a failure of the
// server reading begins again, so f may see a message twice if it left it as it
// was. Returns the first error of f.
//
// The list comes from a consumer, which any replica may serve. So that nothing
// is missing the replica must deliver the epoch as the newest one, and where
// there are several, what one takes for stale is looked up through the leader:
// it may not have applied what came behind.
func (l Leader) Stale(ctx context.Context, epoch uint64, pattern string, f func(*jetstream.RawStreamMsg) error) error {
	for try := 1; ; try++ {
		err := l.stale(ctx, epoch, pattern, f)
		var stop staleError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &stop):
			return stop.error
		case ctx.Err() != nil:
			return ctx.Err()
		case try == staleTries:
			return fmt.Errorf("list the newest %s older than sequence %d: %w", pattern, epoch, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try) * 50 * time.Millisecond):
		}
	}
}

// staleError is an error of the caller's function.
type staleError struct{ error }

func (l Leader) stale(ctx context.Context, epoch uint64, pattern string, f func(*jetstream.RawStreamMsg) error) error {
	info, err := l.info(ctx)
	if err != nil {
		return err
	}
	msgs, err := l.newest(ctx, pattern, subjects.EpochSubject)
	if err != nil {
		return err
	}
	defer msgs.Stop()
	for delivered := uint64(1); ; delivered++ {
		m, err := msgs.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		seq := meta.Sequence.Stream
		switch {
		case meta.Sequence.Consumer != delivered:
			return fmt.Errorf("delivery %d is missing", delivered)
		case seq == epoch:
			return nil
		case seq > epoch, m.Subject() == subjects.EpochSubject:
			return errLags
		}
		found := &jetstream.RawStreamMsg{Subject: m.Subject(), Sequence: seq, Header: m.Headers(), Data: m.Data(), Time: meta.Timestamp}
		if info.Config.Replicas > 1 {
			if found, err = l.Last(ctx, m.Subject()); errors.Is(err, ErrNotFound) || err == nil && found.Sequence > epoch {
				continue
			}
			if err != nil {
				return err
			}
		}
		if err := f(found); err != nil {
			return staleError{err}
		}
	}
}

// newest reads the newest message of each subject that matches a pattern, in
// stream order.
func (l Leader) newest(ctx context.Context, patterns ...string) (jetstream.MessagesContext, error) {
	js, err := jetstream.New(l.nc)
	if err != nil {
		return nil, err
	}
	creating, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	consumer, err := js.CreateConsumer(creating, l.stream, jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverLastPerSubjectPolicy,
		FilterSubjects:    patterns,
		AckPolicy:         jetstream.AckNonePolicy,
		MaxDeliver:        1,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: time.Minute,
	})
	if err != nil {
		return nil, err
	}
	return consumer.Messages(jetstream.PullMaxMessages(stalePull), jetstream.PullHeartbeat(patience))
}
