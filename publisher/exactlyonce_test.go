package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/test/natstest"
)

// lifecycle writes every status of one booking: rows of three and more
// messages, opening and closing records included. If old rows are recalled there
// are changes between that become no message.
func lifecycle(src *script, booking string) {
	for i := range statuses {
		if src.recall && i > 0 {
			src.rewrite(booking)
		}
		src.advance(booking)
	}
}

// TestOnceAtEveryBoundary ends the publisher at every message of two life
// cycles: by a kill after the message was stored, by the loss of its
// acknowledgement, and with the state directory lost too.
func TestOnceAtEveryBoundary(t *testing.T) {
	for _, tt := range []struct {
		name      string
		singles   int
		kill      bool
		keepState bool
		recall    bool
	}{
		{name: "killed between single messages", singles: 1000, kill: true, keepState: true},
		{name: "killed between single messages, state lost", singles: 1000, kill: true},
		{name: "acknowledgements of single messages lost", singles: 1000},
		{name: "acknowledgements of batches lost", singles: 2},
		{name: "killed between single messages, old rows recalled", singles: 1000, kill: true, keepState: true, recall: true},
		{name: "acknowledgements of batches lost, old rows recalled", singles: 2, recall: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			boundaries := 0
			for n := 1; ; n++ {
				if !publishWithFault(t, n, tt.singles, tt.kill, tt.keepState, tt.recall) {
					break
				}
				boundaries++
			}
			if boundaries == 0 {
				t.Error("no boundary was tried")
			}
		})
	}
}

// publishWithFault publishes two life cycles with a fault at the nth
// acknowledgement. It returns false if there were fewer.
func publishWithFault(t *testing.T, n, singles int, kill, keepState, recall bool) (hit bool) {
	t.Helper()
	s := newShop(t)
	defer s.ns.Stop()
	src := newScript("petpro")
	src.recall = recall
	var (
		armed  atomic.Bool
		count  atomic.Int64
		killed context.CancelFunc
	)
	r := s.start([]publisher.Source{src}, func(p *publisher.Publisher) {
		p.SetSingles(singles)
		p.FailAcks(func() error {
			if !armed.Load() || count.Add(1) != int64(n) {
				return nil
			}
			if kill {
				killed()
			}
			return errors.New("test: acknowledgement lost")
		})
	})
	defer r.stop()
	<-r.Initial()
	killed = r.cancel
	armed.Store(true)
	lifecycle(src, "b_1")
	lifecycle(src, "b_2")
	if kill {
		eventually(t, "a kill, or everything published", func() bool {
			select {
			case <-r.done:
				return true
			default:
				return s.stands(src)
			}
		})
		r.stop()
		if !keepState {
			s.cfg.State = t.TempDir()
		}
		defer s.start([]publisher.Source{src}, func(p *publisher.Publisher) { p.SetSingles(singles) }).stop()
	}
	s.published(src)
	s.verifyOnce(src)
	if reasons := epochs(t, s.read()); len(reasons) != 1 {
		t.Errorf("epochs %q, want only the first", reasons)
	}
	if t.Failed() {
		t.Fatalf("after a fault at message %d", n)
	}
	r.stop() // the last acknowledgement may still be on its way
	return count.Load() >= int64(n)
}

// TestTwoPublishersAtOnce runs two publishers of the same source against each
// other, and now and then somebody who must not write to the stream at all.
func TestTwoPublishersAtOnce(t *testing.T) {
	s := newShop(t)
	src := newScript("petpro")
	first := s.start([]publisher.Source{src})
	<-first.Initial()
	state := s.cfg.State
	s.cfg.State = t.TempDir() // each has its own, as on two hosts
	second := s.start([]publisher.Source{src})
	<-second.Initial()
	s.cfg.State = state
	for i := range 400 {
		src.advance(fmt.Sprintf("b_%d", i%7))
		switch i % 50 {
		case 10:
			if err := s.nc.Publish("booking.foreign.status", []byte(`{}`)); err != nil {
				t.Fatal(err)
			}
		case 20:
			s.published(src) // lets them idle, so that both wait for the same change
		}
	}
	s.published(src)
	first.stop()
	src.set("b_0", "after the first has gone")
	s.published(src)
	s.verifyOnce(src)
	if reasons := epochs(t, s.read()); len(reasons) != 1 {
		t.Errorf("epochs %q, want only the first", reasons)
	}
}

// TestForeignPositionHeader lets somebody write garbage where positions are
// expected.
func TestForeignPositionHeader(t *testing.T) {
	s := newShop(t)
	src := newScript("petpro")
	r := s.start([]publisher.Source{src})
	<-r.Initial()
	src.set("b_1", "pending")
	s.published(src)
	m := nats.NewMsg("booking.foreign.status")
	m.Header.Set(subjects.PositionHeader, "petpro=17/0/many;map=")
	if _, err := s.nc.RequestMsg(m, patience); err != nil {
		t.Fatal(err)
	}
	src.set("b_1", "confirmed")
	s.published(src)
	s.verifyOnce(src)
	// A fabric.position right behind it makes the next search short.
	msgs := s.read()
	foreign := slices.IndexFunc(msgs, func(m *msg) bool { return m.Subject == "booking.foreign.status" })
	if next := msgs[foreign+1]; next.Subject != subjects.PositionSubject {
		t.Errorf("behind the foreign message comes %s, want %s", next.Subject, subjects.PositionSubject)
	}
	if !strings.Contains(s.logs.String(), "somebody else has published") {
		t.Errorf("the foreign message is not reported:\n%s", s.logs)
	}
}

// TestServerRestartsUnderLoad restarts NATS while changes come in.
func TestServerRestartsUnderLoad(t *testing.T) {
	s := newShop(t)
	src := newScript("petpro")
	r := s.start([]publisher.Source{src})
	<-r.Initial()
	stop := make(chan struct{})
	var load sync.WaitGroup
	load.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(500 * time.Microsecond):
				src.advance(fmt.Sprintf("b_%d", i%11))
			}
		}
	})
	for range 4 {
		n := src.end()
		eventually(t, "more changes", func() bool { return src.end() > n+100 })
		s.ns.Restart(t)
	}
	close(stop)
	load.Wait()
	s.published(src)
	s.verifyOnce(src)
	if reasons := epochs(t, s.read()); len(reasons) != 1 {
		t.Errorf("epochs %q: a restart that lost nothing must not begin one", reasons)
	}
}

// TestRandomFaults mixes all of them: lost acknowledgements, kills, source
// errors, idle moments, entries without messages.
func TestRandomFaults(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	s := newShop(t)
	src := newScript("petpro")
	src.recall = rnd.IntN(2) == 0
	t.Logf("recall %t", src.recall)
	var odds atomic.Int64
	adjust := func(p *publisher.Publisher) {
		p.SetTimes(5*time.Millisecond, 5*time.Millisecond)
		p.FailAcks(func() error {
			if n := odds.Load(); n > 0 && rand.Int64N(n) == 0 {
				return errors.New("test: acknowledgement lost")
			}
			return nil
		})
	}
	r := s.start([]publisher.Source{src}, adjust)
	<-r.Initial()
	src.advance("b_0")
	for range 40 {
		odds.Store(1 + rnd.Int64N(20))
		for range rnd.IntN(40) {
			switch rnd.IntN(8) {
			case 0:
				src.touch()
			case 1:
				if src.end() > 0 {
					src.rewrite("b_0")
				}
			}
			src.advance(fmt.Sprintf("b_%d", rnd.IntN(9)))
		}
		switch rnd.IntN(4) {
		case 0:
			src.fail(errors.New("test: the database is away"))
		case 1:
			r.stop()
			r = s.start([]publisher.Source{src}, adjust)
		case 2:
			odds.Store(0)
			s.published(src)
		}
	}
	odds.Store(0)
	src.set("b_0", "last")
	s.published(src)
	s.verifyOnce(src)
}

// TestThreeReplicas moves the stream's leader and stops servers under load,
// with two publishers running.
func TestThreeReplicas(t *testing.T) {
	c := natstest.RunCluster(t, 3)
	s := newShopOn(t, c.Servers[0])
	s.connect = func() *nats.Conn { return c.Conn(t) }
	s.nc = c.Conn(t)
	s.cfg.Replicas = 3
	src := newScript("petpro")
	for range 2 {
		s.cfg.State = t.TempDir()
		<-s.start([]publisher.Source{src}).Initial()
	}
	stop := make(chan struct{})
	var load sync.WaitGroup
	load.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				src.advance(fmt.Sprintf("b_%d", i%11))
			}
		}
	})
	more := func(n int) {
		t.Helper()
		end := src.end() + n
		eventually(t, "more changes", func() bool { return src.end() >= end })
	}
	for i := range 6 {
		more(100)
		if i == 3 {
			c.Servers[2].Restart(t)
			c.Ready(t)
			continue
		}
		// A request gets lost while there is no leader.
		eventually(t, "the leader steps down", func() bool {
			_, err := s.nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+s.cfg.Stream, nil, time.Second)
			return err == nil
		})
	}
	close(stop)
	load.Wait()
	s.published(src)
	s.verifyOnce(src)
	if reasons := epochs(t, s.read()); len(reasons) != 1 {
		t.Errorf("epochs %q: a change of leader must not begin one\n%s", reasons, s.logs)
	}
}
