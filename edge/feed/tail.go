package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"github.com/prometheus/client_golang/prometheus"
)

// Times and sizes of the consumer.
const (
	// heartbeat is what the consumer sends when it has nothing else; a tail
	// that hears nothing for silence (2.5 of them) takes another consumer.
	heartbeat = 500 * time.Millisecond
	silence   = 5 * heartbeat / 2
	// createTimeout bounds the creation, createWait and createMaxWait the time
	// between tries. A node that is lost costs 1.5 s of silence with these.
	createTimeout = 2 * time.Second
	createWait    = 20 * time.Millisecond
	createMaxWait = 500 * time.Millisecond
	// abandonedFor is how long the server keeps a consumer that nobody listens
	// to.
	abandonedFor = 10 * time.Second
	// tailQueue takes what flow control lets be under way: up to 32 MiB
	// (nats-server JsFlowControlMaxPending), rarely less than 500 bytes each.
	// If it overflows all the same, the consumer's own numbers show it and
	// another one reads on.
	tailQueue = 64 << 10
	// maxBurst is how many messages readers may have to wait for.
	maxBurst = 256
)

// Reasons to take another consumer.
var (
	errSilent   = errors.New("no message and no heartbeat")
	errMissed   = errors.New("messages of the consumer are missing")
	errReplaced = errors.New("the connection was replaced")
	errStuck    = errors.New("the consumer does not follow the stream")
)

// tail reads the whole stream through one push consumer after another: in
// memory, on one node, without acknowledgements. Each continues behind the
// last message taken; what the feed takes is gapless or known to be holed.
//
// It does not use the ordered consumer of nats.go: that one's Stop waits for
// as long as a creation is being tried (up to 20 s while the broker is away),
// its tries are fixed at 1 to 10 s, and its heartbeats cannot be seen.
type tail struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	stream string
	log    *slog.Logger
	// What the feed does: next is where to read on, verify runs after each
	// creation and before a message is accepted, take and idle get what comes.
	next   func() uint64
	verify func(context.Context) (uint64, error)
	take   func([]arrival) error
	idle   func()
	decode *decoder
	opened prometheus.Counter // consumers so far

	msgs       chan *nats.Msg
	interrupts chan interrupt
	batch      []arrival
}

type interrupt struct {
	gen uint64
	err error
}

// interrupt makes the tail end what it does for this generation: with
// otherHistory for good, with anything else to take another consumer. It may
// be called from any goroutine; one interrupt at a time is enough.
func (t *tail) interrupt(gen uint64, err error) {
	select {
	case t.interrupts <- interrupt{gen, err}:
	default:
	}
}

// run follows the stream until ctx ends (nil) or the history is another one
// (otherHistory).
func (t *tail) run(ctx context.Context, gen func() uint64) error {
	connected := t.nc.StatusChanged(nats.CONNECTED)
	defer t.nc.RemoveStatusListener(connected)
	wait := createWait
	for {
		worked, err := t.consume(ctx, gen)
		if ctx.Err() != nil {
			return nil
		}
		if _, other := errors.AsType[otherHistory](err); other {
			return err
		}
		if worked {
			t.log.Info("the tail takes another consumer", "seq", t.next(), "err", err)
			wait = createWait
			continue
		}
		t.log.Debug("no consumer yet", "err", err)
		select {
		case <-ctx.Done():
			return nil
		case <-connected:
		case <-time.After(jitter(wait)):
		}
		wait = min(2*wait, createMaxWait)
	}
}

// consume is the life of one consumer. It reports whether that delivered, and
// why it ended. The subscription comes first, so that nothing the consumer
// sends is lost.
func (t *tail) consume(ctx context.Context, gen func() uint64) (worked bool, err error) {
	if !t.nc.IsConnected() {
		return false, nats.ErrDisconnected
	}
	changes := t.nc.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	defer t.nc.RemoveStatusListener(changes)
	sub, err := t.nc.ChanSubscribe(t.nc.NewInbox(), t.msgs)
	if err != nil {
		return false, err
	}
	defer t.forget(sub)
	if err := t.create(ctx, sub.Subject); err != nil {
		return false, err
	}
	if _, err := t.verify(ctx); err != nil {
		return false, err
	}
	t.opened.Inc()
	return true, t.deliver(ctx, &consumer{tail: t, sub: sub}, changes, gen)
}

// deliver takes what the consumer sends until it has to end.
func (t *tail) deliver(ctx context.Context, c *consumer, changes <-chan nats.Status, gen func() uint64) error {
	quiet := time.NewTimer(silence)
	defer quiet.Stop()
	select {
	case <-t.interrupts: // of what was before this consumer was verified
	default:
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case i := <-t.interrupts:
			if i.gen == gen() {
				return i.err
			}
		case <-changes:
			return errReplaced
		case <-quiet.C:
			return errSilent
		case m := <-t.msgs:
			if err := c.burst(m); err != nil {
				return err
			}
			quiet.Reset(silence)
		}
	}
}

// create makes the consumer that delivers to subject.
func (t *tail) create(ctx context.Context, subject string) error {
	ctx, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	_, err := t.js.CreatePushConsumer(ctx, t.stream, jetstream.ConsumerConfig{
		Name:              "edge_" + nuid.Next(),
		Description:       "tail of an edge",
		DeliverSubject:    subject,
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       t.next(),
		AckPolicy:         jetstream.AckNonePolicy,
		MaxDeliver:        1,
		FlowControl:       true,
		IdleHeartbeat:     heartbeat,
		InactiveThreshold: abandonedFor,
		MemoryStorage:     true,
		Replicas:          1,
	})
	if err != nil {
		return fmt.Errorf("create a consumer of stream %s from sequence %d: %w", t.stream, t.next(), err)
	}
	return nil
}

// forget ends a subscription and drops what it has brought.
func (t *tail) forget(sub *nats.Subscription) {
	sub.Unsubscribe()
	for len(t.msgs) > 0 {
		<-t.msgs
	}
}

// consumer is where one consumer stands.
type consumer struct {
	*tail
	sub *nats.Subscription
	// delivered is the consumer's own number of the last message.
	delivered uint64
}

// burst takes m and what has arrived behind it, so that readers are woken once
// for all of it.
func (c *consumer) burst(m *nats.Msg) error {
	c.batch = c.batch[:0]
	var answer string // to flow control, once everything before it is taken
	var err error
	quiet := false
	for {
		quiet = false
		switch {
		case m.Sub != c.sub: // of an earlier consumer
		case strings.HasPrefix(m.Reply, "$JS.ACK."):
			err = c.arrived(m)
		case m.Header.Get(hdrConsumerStalled) != "":
			answer = m.Header.Get(hdrConsumerStalled)
		case m.Reply != "":
			answer = m.Reply
		default:
			err, quiet = c.beat(m), true
		}
		if err != nil || answer != "" || len(c.batch) == maxBurst {
			break
		}
		select {
		case m = <-c.msgs:
			continue
		default:
		}
		break
	}
	return c.settle(answer, quiet, err)
}

// settle hands over a burst. err is why the consumer has to end behind it.
func (c *consumer) settle(answer string, quiet bool, err error) error {
	if len(c.batch) > 0 {
		if err := c.take(c.batch); err != nil {
			return err
		}
		clear(c.batch)
	}
	if err == nil && quiet {
		c.idle()
	}
	if err == nil && answer != "" {
		err = c.nc.Publish(answer, nil)
	}
	return err
}

// Headers of a heartbeat: the consumer's number of the last message it has
// sent, and where flow control waits for an answer that it did not get.
const (
	hdrLastConsumer    = "Nats-Last-Consumer"
	hdrConsumerStalled = "Nats-Consumer-Stalled"
)

// arrived puts a message into the batch.
func (c *consumer) arrived(m *nats.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return fmt.Errorf("%s: %w", m.Reply, err)
	}
	if meta.Sequence.Consumer != c.delivered+1 {
		return fmt.Errorf("%w: %d came behind %d", errMissed, meta.Sequence.Consumer, c.delivered)
	}
	c.delivered = meta.Sequence.Consumer
	c.batch = append(c.batch, arrival{
		Message: c.decode.message("", stored{subject: m.Subject, seq: meta.Sequence.Stream, at: meta.Timestamp, header: m.Header, data: m.Data}),
		pending: meta.NumPending,
	})
	return nil
}

// beat checks an idle heartbeat: the last messages before it may be missing.
func (c *consumer) beat(m *nats.Msg) error {
	last, err := strconv.ParseUint(m.Header.Get(hdrLastConsumer), 10, 64)
	if err != nil {
		return fmt.Errorf("heartbeat with %s %q: %w", hdrLastConsumer, m.Header.Get(hdrLastConsumer), err)
	}
	if last != c.delivered {
		return fmt.Errorf("%w: the heartbeat counts %d, %d came", errMissed, last, c.delivered)
	}
	return nil
}
