package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// What a direct get answers instead of messages, and what went wrong with one.
var (
	// errNothing: no message matches (404), or the replica that answered does
	// not have it yet. The two cannot be told apart.
	errNothing = errors.New("nothing found")
	// errTooMany: multi_last matches more than 1 024 subjects (413).
	errTooMany = errors.New("too many subjects")
	// errTorn: frames of the answer are missing.
	errTorn = errors.New("the answer is incomplete")
	// errBusy: more questions are under way than are ever needed.
	errBusy = errors.New("too many questions under way")
)

// Bounds of the questions to the stream.
const (
	// directTimeout bounds one question; a replica that cannot read its store
	// never answers (nats-server getDirectRequest).
	directTimeout = 3 * time.Second
	// maxCalls bounds the questions under way; the hub asks for 32 things at a
	// time, each in at most 8 questions.
	maxCalls = 1024
	// replyQueue takes what arrives while the router is not scheduled, some
	// 50 ms at full speed. If it ever overflows, the answer is torn and asked
	// for again.
	replyQueue = 16 << 10
)

// Headers of the answers (ADR-31).
const (
	hdrSubject     = "Nats-Subject"
	hdrSequence    = "Nats-Sequence"
	hdrTime        = "Nats-Time-Stamp"
	hdrPending     = "Nats-Num-Pending"
	hdrBefore      = "Nats-Last-Sequence" // in a batch: the sequence of the frame before
	hdrUpTo        = "Nats-UpTo-Sequence"
	hdrStatus      = "Status"
	hdrDescription = "Description"
)

// directRequest is the body of $JS.API.DIRECT.GET (ADR-31).
type directRequest struct {
	Seq       uint64   `json:"seq,omitempty"`
	NextFor   string   `json:"next_by_subj,omitempty"`
	Batch     int      `json:"batch,omitempty"`
	MaxBytes  int      `json:"max_bytes,omitempty"`
	MultiLast []string `json:"multi_last,omitempty"`
}

// directReply is a complete answer: every frame is there, in order.
type directReply struct {
	msgs []stored
	// pending is how many more match behind the last one.
	pending uint64
	// upTo, for multi_last, is the last sequence of the replica that answered.
	upTo uint64
}

// direct asks any replica of the stream (direct get). All answers come in on
// one subscription, which is five times faster than one for each question.
type direct struct {
	nc      *nats.Conn
	subject string
	inbox   string // ends with the dot before the token
	replies chan *nats.Msg

	mu    sync.Mutex
	calls map[string]*call
	next  uint64
}

// call is a question under way.
type call struct {
	frames []*nats.Msg // the router's until done is closed
	status *nats.Msg   // the frame that ended the answer
	err    error
	done   chan struct{}
}

func newDirect(nc *nats.Conn, stream string) *direct {
	return &direct{
		nc:      nc,
		subject: "$JS.API.DIRECT.GET." + stream,
		inbox:   nc.NewInbox() + ".",
		replies: make(chan *nats.Msg, replyQueue),
		calls:   map[string]*call{},
	}
}

// run routes answers until ctx ends. What is under way then fails.
func (d *direct) run(ctx context.Context, sub *nats.Subscription) {
	defer d.abandon()
	defer sub.Unsubscribe()
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-d.replies:
			d.route(m)
		}
	}
}

// subscribe must come before run.
func (d *direct) subscribe() (*nats.Subscription, error) {
	return d.nc.ChanSubscribe(d.inbox+"*", d.replies)
}

// route hands a frame to its call. Frames of calls that were given up are
// dropped.
func (d *direct) route(m *nats.Msg) {
	d.mu.Lock()
	defer d.mu.Unlock()
	token := m.Subject[len(d.inbox):]
	c := d.calls[token]
	if c == nil {
		return
	}
	if m.Header.Get(hdrSequence) != "" {
		c.frames = append(c.frames, m)
		return
	}
	c.status = m
	delete(d.calls, token)
	close(c.done)
}

// abandon fails everything under way: the connection that the answers would
// have come over is gone.
func (d *direct) abandon() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for token, c := range d.calls {
		c.err = nats.ErrDisconnected
		delete(d.calls, token)
		close(c.done)
	}
}

// ask sends one question and waits for the whole answer, which may be stale
// but never holed.
func (d *direct) ask(ctx context.Context, req directRequest) (directReply, error) {
	body, err := json.Marshal(req)
	if err != nil {
		return directReply{}, err
	}
	token, c, err := d.register()
	if err != nil {
		return directReply{}, err
	}
	if err := d.nc.PublishRequest(d.subject, d.inbox+token, body); err != nil {
		d.forget(token)
		return directReply{}, err
	}
	timeout := time.NewTimer(directTimeout)
	defer timeout.Stop()
	select {
	case <-c.done:
		return c.reply()
	case <-timeout.C:
		d.forget(token)
		return directReply{}, nats.ErrTimeout
	case <-ctx.Done():
		d.forget(token)
		return directReply{}, ctx.Err()
	}
}

func (d *direct) register() (string, *call, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.calls) >= maxCalls {
		return "", nil, errBusy
	}
	d.next++
	token := strconv.FormatUint(d.next, 36)
	c := &call{done: make(chan struct{})}
	d.calls[token] = c
	return token, c, nil
}

func (d *direct) forget(token string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.calls, token)
}

// reply reads a finished call.
func (c *call) reply() (directReply, error) {
	if c.err != nil {
		return directReply{}, c.err
	}
	var r directReply
	before := uint64(0)
	r.msgs = make([]stored, 0, len(c.frames))
	for _, m := range c.frames {
		s, err := read(m)
		if err != nil {
			return directReply{}, err
		}
		if number(m, hdrBefore) != before {
			return directReply{}, fmt.Errorf("%w: a message between %d and %d is missing", errTorn, before, s.seq)
		}
		before = s.seq
		r.msgs = append(r.msgs, s)
	}
	switch status := c.status.Header.Get(hdrStatus); status {
	case "204": // end of batch
		if end := number(c.status, hdrBefore); end != before {
			return directReply{}, fmt.Errorf("%w: it ends at %d instead of %d", errTorn, before, end)
		}
		r.pending, r.upTo = number(c.status, hdrPending), number(c.status, hdrUpTo)
		return r, nil
	case "404":
		return directReply{}, errNothing
	case "413":
		return directReply{}, errTooMany
	case "503":
		return directReply{}, nats.ErrNoResponders
	default:
		return directReply{}, fmt.Errorf("direct get answers %s %s", status, c.status.Header.Get(hdrDescription))
	}
}

// read takes a frame apart.
func read(m *nats.Msg) (stored, error) {
	s := stored{subject: final(m, hdrSubject), seq: number(m, hdrSequence), header: m.Header, data: m.Data}
	var err error
	if s.at, err = time.Parse(time.RFC3339Nano, final(m, hdrTime)); err != nil {
		return stored{}, fmt.Errorf("message %d: %s: %w", s.seq, hdrTime, err)
	}
	return s, nil
}

// final returns the last value of a header: the server appends its own behind
// those that a publisher may have set.
func final(m *nats.Msg, key string) string {
	if v := m.Header[key]; len(v) > 0 {
		return strings.TrimSpace(v[len(v)-1])
	}
	return ""
}

// number reads a header as a sequence or count, 0 if it is not there.
func number(m *nats.Msg, key string) uint64 {
	n, _ := strconv.ParseUint(final(m, key), 10, 64)
	return n
}
