package publisher

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
)

// pastBytes bounds what a past remembers of the stream. What is on its way
// there comes on top, bounded as the waiting rows are.
const pastBytes = 8 << 20

// past answers, for one session, what was last published on a subject: from
// what is on its way to the stream, from its memory, or from the stream's
// leader. Nobody else appends while a session lives (its next unit would be
// refused, and the session end), so what is remembered stays true.
//
// It costs nothing before the first question. That one waits until all that was
// handed over before is in the stream; from then on every message is noted.
type past struct {
	// static
	ctx    context.Context // the session's: Past.Last has none
	leader stream.Leader
	flight *flight
	asked  func(hit bool)

	// owned by whoever maps
	about about

	mu      sync.Mutex
	active  bool              // guarded by mu
	onWay   map[string]*onWay // guarded by mu; by subject
	memory  *lru              // guarded by mu
	failure error             // guarded by mu; why a question could not be answered
}

// about is the entry being mapped, as far as its past is concerned.
type about struct {
	// unused says that nothing comes of the messages: the stream has them all.
	unused bool
	// own is not nil if the stream has some of them: it says whether a header
	// Fabric-Position is that of one.
	own func(position string) bool
}

// onWay is the newest of n unacknowledged messages of one subject.
type onWay struct {
	data []byte
	n    int
}

var _ Past = (*past)(nil)

func newPast(ctx context.Context, leader stream.Leader, f *flight, asked func(hit bool)) *past {
	return &past{ctx: ctx, leader: leader, flight: f, asked: asked, onWay: map[string]*onWay{}, memory: newLRU(pastBytes)}
}

// Last is what Past asks for. The payload must not be changed.
func (p *past) Last(subject string) (data []byte, ok bool, err error) {
	if p.about.unused {
		return nil, false, nil
	}
	data, ok, err = p.last(subject)
	if err != nil {
		err = fmt.Errorf("look up what was last published on %s: %w", subject, err)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.failure = err
	}
	return data, ok, err
}

func (p *past) last(subject string) (data []byte, ok bool, err error) {
	if err := p.activate(); err != nil {
		return nil, false, err
	}
	if p.about.own != nil {
		p.asked(false)
		// Not remembered: it is not what comes before the next entry.
		return p.before(subject, p.about.own)
	}
	if r := p.remembered(subject); r != nil {
		p.asked(true)
		return r.data, r.stored, nil
	}
	p.asked(false)
	m, err := newest(p.leader.Last(p.ctx, subject))
	if err != nil {
		return nil, false, err
	}
	r := p.learn(subject, m)
	return r.data, r.stored, nil
}

// failed is why a question could not be answered. A nil past was asked none.
func (p *past) failed() error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failure
}

// activate begins to note what is on its way.
func (p *past) activate() error {
	p.mu.Lock()
	active := p.active
	p.active = true
	p.mu.Unlock()
	if active {
		return nil
	}
	// Other sources hand over meanwhile; what they do is noted.
	return p.flight.landed(p.ctx)
}

// remembered is what is known of a subject without asking the stream; nil if
// nothing is.
func (p *past) remembered(subject string) *remembered {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w, ok := p.onWay[subject]; ok {
		return &remembered{data: w.data, stored: true}
	}
	r, _ := p.memory.get(subject)
	return r
}

// learn remembers what the leader answered, unless something newer is known by
// now.
func (p *past) learn(subject string, m *jetstream.RawStreamMsg) *remembered {
	if newer := p.remembered(subject); newer != nil {
		return newer
	}
	r := &remembered{subject: subject}
	if m != nil {
		r.data, r.stored = m.Data, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.memory.put(r)
	return r
}

// before reads the newest message of a subject that is not the entry's own.
// There is no way to read backwards, so the subject's messages, at most keep,
// are read from the first on.
func (p *past) before(subject string, own func(string) bool) (data []byte, ok bool, err error) {
	m, err := newest(p.leader.Last(p.ctx, subject))
	if err != nil || m == nil {
		return nil, false, err
	}
	if !own(m.Header.Get(subjects.PositionHeader)) {
		return m.Data, true, nil
	}
	for seq := uint64(1); seq < m.Sequence; {
		next, err := newest(p.leader.Next(p.ctx, seq, subject))
		if err != nil {
			return nil, false, err
		}
		if next == nil || own(next.Header.Get(subjects.PositionHeader)) {
			break
		}
		data, ok, seq = next.Data, true, next.Sequence+1
	}
	return data, ok, nil
}

// newest makes nil of a message that is not there.
func newest(m *jetstream.RawStreamMsg, err error) (*jetstream.RawStreamMsg, error) {
	if errors.Is(err, stream.ErrNotFound) {
		return nil, nil
	}
	return m, err
}

// sent notes messages that are handed over.
func (p *past) sent(out []outgoing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.active {
		return
	}
	for _, o := range out {
		if o.message == nil {
			continue
		}
		w := p.onWay[o.message.Subject]
		if w == nil {
			w = &onWay{}
			p.onWay[o.message.Subject] = w
		}
		w.data = o.message.Data
		w.n++
	}
}

// stored notes messages that are acknowledged. Those that were handed over
// before anybody asked are not on the way as far as the past knows.
func (p *past) stored(msgs []*nats.Msg) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range msgs {
		w := p.onWay[m.Subject]
		if w == nil {
			continue
		}
		if w.n--; w.n == 0 {
			delete(p.onWay, m.Subject)
			p.memory.put(&remembered{subject: m.Subject, data: w.data, stored: true})
		}
	}
}
