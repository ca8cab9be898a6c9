package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/subjects"
)

// Sizes and waits of history.
const (
	// chunkRooms is how many rooms one multi_last asks for. The server answers
	// with at most 1 024 subjects; rooms rarely have more than three.
	chunkRooms = 256
	// pipelined is how many rooms of one Fetch are read at a time.
	pipelined = 8
	retryWait = 10 * time.Millisecond
	retryMax  = 300 * time.Millisecond
)

// errEpoch: the replica that answered is of another epoch than the tail, ahead
// or behind. Soon one of the two will have moved.
var errEpoch = errors.New("the replica that answered is of another epoch")

// Fetch implements hub.History. Of a room that is Over, Newer is empty.
func (f *Feed) Fetch(ctx context.Context, gen uint64, asks []hub.Ask) (hub.Answer, error) {
	defer f.metrics.timed("fetch")()
	rooms := make([]subjects.Room, 0, len(asks))
	for _, a := range asks {
		rooms = append(rooms, a.Room)
	}
	slices.Sort(rooms)
	lasts, upTo, err := f.lasts(ctx, gen, slices.Compact(rooms))
	if err != nil {
		return hub.Answer{}, err
	}
	answer := hub.Answer{UpTo: upTo, Rooms: make([]hub.Found, len(asks))}
	var behind []*missed
	b := newBudget(f.cfg.ReplayEvents, f.cfg.ReplayBytes)
	for i, a := range asks {
		found := &answer.Rooms[i]
		lasts[a.Room].fill(a.Room, found)
		if !a.Fresh && lasts[a.Room].newerThan(a.Since) {
			behind = append(behind, f.missed(gen, a, lasts[a.Room], found, b))
		}
	}
	if err := readMissed(ctx, behind); err != nil {
		return hub.Answer{}, err
	}
	if f.window.look().Gen != gen {
		return hub.Answer{}, hub.ErrGeneration
	}
	return answer, nil
}

// again repeats ask until it answers, ctx ends (hub.ErrUnavailable), the
// connection is lost (the same, at once), or the generation is another one
// (hub.ErrGeneration). Errors in final are returned as they are.
func (f *Feed) again(ctx context.Context, gen uint64, doing string, ask func(hub.View) error, final ...error) error {
	wait := retryWait
	for {
		v := f.window.look()
		if v.Gen != gen {
			return hub.ErrGeneration
		}
		if err := f.reachable(); err != nil {
			return unavailable(doing, err)
		}
		err := ask(v)
		if err == nil || errors.Is(err, hub.ErrGeneration) || errors.Is(err, hub.ErrUnavailable) {
			return err
		}
		if slices.ContainsFunc(final, func(f error) bool { return errors.Is(err, f) }) {
			return err
		}
		f.metrics.retries.Inc()
		if !sleep(ctx, wait) {
			return unavailable(doing, err)
		}
		wait = min(2*wait, retryMax)
	}
}

// newest is what a room holds: the last message of each of its subjects.
type newest []last

// last is the newest message of one subject.
type last struct {
	subject string
	*hub.Message
}

// fill sets all of found but Newer.
func (n newest) fill(room subjects.Room, found *hub.Found) {
	found.Room = room
	for _, l := range n {
		switch l.Name.Class {
		case subjects.Event:
			found.Last = append(found.Last, l.Message)
		case subjects.Grant, subjects.Logout:
			found.Grant = l.Message
		}
	}
}

// newerThan reports whether the room has an event newer than since.
func (n newest) newerThan(since uint64) bool {
	return slices.ContainsFunc(n, func(l last) bool { return l.Name.Class == subjects.Event && l.Seq > since })
}

// lasts reads the last message of each subject of the rooms, as of upTo.
func (f *Feed) lasts(ctx context.Context, gen uint64, rooms []subjects.Room) (map[subjects.Room]newest, uint64, error) {
	found, upTo := make(map[subjects.Room]newest, len(rooms)), uint64(0)
	todo := slices.Collect(slices.Chunk(rooms, chunkRooms))
	if len(todo) == 0 {
		todo = [][]subjects.Room{nil} // for the epoch and UpTo
	}
	for len(todo) > 0 {
		chunk := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		n, u, err := f.lastsOf(ctx, gen, chunk)
		if errors.Is(err, errTooMany) {
			half := len(chunk) / 2
			todo = append(todo, chunk[:half], chunk[half:])
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		for _, l := range n {
			found[l.Name.Room] = append(found[l.Name.Room], l)
		}
		if upTo == 0 || u < upTo {
			upTo = u
		}
	}
	return found, upTo, nil
}

// lastsOf reads one chunk of rooms. Returns errTooMany if they have too many
// subjects for one answer and there is more than one room.
func (f *Feed) lastsOf(ctx context.Context, gen uint64, rooms []subjects.Room) (newest, uint64, error) {
	patterns := make([]string, 0, len(rooms))
	for _, r := range rooms {
		patterns = append(patterns, r.Pattern())
	}
	n, upTo, err := f.multiLast(ctx, gen, patterns)
	if errors.Is(err, errTooMany) && len(rooms) == 1 {
		return f.scan(ctx, gen, patterns[0])
	}
	return n, upTo, err
}

// multiLast reads the last message of each subject that matches a pattern.
// fabric.epoch is asked for as well: it tells whether the answer is of our
// history, and there is always an answer with the sequence it is as of.
// Returns errTooMany beyond 1 024 subjects.
func (f *Feed) multiLast(ctx context.Context, gen uint64, patterns []string) (newest, uint64, error) {
	req := directRequest{MultiLast: append(slices.Clip(patterns), subjects.EpochSubject)}
	doing := fmt.Sprintf("read the last values of %d patterns", len(patterns))
	var n newest
	var upTo uint64
	err := f.again(ctx, gen, doing, func(v hub.View) error {
		r, err := f.direct.ask(ctx, req)
		if err != nil {
			return err
		}
		if r.pending > 0 || r.upTo == 0 {
			return fmt.Errorf("%w: %d messages were not sent", errTorn, r.pending)
		}
		n, upTo = make(newest, 0, len(r.msgs)), r.upTo
		ours := false
		for _, s := range r.msgs {
			if s.subject == subjects.EpochSubject {
				ours = names(s, v.Epoch)
				continue
			}
			n = append(n, last{s.subject, f.decode.message(v.Epoch, s)})
		}
		if !ours {
			return errEpoch
		}
		return nil
	}, errTooMany)
	return n, upTo, err
}

// names reports whether a fabric.epoch message is that of the epoch.
func names(s stored, epoch string) bool {
	var e subjects.Epoch
	return json.Unmarshal(s.data, &e) == nil && e.Epoch == epoch
}

// readMissed reads several rooms at a time, then those that were too large for
// their share of the budget, one by one.
func readMissed(ctx context.Context, rooms []*missed) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(pipelined)
	for _, m := range rooms {
		g.Go(func() error { return m.read(gctx, m.budget.share()) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, m := range rooms {
		if !m.cut {
			continue
		}
		if err := m.read(ctx, m.budget.rest()); err != nil {
			return err
		}
		m.found.Over = m.found.Over || m.cut
	}
	return nil
}

// pause between two tries to get a whole answer. Replicas lag by milliseconds.
func pause(try int) time.Duration {
	return time.Duration(try) * (5*time.Millisecond + rand.N(10*time.Millisecond))
}
