package feed

import (
	"fmt"
	"sync"
	"time"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/subjects"
)

// arrival is a message as the tail delivers it.
type arrival struct {
	*hub.Message
	// pending is how many more the consumer had to deliver.
	pending uint64
}

// holeMax is how long delivery is held back while a tail with a hole behind
// it does not reach the end of the stream. Going on earlier is as exact, but
// sends every session to history once per hole.
const holeMax = time.Second

// window is the ring and what readers may see of it. All methods may be called
// from any goroutine; begin, add and idle are the tail's.
type window struct {
	mu   sync.RWMutex
	ring ring
	view hub.View // but for Stale, Since and Away

	epochSeq, positionSeq uint64
	// last and stamp are those of the newest message taken. Behind a hole they
	// are ahead of view.Last.
	last  uint64
	stamp int64
	// warmTo ends the warming: the leader's end when it began.
	warmTo uint64
	// holed is when a hole was found that the tail has not left behind yet.
	holed time.Time
}

func newWindow(ringBytes int) *window {
	w := &window{ring: newRing(ringBytes)}
	w.view.From, w.view.ExactFrom = 1, 1
	return w
}

// begin drops everything and starts a generation at o. Nothing may be read
// until the ring is warm.
func (w *window) begin(o origin) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ring.clear()
	w.holed = time.Time{}
	w.epochSeq, w.positionSeq = o.epochSeq, o.positionSeq
	w.last, w.stamp, w.warmTo = o.start-1, 0, o.end
	w.view = hub.View{
		Gen:       w.view.Gen + 1,
		From:      o.start,
		ExactFrom: max(o.end+1, o.start),
		Last:      o.start - 1,
	}
	w.enter(o.epoch)
}

// enter takes over the identity and the limits of an epoch.
func (w *window) enter(e subjects.Epoch) {
	w.view.Epoch, w.view.Keep, w.view.Retention = e.Epoch, e.Keep, time.Duration(e.Retention)
	w.view.Settled = w.positionSeq > w.epochSeq
}

// add takes messages in the order of the tail. It returns otherHistory if they
// cannot belong to this one.
func (w *window) add(batch []arrival, now time.Time) (missing uint64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.publish()
	for _, a := range batch {
		if a.Seq <= w.last {
			return missing, otherHistory{fmt.Sprintf("sequence %d came behind %d", a.Seq, w.last)}
		}
		if due := max(w.last+1, w.view.ExactFrom); a.Seq > due {
			missing += a.Seq - due
			if w.holed.IsZero() {
				w.holed = now
			}
		}
		if err := w.take(a.Message); err != nil {
			return missing, err
		}
		if a.pending == 0 || now.Sub(w.holed) > holeMax {
			w.close()
		}
		if w.holed.IsZero() && (a.pending == 0 || w.last >= w.warmTo) {
			w.view.Ready = true
		}
	}
	return missing, nil
}

// idle notes that the tail has nothing more to deliver. It reports whether
// that changed the view.
func (w *window) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.holed.IsZero() && w.view.Ready {
		return false
	}
	w.close()
	w.view.Ready = true
	w.publish()
	return true
}

// take appends one message and follows what it says about the stream itself.
func (w *window) take(m *hub.Message) error {
	switch m.Name.Class {
	case subjects.NewEpoch:
		e := *m.Record.(*subjects.Epoch)
		if m.Seq == w.epochSeq && e.Epoch == w.view.Epoch {
			break // the one that the generation began with
		}
		if e.Epoch == "" || m.Seq <= w.epochSeq {
			return otherHistory{fmt.Sprintf("%s at sequence %d names %q, %q began at %d", subjects.EpochSubject, m.Seq, e.Epoch, w.view.Epoch, w.epochSeq)}
		}
		// A cursor of the old epoch is never resumed: nothing before this
		// message is read again.
		w.ring.clear()
		w.holed = time.Time{}
		w.epochSeq = m.Seq
		w.view.Gen++
		w.view.ExactFrom = m.Seq
		w.enter(e)
	case subjects.Progress:
		w.positionSeq = m.Seq
		w.view.Settled = m.Seq > w.epochSeq
	}
	m.Epoch = w.view.Epoch
	w.ring.add(m)
	w.last, w.stamp = m.Seq, m.Stamp
	return nil
}

// close leaves a hole behind: what is read from here on is exact again.
func (w *window) close() {
	if w.holed.IsZero() {
		return
	}
	w.holed = time.Time{}
	w.view.ExactFrom = w.last + 1
}

// publish lets readers see what has been taken, unless a hole is open.
func (w *window) publish() {
	if w.holed.IsZero() {
		w.view.Last, w.view.LastStamp = w.last, w.stamp
	}
	w.view.From = w.view.Last + 1
	if m := w.ring.oldest(); m != nil {
		w.view.From = min(w.view.From, m.Seq)
	}
}

// look returns the view, without what the pulse knows.
func (w *window) look() hub.View {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.view
}

func (w *window) read(gen, after uint64, buf []*hub.Message) ([]*hub.Message, hub.View, bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	switch {
	case gen != w.view.Gen:
		return buf, w.view, false
	case after >= w.view.Last:
		return buf, w.view, true
	case after+1 < w.view.From || after+1 < w.view.ExactFrom:
		return buf, w.view, false
	}
	return w.ring.read(after, w.view.Last, buf), w.view, true
}

func (w *window) room(gen uint64, room subjects.Room, after, upTo uint64, buf []*hub.Message) ([]*hub.Message, bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if gen != w.view.Gen || after+1 < w.view.From {
		return buf, false
	}
	return w.ring.room(room, after, upTo, buf), true
}

func (w *window) agrees(gen, seq uint64, stamp int64) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return gen != w.view.Gen || w.ring.agrees(seq, stamp)
}

// mark is what the leader is asked to confirm about this history.
type mark struct {
	gen             uint64
	epoch           string
	epochSeq        uint64
	last, ringFirst uint64 // ringFirst is 0 if the ring is empty
}

func (w *window) mark() mark {
	w.mu.RLock()
	defer w.mu.RUnlock()
	m := mark{gen: w.view.Gen, epoch: w.view.Epoch, epochSeq: w.epochSeq, last: w.last}
	if o := w.ring.oldest(); o != nil {
		m.ringFirst = o.Seq
	}
	return m
}

// held reports the bytes and messages in the ring.
func (w *window) held() (bytes, messages int) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.ring.size, w.ring.len()
}
