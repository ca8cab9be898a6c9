package hubtest

import (
	"context"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/subjects"
)

var (
	_ hub.Feed    = (*Edge)(nil)
	_ hub.History = (*Edge)(nil)
)

// Edge is one edge's view of a stream: a tail, a ring and the way to history.
type Edge struct {
	stream   *Stream
	max      int // messages in the ring
	maxBytes int // by Message.Size; 0 = no bound

	mu      sync.Mutex
	wake    func()
	view    hub.View
	ring    []*hub.Message
	bytes   int
	history int
	// read is the newest sequence that the tail has taken; ahead of view.Last
	// while a hole is open.
	read                  uint64
	readStamp             int64
	holed                 bool
	epochSeq, positionSeq uint64
	lagging               bool
	disturb               func()
	answers               answers
}

// Edge adds an edge whose ring holds at most ring messages. It is not ready
// before Start.
func (s *Stream) Edge(ring int) *Edge {
	e := &Edge{stream: s, max: ring}
	e.view.From, e.view.ExactFrom = 1, 1
	s.mu.Lock()
	defer s.mu.Unlock()
	s.edges = append(s.edges, e)
	return e
}

// BoundBytes bounds the ring by the size of its messages too.
func (e *Edge) BoundBytes(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.maxBytes = n
}

// Start warms the ring from what is stored and follows the stream from then
// on.
func (e *Edge) Start() {
	e.mu.Lock()
	e.begin()
	e.mu.Unlock()
	e.wakeUp()
}

// begin starts a generation. Called with mu held.
func (e *Edge) begin() {
	s := e.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	e.ring, e.bytes, e.holed, e.history = nil, 0, false, s.history
	e.epochSeq, e.positionSeq = 0, 0
	e.view = hub.View{Gen: e.view.Gen + 1, Ready: true, ExactFrom: s.last + 1, Stale: e.view.Stale, Since: e.view.Since, Away: e.view.Away}
	from := s.live[subjects.EpochSubject] // what is older is never resumed
	for _, x := range s.stored {
		if x.held(s.op()) && x.seq >= from[len(from)-1].seq {
			e.note(x.message(""))
			e.take(x)
		}
	}
	e.read = s.last
	e.publish()
}

// note follows what a message says about the stream.
func (e *Edge) note(m *hub.Message) {
	switch m.Name.Class {
	case subjects.NewEpoch:
		rec := m.Record.(*subjects.Epoch)
		e.epochSeq = m.Seq
		e.view.Epoch, e.view.Keep, e.view.Retention = rec.Epoch, rec.Keep, time.Duration(rec.Retention)
	case subjects.Progress:
		e.positionSeq = m.Seq
	}
	e.view.Settled = e.positionSeq > e.epochSeq
}

// take appends one message to the ring.
func (e *Edge) take(x *entry) {
	m := x.message(e.view.Epoch)
	e.ring = append(e.ring, m)
	e.bytes += m.Size()
	for len(e.ring) > 1 && (len(e.ring) > e.max || e.maxBytes > 0 && e.bytes > e.maxBytes) {
		e.bytes -= e.ring[0].Size()
		e.ring = slices.Delete(e.ring, 0, 1)
	}
	e.read, e.readStamp = m.Seq, m.Stamp
}

// publish lets readers see what was taken, unless a hole is open.
func (e *Edge) publish() {
	if !e.holed {
		e.view.Last, e.view.LastStamp = e.read, e.readStamp
	}
	e.view.From = e.view.Last + 1
	if len(e.ring) > 0 {
		e.view.From = min(e.view.From, e.ring[0].Seq)
	}
}

// Lag holds the tail back until Follow or CatchUp; false lets it follow by
// itself again.
func (e *Edge) Lag(on bool) {
	e.mu.Lock()
	e.lagging = on
	e.mu.Unlock()
	if !on {
		e.CatchUp()
	}
}

// notice is called by the stream when something is new.
func (e *Edge) notice() {
	e.mu.Lock()
	still := e.lagging || e.view.Away || !e.view.Ready
	e.mu.Unlock()
	if !still {
		e.CatchUp()
	}
}

// CatchUp reads on to the end of the stream.
func (e *Edge) CatchUp() { e.Follow(1 << 30) }

// Follow reads on by up to n messages, unless the edge is away or cold.
func (e *Edge) Follow(n int) {
	e.mu.Lock()
	if e.view.Ready && !e.view.Away {
		e.follow(n)
	}
	e.mu.Unlock()
	e.wakeUp()
}

func (e *Edge) follow(n int) {
	s := e.stream
	s.mu.Lock()
	if e.history != s.history {
		s.mu.Unlock()
		e.begin()
		return
	}
	defer s.mu.Unlock()
	op := s.op()
	at := sort.Search(len(s.stored), func(i int) bool { return s.stored[i].seq > e.read })
	for ; at < len(s.stored) && n > 0; at++ {
		x := s.stored[at]
		if !x.held(op) {
			continue
		}
		n--
		if x.seq != max(e.read+1, e.view.ExactFrom) {
			e.holed = true
		}
		if x.name.Class == subjects.NewEpoch {
			e.ring, e.bytes, e.holed = nil, 0, false
			e.view.Gen++
			e.view.ExactFrom = x.seq
		}
		e.note(x.message(""))
		e.take(x)
	}
	if e.holed && e.read == s.last {
		e.holed = false
		e.view.ExactFrom = e.read + 1
	}
	e.publish()
}

func (e *Edge) wakeUp() {
	e.mu.Lock()
	wake := e.wake
	e.mu.Unlock()
	if wake != nil {
		wake()
	}
}

// SetStale tells that data may lag.
func (e *Edge) SetStale(on bool) { e.set(func(v *hub.View) { v.Stale, v.Since = on, time.Now() }) }

// SetAway cuts the edge off from the broker, or lets it come back.
func (e *Edge) SetAway(on bool) {
	e.set(func(v *hub.View) { v.Away, v.Stale, v.Since = on, on, time.Now() })
	if !on {
		e.notice()
	}
}

func (e *Edge) set(change func(*hub.View)) {
	e.mu.Lock()
	change(&e.view)
	e.mu.Unlock()
	e.wakeUp()
}

// Disturb has f called whenever the hub looks into the ring, in the caller's
// goroutine and before the look: the tail may move on just then.
func (e *Edge) Disturb(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.disturb = f
}

func (e *Edge) disturbed() {
	e.mu.Lock()
	f := e.disturb
	e.mu.Unlock()
	if f != nil {
		f()
	}
}

// Attach implements hub.Feed.
func (e *Edge) Attach(wake func()) { e.wake = wake }

// View implements hub.Feed.
func (e *Edge) View() hub.View {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.view
}

// Read implements hub.Feed.
func (e *Edge) Read(gen, after uint64, buf []*hub.Message) ([]*hub.Message, hub.View, bool) {
	e.disturbed()
	e.mu.Lock()
	defer e.mu.Unlock()
	if gen != e.view.Gen {
		return buf, e.view, false
	}
	if after < e.view.Last && (after+1 < e.view.From || after+1 < e.view.ExactFrom) {
		return buf, e.view, false
	}
	for _, m := range e.behind(after) {
		if m.Seq > e.view.Last || len(buf) == cap(buf) {
			break
		}
		buf = append(buf, m)
	}
	return buf, e.view, true
}

// behind returns the ring's messages with a sequence above after.
func (e *Edge) behind(after uint64) []*hub.Message {
	return e.ring[sort.Search(len(e.ring), func(i int) bool { return e.ring[i].Seq > after }):]
}

// Room implements hub.Feed.
func (e *Edge) Room(gen uint64, room subjects.Room, after, upTo uint64, buf []*hub.Message) ([]*hub.Message, bool) {
	e.disturbed()
	e.mu.Lock()
	defer e.mu.Unlock()
	if gen != e.view.Gen || after+1 < e.view.From {
		return buf, false
	}
	for _, m := range slices.Backward(e.behind(after)) {
		if m.Seq <= upTo && m.Name.Room == room {
			buf = append(buf, m)
		}
	}
	return buf, true
}

// Agrees implements hub.Feed.
func (e *Edge) Agrees(gen, seq uint64, stamp int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	next := e.behind(seq - 1)
	at := len(e.ring) - len(next)
	switch {
	case gen != e.view.Gen || len(next) == 0:
		return true
	case next[0].Seq == seq:
		return next[0].Stamp == stamp
	case at == 0:
		return true
	}
	return e.ring[at-1].Stamp <= stamp && stamp <= next[0].Stamp
}

// End implements hub.Feed.
func (e *Edge) End(ctx context.Context, gen uint64) (uint64, error) {
	if err := e.answering(ctx, gen); err != nil {
		return 0, err
	}
	end := e.stream.Last()
	e.mu.Lock()
	slow := e.answers.end
	e.mu.Unlock()
	if slow != nil {
		end = slow(end)
	}
	return end, nil
}
