package hubtest

import (
	"context"
	"slices"
	"time"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/subjects"
)

// answers is how an edge's questions to the stream are answered.
type answers struct {
	delay time.Duration
	gate  chan struct{} // nil, or closed once answers may come
	// lasts and newer choose the operation as of which a replica answers for
	// last values (and indexes), and for newer messages; nil = the newest.
	lasts, newer Replica
	end          func(uint64) uint64
	upTo         uint64
	short        uint64
	over, bytes  int
	torn         bool
	asked        int
	rooms        int
}

// Replica says, given the number of the newest operation, as of which one a
// replica answers.
type Replica func(newest int) int

// Behind is a replica that lags by n operations.
func Behind(n int) Replica { return func(newest int) int { return newest - n } }

// Answer chooses the replicas that answer from now on: one for last values and
// indexes, one for newer messages. nil is one that is up to date.
func (e *Edge) Answer(lasts, newer Replica) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answers.lasts, e.answers.newer = lasts, newer
}

// AnswerEnd has f give the answer of the leader, which was the given one when
// it was asked. f may sleep.
func (e *Edge) AnswerEnd(f func(last uint64) uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answers.end = f
}

// UpTo makes answers of Fetch claim to be complete only up to a sequence, as one
// does of which some chunks came from a replica that lags; 0 = as it is.
func (e *Edge) UpTo(seq uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answers.upTo = seq
}

// UpToBehind makes answers of Fetch claim to be complete only up to n sequences
// before their end.
func (e *Edge) UpToBehind(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answers.short = uint64(n)
}

// Delay makes every answer take d.
func (e *Edge) Delay(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answers.delay = d
}

// Hold keeps answers back until release is called. What is answered is read
// then.
func (e *Edge) Hold() (release func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	gate := make(chan struct{})
	e.answers.gate = gate
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.answers.gate = nil
		close(gate)
	}
}

// Over bounds the events that one Fetch may find, and the bytes of their
// payloads; 0 = no bound.
func (e *Edge) Over(events, bytes int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answers.over, e.answers.bytes = events, bytes
}

// Tear makes answers incomplete.
func (e *Edge) Tear(on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answers.torn = on
}

// Asked counts the questions to history so far, and the rooms they named.
func (e *Edge) Asked() (questions, rooms int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.answers.asked, e.answers.rooms
}

// answering waits as long as the test wants answers to take, and refuses what
// cannot be answered.
func (e *Edge) answering(ctx context.Context, gen uint64) error {
	e.mu.Lock()
	a := e.answers
	e.mu.Unlock()
	if a.delay > 0 {
		select {
		case <-ctx.Done():
			return hub.ErrUnavailable
		case <-time.After(a.delay):
		}
	}
	if a.gate != nil {
		select {
		case <-ctx.Done():
			return hub.ErrUnavailable
		case <-a.gate:
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.view.Away:
		return hub.ErrUnavailable
	case e.view.Gen != gen:
		return hub.ErrGeneration
	}
	return nil
}

// snapshot is the stream as a replica held it after an operation.
type snapshot struct {
	epoch  string
	upTo   uint64
	stored []*entry
}

// ask finds a replica's snapshot of the history that the edge follows.
func (e *Edge) ask(gen uint64, choose func(answers) Replica) (snapshot, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.view.Gen != gen || e.history != s.history || e.view.Epoch != s.epoch.Epoch {
		return snapshot{}, hub.ErrGeneration
	}
	op := s.op()
	if r := choose(e.answers); r != nil {
		// A replica that has not seen the epoch or the truncation is asked again.
		op = min(op, max(r(op), s.begun))
	}
	snap := snapshot{epoch: e.view.Epoch, upTo: s.ends[op]}
	for _, x := range s.stored {
		if x.held(op) {
			snap.stored = append(snap.stored, x)
		}
	}
	return snap, nil
}

// Fetch implements hub.History.
func (e *Edge) Fetch(ctx context.Context, gen uint64, asks []hub.Ask) (hub.Answer, error) {
	e.count(len(asks))
	if err := e.answering(ctx, gen); err != nil {
		return hub.Answer{}, err
	}
	lasts, err := e.ask(gen, func(a answers) Replica { return a.lasts })
	if err != nil {
		return hub.Answer{}, err
	}
	ans := hub.Answer{UpTo: lasts.upTo}
	events, bytes := 0, 0
	for _, a := range asks {
		f := lasts.room(a.Room)
		if newest := newest(f); !a.Fresh && newest > a.Since {
			if f.Newer, err = e.newer(gen, a, newest); err != nil {
				return hub.Answer{}, err
			}
			events += len(f.Newer)
			for _, m := range f.Newer {
				bytes += len(m.Data)
			}
		}
		ans.Rooms = append(ans.Rooms, f)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.answers.upTo > 0 {
		ans.UpTo = min(ans.UpTo, e.answers.upTo)
	}
	ans.UpTo -= min(ans.UpTo, e.answers.short)
	for i := range ans.Rooms {
		f := &ans.Rooms[i]
		if e.answers.torn {
			f.Torn, f.Newer = true, nil
		}
		if a := e.answers; a.over > 0 && events > a.over || a.bytes > 0 && bytes > a.bytes {
			f.Over, f.Newer = true, nil
		}
	}
	return ans, nil
}

// newer reads what is newer than the position from another replica. One that
// does not reach the newest known message yet is asked again, in the end the
// leader.
func (e *Edge) newer(gen uint64, a hub.Ask, newest uint64) ([]*hub.Message, error) {
	snap := snapshot{}
	for try := 0; snap.upTo < newest; try++ {
		var err error
		snap, err = e.ask(gen, func(a answers) Replica {
			if try < 3 {
				return a.newer
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	var newer []*hub.Message
	for _, x := range snap.stored {
		if x.seq > a.Since && x.name.Room == a.Room && x.name.Class == subjects.Event {
			newer = append(newer, x.message(snap.epoch))
		}
	}
	return newer, nil
}

// room finds the last values of a room.
func (snap snapshot) room(room subjects.Room) hub.Found {
	f := hub.Found{Room: room}
	last := map[string]*hub.Message{}
	for _, x := range snap.stored {
		if x.name.Room != room {
			continue
		}
		switch x.name.Class {
		case subjects.Grant, subjects.Logout:
			f.Grant = x.message(snap.epoch)
		case subjects.Event:
			last[x.name.Type] = x.message(snap.epoch)
		}
	}
	for _, m := range last {
		f.Last = append(f.Last, m)
	}
	slices.SortFunc(f.Last, func(a, b *hub.Message) int { return int(a.Seq) - int(b.Seq) })
	return f
}

func newest(f hub.Found) uint64 {
	if len(f.Last) == 0 {
		return 0
	}
	return f.Last[len(f.Last)-1].Seq
}

// Index implements hub.History.
func (e *Edge) Index(ctx context.Context, gen uint64, user string) (hub.IndexAnswer, error) {
	e.count(0)
	if err := e.answering(ctx, gen); err != nil {
		return hub.IndexAnswer{}, err
	}
	snap, err := e.ask(gen, func(a answers) Replica { return a.lasts })
	if err != nil {
		return hub.IndexAnswer{}, err
	}
	last := map[subjects.Room]*hub.Message{}
	for _, x := range snap.stored {
		if x.name.Class == subjects.Indexed && x.name.Room == subjects.UserRoom(user) {
			last[x.name.Target] = x.message(snap.epoch)
		}
	}
	ans := hub.IndexAnswer{UpTo: snap.upTo}
	for _, m := range last {
		ans.Records = append(ans.Records, m)
	}
	return ans, nil
}

// Stored implements hub.History.
func (e *Edge) Stored(ctx context.Context, gen uint64, room subjects.Room, before uint64, limit int) ([]*hub.Message, bool, error) {
	e.count(1)
	if err := e.answering(ctx, gen); err != nil {
		return nil, false, err
	}
	snap, err := e.ask(gen, func(a answers) Replica { return a.newer })
	if err != nil {
		return nil, false, err
	}
	var msgs []*hub.Message
	for _, x := range snap.stored {
		if x.name.Room == room && x.name.Class == subjects.Event && (before == 0 || x.seq < before) {
			msgs = append(msgs, x.message(snap.epoch))
		}
	}
	older := max(len(msgs)-limit, 0)
	return msgs[older:], older > 0, nil
}

func (e *Edge) count(rooms int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answers.asked++
	e.answers.rooms += rooms
}
