package feed

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/subjects"
)

// tries is how often a room is read that comes back incomplete: by a replica
// that lags, or while its messages are being dropped.
const tries = 3

// missed reads what is newer than a sequence in one room.
type missed struct {
	feed   *Feed
	gen    uint64
	ask    hub.Ask
	lasts  newest
	budget *budget
	found  *hub.Found
	// cut: the room holds more than the last read could take.
	cut bool
}

func (f *Feed) missed(gen uint64, a hub.Ask, lasts newest, found *hub.Found, b *budget) *missed {
	return &missed{feed: f, gen: gen, ask: a, lasts: lasts, budget: b, found: found}
}

// read reads the room up to maxBytes, in one question: between two pages
// messages might be dropped uncounted. It sets Newer, or Over, or Torn, or cut.
func (m *missed) read(ctx context.Context, maxBytes int) error {
	m.cut = false
	if m.budget.spent() {
		m.found.Over = true
		return nil
	}
	req := directRequest{
		Seq:     m.ask.Since + 1,
		NextFor: m.ask.Room.Pattern(),
		// More than may be replayed, so it is never what ends an answer that
		// is of use; records count, but are not replayed.
		Batch:    m.budget.events + m.feed.window.look().Keep + 1,
		MaxBytes: maxBytes,
	}
	for try := 1; ; try++ {
		r, err := m.once(ctx, req)
		if err != nil {
			return err
		}
		events := m.events(r.msgs)
		switch {
		case r.pending > 0:
			m.cut = true
			return nil
		case m.reached(r.msgs):
			if !m.budget.take(events) {
				m.found.Over = true
				return nil
			}
			m.found.Newer = events
			return nil
		case try == tries:
			m.feed.metrics.torn.Inc()
			m.found.Newer, m.found.Torn = events, true
			return nil
		}
		if !sleep(ctx, pause(try)) {
			return unavailable(m.doing(), ctx.Err())
		}
	}
}

// once asks until there is an answer; nothing found is one.
func (m *missed) once(ctx context.Context, req directRequest) (r directReply, err error) {
	err = m.feed.again(ctx, m.gen, m.doing(), func(hub.View) error {
		r, err = m.feed.direct.ask(ctx, req)
		return err
	}, errNothing)
	if errors.Is(err, errNothing) {
		return directReply{}, nil
	}
	return r, err
}

func (m *missed) doing() string {
	return fmt.Sprintf("read %s since %d", m.ask.Room, m.ask.Since)
}

// reached reports whether the answer holds all that is known to be there: on
// each subject the last message that multi_last told of, or a newer one.
func (m *missed) reached(msgs []stored) bool {
	have := make(map[string]uint64, len(m.lasts))
	for _, s := range msgs {
		have[s.subject] = s.seq
	}
	for _, l := range m.lasts {
		if l.Seq > m.ask.Since && have[l.subject] < l.Seq {
			return false
		}
	}
	return true
}

// events decodes what clients may see.
func (m *missed) events(msgs []stored) []*hub.Message {
	epoch := m.feed.window.look().Epoch
	events := make([]*hub.Message, 0, len(msgs))
	for _, s := range msgs {
		if msg := m.feed.decode.message(epoch, s); msg.Name.Class == subjects.Event {
			events = append(events, msg)
		}
	}
	return events
}

// budget is what one Fetch may still return. Its methods may be called from
// any goroutine.
type budget struct {
	events, bytes int // static

	mu                    sync.Mutex
	eventsLeft, bytesLeft int
	over                  bool
}

func newBudget(events, bytes int) *budget {
	return &budget{events: events, bytes: bytes, eventsLeft: events, bytesLeft: bytes}
}

// take takes the messages out of the budget. It returns false, from then on
// for ever, if they do not fit.
func (b *budget) take(msgs []*hub.Message) bool {
	size := 0
	for _, m := range msgs {
		size += len(m.Data)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = b.over || len(msgs) > b.eventsLeft || size > b.bytesLeft
	if b.over {
		return false
	}
	b.eventsLeft -= len(msgs)
	b.bytesLeft -= size
	return true
}

// spent reports whether nothing more fits.
func (b *budget) spent() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.over || b.eventsLeft == 0 || b.bytesLeft == 0
}

// The server counts subjects and headers too, which are not replayed. Twice
// the payload and a bit covers them; beyond, many small events of one room end
// by their number.
func withHeaders(bytes int) int { return 2*bytes + 64<<10 }

// share is how much one of several rooms may ask for at a time, so that they
// together stay near the budget.
func (b *budget) share() int { return withHeaders(b.bytes / pipelined) }

// rest is how much a room may ask for that is read alone.
func (b *budget) rest() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return withHeaders(b.bytesLeft)
}
