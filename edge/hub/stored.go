package hub

import (
	"slices"

	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/subjects"
)

// HistoryMax is the largest page of the history verb, historyBytes what a page
// may take on the wire unless it is a single event.
const (
	HistoryMax   = 128
	historyBytes = 32 << 10
)

// page is one history command on its way: the room's record if it is not
// known, then the events, then the judgement at the watermark.
type page struct {
	s      *Session
	id     int64
	room   subjects.Room
	before uint64
	limit  int
	gen    uint64 // answers of another history are void
}

// stored answers the history verb.
func (s *Session) stored(id int64, room subjects.Room, before uint64, limit int) {
	if limit <= 0 || limit > HistoryMax {
		limit = HistoryMax
	}
	p := &page{s: s, id: id, room: room, before: before, limit: limit, gen: s.shard.gen}
	switch sh := s.shard; {
	case !s.ready(id):
	case !sh.started || sh.view.Away:
		p.unavailable()
	case sh.judge(s.who, sh.peek(room)) == unknown:
		sh.hub.fetch.get(sh, []Ask{{Room: room, Fresh: true}}, p.judged)
	case p.allowed():
		p.read()
	}
}

// peek returns the room, or a stand-in with what is remembered of it.
func (sh *shard) peek(name subjects.Room) *room {
	if r := sh.rooms[name]; r != nil {
		return r
	}
	return &room{name: name, grant: sh.grants.get(name)}
}

// judged takes the room's record.
func (p *page) judged(results []fetchResult) {
	sh := p.s.shard
	r := results[0]
	if r.err != nil || p.gen != sh.gen {
		p.unavailable()
		return
	}
	target := sh.peek(p.room)
	sh.learn(target, r.found.Grant, r.upTo)
	if sh.rooms[p.room] == nil {
		sh.grants.put(p.room, target.grant)
	}
	if p.allowed() {
		p.read()
	}
}

// allowed judges at the watermark and answers a refusal.
func (p *page) allowed() bool {
	sh := p.s.shard
	switch sh.judge(p.s.who, sh.peek(p.room)) {
	case granted:
		return true
	case unknown:
		p.unavailable()
	case missing:
		if !sh.view.Settled {
			p.unavailable()
			return false
		}
		fallthrough
	default:
		p.s.fail(p.id, protocol.CodeNotEntitled, "not entitled to "+string(p.room))
	}
	return false
}

func (p *page) read() {
	sh := p.s.shard
	sh.hub.fetch.stored(sh.gen, p.room, p.before, p.limit, func(msgs []*Message, more bool, err error) {
		sh.in.post(func() {
			switch {
			case err != nil || p.gen != sh.gen:
				p.unavailable()
			case p.allowed(): // still, at the position of the answer
				p.answer(msgs, more)
			}
		})
	})
}

// answer sends the newest of the page that fit. What is behind the watermark is
// left to live delivery.
func (p *page) answer(msgs []*Message, more bool) {
	reply := &protocol.HistoryReply{ID: p.id, Room: string(p.room), More: more}
	bytes := 0
	for _, m := range slices.Backward(msgs) {
		if m.Seq > p.s.shard.w {
			continue
		}
		bytes += len(p.room) + len(m.Name.Type) + len(m.Data) + protocol.EventOverhead
		if len(reply.Events) > 0 && bytes > historyBytes {
			reply.More = true
			break
		}
		reply.Events = append(reply.Events, protocol.Event{
			Room: string(p.room), Type: m.Name.Type, Seq: m.Seq, Time: m.Time, Data: m.Data, Cursor: m.Cursor(),
		})
	}
	slices.Reverse(reply.Events)
	p.s.send(reply)
}

func (p *page) unavailable() {
	p.s.fail(p.id, protocol.CodeUnavailable, "the broker is away, try again later")
}
