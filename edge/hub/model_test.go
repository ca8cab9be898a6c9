package hub_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/petpro/fabric/edge/access"
	"github.com/petpro/fabric/edge/hub/hubtest"
	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/subjects"
)

var (
	modelSteps   = flag.Int("model.steps", 2500, "steps of each run of the model test")
	modelSeed    = flag.Uint64("model.seed", 0, "seed of the model test; 0 = another one each time")
	modelVerbose = flag.Bool("model.v", false, "log every step and frame of the model test")
)

// TestModel lets random clients come and go on several edges of a random
// stream, and holds every frame they get against what was published: nothing
// twice, nothing out of order, nothing missing without a gap that names it,
// nothing without entitlement, and in the end everybody up to date.
func TestModel(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	for i, shape := range []shape{
		{keep: 4, ring: 12},
		{keep: 4, ring: 60},
		{keep: 100, ring: 30},
		{keep: 6, ring: 400, calm: true},
	} {
		t.Run(fmt.Sprintf("keep=%d,ring=%d", shape.keep, shape.ring), func(t *testing.T) {
			t.Logf("repeat with -run 'TestModel/keep=%d,ring=%d$' -model.seed=%d -model.steps=%d", shape.keep, shape.ring, seed, *modelSteps)
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // the same order each time, nearly
			synctest.Test(t, func(t *testing.T) {
				m := newModel(t, shape, rand.New(rand.NewPCG(seed, uint64(i))))
				for m.step = range *modelSteps {
					m.act()
				}
				m.heal()
				m.report()
			})
		})
	}
}

// shape of a run.
type shape struct {
	keep, ring int
	// calm: history is always answered by an up-to-date replica and edges do
	// not lag, so that long stretches are live.
	calm bool
}

// Sizes of a run. Retention is as short as it is to be reached.
const (
	modelEdges     = 3
	modelPupils    = 6
	modelBookings  = 6
	modelRetention = 10 * time.Minute
)

type model struct {
	t      *testing.T
	shape  shape
	rnd    *rand.Rand
	stream *hubtest.Stream
	oracle *oracle
	shop   *shop
	edges  []*modelEdge
	pupils []*pupil
	step   int

	told, needless, joins, resumes, recovered int
}

func newModel(t *testing.T, s shape, rnd *rand.Rand) *model {
	m := &model{t: t, shape: s, rnd: rnd}
	policy := access.Policy{AdminRoles: []string{"admin"}}
	m.stream = hubtest.NewStream(s.keep, modelRetention)
	m.stream.Settle()
	m.oracle = newOracle(m.stream, policy)
	m.shop = newShop(m, s.keep)
	for range modelEdges {
		m.edges = append(m.edges, m.edge(policy))
	}
	for i := range modelPupils {
		m.pupils = append(m.pupils, &pupil{
			m: m, user: fmt.Sprintf("u%d", i%4), name: fmt.Sprintf("client %d (u%d)", i, i%4),
			rooms: map[subjects.Room]*seat{}, mine: i >= modelPupils-2,
		})
	}
	return m
}

// act is one step.
func (m *model) act() {
	switch n := m.rnd.IntN(100); {
	case n < 22:
		m.shop.publish(1)
	case n < 26:
		m.shop.publish(5 + m.rnd.IntN(20))
	case n < 30:
		m.shop.change()
	case n < 72:
		m.client(m.pupils[m.rnd.IntN(len(m.pupils))])
	case n < 90:
		m.disturb(m.edges[m.rnd.IntN(len(m.edges))])
	case n < 98:
		time.Sleep(time.Duration(m.rnd.IntN(1500)) * time.Millisecond)
	default:
		m.rare()
	}
	if m.rnd.IntN(3) > 0 {
		m.calmed()
	}
	for _, p := range m.pupils {
		p.read()
	}
}

// client has one client do something.
func (m *model) client(p *pupil) {
	room := booking(fmt.Sprint(m.rnd.IntN(modelBookings)))
	n := m.rnd.IntN(100)
	switch {
	case p.c == nil:
		if m.rnd.IntN(10) == 0 { // another device
			p.cursor, p.rooms = protocol.Cursor{}, map[subjects.Room]*seat{}
		}
		if p.rooms[room] == nil && m.rnd.IntN(2) == 0 {
			p.rooms[room] = newSeat(room)
		}
		p.connect(m.rnd.IntN(len(m.edges)), m.identity(p.user))
	case n < 18:
		p.hangUp()
	case n < 42:
		p.c.Stall(n < 27)
	case n < 55:
		p.c.Take(1 + m.rnd.IntN(20))
	case n < 60:
		p.c.Session.Ping()
	case !p.connected || p.busy(room):
	case n < 66:
		p.refresh(m.identity(p.user))
	case p.rooms[room] == nil:
		var from protocol.Cursor
		if n < 75 {
			from = p.cursor
		}
		p.join(room, from)
	case n < 80 && p.rooms[room].answered:
		p.leave(room)
	}
}

// identity is a token, now and then one that opens more rooms.
func (m *model) identity(user string) access.Identity {
	who := access.Identity{User: user, IssuedAt: time.Now(), Expires: time.Now().Add(1000 * time.Hour)}
	switch m.rnd.IntN(6) {
	case 0:
		who.Roles = []string{"admin"}
	case 1:
		who.Rooms = []string{"booking.0", "booking.1"}
	}
	return who
}

// rare is what happens once in a while.
func (m *model) rare() {
	switch n := m.rnd.IntN(100); {
	case n < 20:
		m.pass(time.Duration(m.rnd.Int64N(int64(modelRetention / 2))))
	case n < 70:
		if !m.shop.retire() && n < 30 {
			m.pass(modelRetention / 4)
		}
	case n < 80:
		m.shop.settle()
	case n < 86:
		m.shop.begin()
	case n < 92 && m.stream.Last() > 60:
		m.shop.lose(uint64(m.rnd.IntN(15)))
	}
}

// pass lets a long time go by, without an outage.
func (m *model) pass(d time.Duration) {
	for _, e := range m.edges {
		e.away = false
		e.SetAway(false)
		e.Lag(false)
	}
	m.shop.settle()
	time.Sleep(d)
}

// heal ends all faults; then everybody must come to the end of the stream.
func (m *model) heal() {
	m.shop.settle()
	for _, e := range m.edges {
		e.Answer(nil, nil)
		e.Delay(0)
		e.Over(0, 0)
		e.UpToBehind(0)
		e.SetAway(false)
		e.Lag(false)
	}
	for range 20 {
		for _, p := range m.pupils {
			if p.c != nil {
				p.c.Stall(false)
			}
		}
		time.Sleep(time.Second)
		m.calmed()
		for _, p := range m.pupils {
			p.read()
		}
	}
	for _, p := range m.pupils {
		m.upToDate(p)
	}
}

// upToDate checks a client that has had time to catch up.
func (m *model) upToDate(p *pupil) {
	if p.c == nil {
		return
	}
	if !p.connected || len(p.commands) > 0 || len(p.renewed) > 0 {
		p.fail("connected: %t, commands without an answer: %v %v", p.connected, p.commands, p.renewed)
	}
	h := m.oracle.now()
	for name := range h.rooms {
		if ok, sure := m.oracle.may(h, p.who, name, m.stream.Last()); p.mine && ok && sure && !p.left[name] && p.rooms[name] == nil && h.listed(p.user, name, m.stream.Last()) {
			p.fail("%s is open, and the session of %s is not in it", name, p.user)
		}
	}
	for _, s := range p.rooms {
		if !s.live {
			p.fail("%s is not live in the end", s.room)
		}
		for _, e := range h.between(s.room, protocol.AnyType, s.verified, m.stream.Last()) {
			if !s.handled[happened{e.seq, h.stamps[e.seq]}] && !excuses(s.excused, e) {
				p.fail("#%d of %s %s was never shown in the end, verified up to #%d", e.seq, s.room, e.typ, s.verified)
			}
		}
	}
}

// count takes note of what was told of a room.
func (m *model) count(fate protocol.RoomFate) {
	if !fate.Resumed {
		m.joins++
		return
	}
	m.resumes++
	if fate.Recovered {
		m.recovered++
	}
}

// gapTold counts the gaps, and those that were not needed: all of what they
// name is stored.
func (m *model) gapTold(s *seat, g *protocol.Gap) {
	m.told++
	if g.Reason != protocol.GapTrimmed {
		return
	}
	for _, e := range m.oracle.now().between(s.room, g.Type, g.After, g.Before-1) {
		if !m.stream.Holds(e.seq) {
			return
		}
	}
	m.needless++
}

func (m *model) report() {
	jumps, resets, history := uint64(0), uint64(0), uint64(0)
	for _, e := range m.edges {
		st := e.hub.Stats()
		jumps += st.Jumps.Load()
		resets += st.Resets.Load()
		history += st.FromHistory.Load()
	}
	m.t.Logf("%d messages, %d joins, %d resumes of which %d recovered, %d gaps told of which %d needlessly; %d rooms from history, %d jumps, %d resets",
		m.stream.Last(), m.joins, m.resumes, m.recovered, m.told, m.needless, history, jumps, resets)
}

func (m *model) fail(what string) {
	m.t.Helper()
	m.t.Fatalf("step %d: %s", m.step, what)
}
