package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/subjects/stream"
)

// lock is what one publisher at a time may have.
type lock struct {
	mu     sync.Mutex
	holder *hold
	freed  chan struct{} // closed when the holder lets go
	takes  int
}

// locked is a script that only the holder of a lock may read. Each publisher has
// its own.
type locked struct {
	*script
	who  string
	lock *lock
	away error // of Acquire
}

type hold struct {
	who  string
	lock *lock
	lost chan struct{}
}

func (h *hold) Lost() <-chan struct{} { return h.lost }

func (h *hold) Release() { h.lock.free(h) }

func (l *lock) free(h *hold) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holder == h {
		l.holder = nil
		close(l.freed)
	}
}

// owner of the lock; "" if there is none.
func (l *lock) owner() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holder == nil {
		return ""
	}
	return l.holder.who
}

// sever takes the lock from its holder, who is told or not.
func (l *lock) sever(tell bool) {
	l.mu.Lock()
	h := l.holder
	l.mu.Unlock()
	if tell {
		close(h.lost)
	}
	l.free(h)
}

func (s *locked) Acquire(ctx context.Context, waiting func(string)) (publisher.Hold, error) {
	for told := ""; ; {
		if s.away != nil {
			return nil, s.away
		}
		s.lock.mu.Lock()
		holder, freed := s.lock.holder, s.lock.freed
		h := &hold{who: s.who, lock: s.lock, lost: make(chan struct{})}
		if holder == nil {
			s.lock.holder, s.lock.freed = h, make(chan struct{})
			s.lock.takes++
		}
		s.lock.mu.Unlock()
		if holder == nil {
			return h, nil
		}
		if holder.who != told {
			told = holder.who
			waiting(told)
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

var _ publisher.Exclusive = (*locked)(nil)

// pair starts two publishers of one exclusive source, the first of which is
// active.
func pair(t *testing.T, s *shop, src *script, adjust ...func(*publisher.Publisher)) (l *lock, active, standby *running) {
	t.Helper()
	l = &lock{}
	adjust = append(adjust, func(p *publisher.Publisher) { p.SetHealth(time.Hour, 5*time.Millisecond) })
	active = s.start([]publisher.Source{&locked{script: src, who: "one", lock: l}}, adjust...)
	<-active.Initial()
	s.cfg.State = t.TempDir() // each has its own, as on two hosts
	standby = s.start([]publisher.Source{&locked{script: src, who: "two", lock: l}}, adjust...)
	eventually(t, "the second stands by", func() bool { return standby.Status().Role == publisher.Standby })
	return l, active, standby
}

func TestStandbyIsHealthyWhileSomebodyPublishes(t *testing.T) {
	s := newShop(t)
	src := newScript("petpro")
	_, active, standby := pair(t, s, src)
	if got := active.Status(); got.Role != publisher.Active || got.Err != nil {
		t.Errorf("active: %+v", got)
	}
	eventually(t, "the standby is well", func() bool { return standby.Health() == nil })
	src.set("b_1", "pending")
	s.published(src)
	eventually(t, "the standby sees the position", func() bool {
		return strings.Contains(standby.Status().Position, "petpro=1/0/*")
	})
	if got := standby.Status(); got.Role != publisher.Standby || got.Standby != "standby: petpro is published by one" {
		t.Errorf("standby: %+v", got)
	}
	if n := strings.Count(s.logs.String(), "standing by"); n != 1 || !strings.Contains(s.logs.String(), "holder=one") {
		t.Errorf("told %d times of the standby, want once, with the holder:\n%s", n, s.logs)
	}
}

// TestStandbyWithoutPublisher: somebody has the source and does nothing.
func TestStandbyWithoutPublisher(t *testing.T) {
	s := newShop(t)
	src, l := newScript("petpro"), &lock{}
	first := s.start([]publisher.Source{&locked{script: src, who: "one", lock: l}})
	<-first.Initial()
	first.stop()
	if owner := l.owner(); owner != "" {
		t.Fatalf("after Run the source is held by %s", owner)
	}
	idle := &locked{script: src, who: "sleeper", lock: l}
	if _, err := idle.Acquire(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	r := s.start([]publisher.Source{&locked{script: src, who: "two", lock: l}}, func(p *publisher.Publisher) {
		p.SetTimes(30*time.Millisecond, time.Second)
		p.SetHealth(time.Hour, 5*time.Millisecond)
	})
	eventually(t, "the standby is worried", func() bool {
		err := r.Health()
		return err != nil && strings.Contains(err.Error(), "standby, and nobody publishes: the newest position is") && strings.Contains(err.Error(), "sleeper")
	})
	s.ns.Stop()
	eventually(t, "the standby tells that NATS is away", func() bool {
		err := r.Health()
		return err != nil && !strings.Contains(err.Error(), "nobody publishes")
	})
}

func TestHandOverOnStop(t *testing.T) {
	s := newShop(t)
	src := newScript("petpro")
	_, active, standby := pair(t, s, src)
	lifecycle(src, "b_1")
	s.published(src)
	checks := src.checks
	begin := time.Now()
	active.stop()
	<-standby.Initial()
	if took := time.Since(begin); took > time.Second {
		t.Errorf("the hand-over took %s", took)
	}
	lifecycle(src, "b_2")
	s.published(src)
	s.verifyOnce(src)
	if src.checks != checks {
		t.Error("the standby checked the source once more")
	}
	if reasons := epochs(t, s.read()); len(reasons) != 1 {
		t.Errorf("epochs %q, want only the first", reasons)
	}
	if !strings.Contains(s.logs.String(), "taking over") {
		t.Errorf("the take-over is not told:\n%s", s.logs)
	}
}

// TestNothingInFlightAtHandOver holds an acknowledgement back while the
// publisher is stopped: the source must not be free before it has come.
func TestNothingInFlightAtHandOver(t *testing.T) {
	s := newShop(t)
	src, l := newScript("petpro"), &lock{}
	acked, armed := make(chan struct{}), make(chan struct{}, 1)
	r := s.start([]publisher.Source{&locked{script: src, who: "one", lock: l}}, func(p *publisher.Publisher) {
		p.FailAcks(func() error {
			select {
			case armed <- struct{}{}:
				<-acked
			default:
			}
			return nil
		})
		armed <- struct{}{}
	})
	<-r.Initial()
	<-armed
	src.set("b_1", "pending")
	eventually(t, "a unit in flight", func() bool { return len(armed) == 1 })
	r.cancel()
	select {
	case <-r.done:
		t.Error("Run has ended before the acknowledgement")
	case <-time.After(50 * time.Millisecond): // nothing to wait for: it must not happen
	}
	if owner := l.owner(); owner != "one" {
		t.Errorf("the source is held by %q while a unit is in flight, want one", owner)
	}
	close(acked)
	r.stop()
	if owner := l.owner(); owner != "" {
		t.Errorf("the source is held by %q after Run", owner)
	}
}

// TestStopUnderLoad: when Run has ended, the publisher knows of everything that
// it has sent, so nothing of it can come behind what a standby reads back.
func TestStopUnderLoad(t *testing.T) {
	s := newShop(t)
	src := newScript("petpro")
	s.ns.Conn(t)
	leader := stream.NewLeader(s.nc, s.cfg.Stream)
	for i := range 25 {
		r := s.start([]publisher.Source{src}, func(p *publisher.Publisher) { p.SetSingles(1 + i%2*1000) })
		<-r.Initial()
		begin := src.end()
		stop := make(chan struct{})
		var load sync.WaitGroup
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Microsecond):
					src.advance("b_1")
				}
			}
		})
		eventually(t, "load", func() bool { return src.end() > begin+30 })
		r.stop()
		last, err := leader.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		close(stop)
		load.Wait()
		if known := r.Status().Sequence; known != last.Last {
			t.Fatalf("stop %d: the stream ends at %d, the publisher knows of %d", i, last.Last, known)
		}
	}
}

// TestHoldLost takes the source from publishers under load, again and again; one
// that is not told goes on as if it had it.
func TestHoldLost(t *testing.T) {
	for _, tt := range []struct {
		name string
		tell bool
	}{{"told", true}, {"zombie", false}} {
		t.Run(tt.name, func(t *testing.T) {
			s := newShop(t)
			src := newScript("petpro")
			l, one, two := pair(t, s, src)
			stop := make(chan struct{})
			var load sync.WaitGroup
			load.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					case <-time.After(time.Millisecond):
						src.advance(fmt.Sprintf("b_%d", i%7))
					}
				}
			})
			for range 5 {
				was := l.owner()
				l.sever(tt.tell)
				eventually(t, "one of the two is active, the other stands by", func() bool {
					a, b := one.Status().Role, two.Status().Role
					return l.owner() != "" && (a == publisher.Active && b == publisher.Standby || b == publisher.Active && a == publisher.Standby)
				})
				n := src.end()
				eventually(t, "more changes", func() bool { return src.end() > n+50 })
				t.Logf("%s lost it, %s has it", was, l.owner())
			}
			takes := l.takes
			n := src.end()
			eventually(t, "more changes", func() bool { return src.end() > n+200 })
			if l.takes != takes {
				t.Errorf("the source changed hands %d times without a reason", l.takes-takes)
			}
			close(stop)
			load.Wait()
			s.published(src)
			s.verifyOnce(src)
			if reasons := epochs(t, s.read()); len(reasons) != 1 {
				t.Errorf("epochs %q, want only the first", reasons)
			}
		})
	}
}

// TestStreamOutOfReach: who cannot reach NATS leaves the source to one who can.
func TestStreamOutOfReach(t *testing.T) {
	s := newShop(t)
	src, l := newScript("petpro"), &lock{}
	s.connect = func() *nats.Conn { return s.ns.Conn(t, nats.ReconnectWait(10*time.Millisecond)) }
	r := s.start([]publisher.Source{&locked{script: src, who: "one", lock: l}}, func(p *publisher.Publisher) {
		p.SetTimes(100*time.Millisecond, time.Second)
	})
	<-r.Initial()
	s.ns.Stop()
	eventually(t, "the source is free", func() bool { return l.owner() == "" })
	for range 50 {
		time.Sleep(2 * time.Millisecond) // nothing to wait for: it must not happen
		if owner := l.owner(); owner != "" {
			t.Fatalf("%s takes the source without NATS", owner)
		}
	}
	if err := r.Health(); err == nil {
		t.Error("Health is nil without NATS")
	}
	s.ns.Start(t)
	src.set("b_1", "pending")
	s.published(src)
	if owner := l.owner(); owner != "one" {
		t.Errorf("the source is held by %q, want one", owner)
	}
}

// TestTwoExclusiveSources: both are taken in the order of their names, and if
// one is lost the other is not kept from whoever has that.
func TestTwoExclusiveSources(t *testing.T) {
	s := newShop(t)
	petpro, clinic := newScript("petpro"), newScript("clinic")
	locks := []*lock{{}, {}}
	var both []*running
	for _, who := range []string{"one", "two"} {
		s.cfg.State = t.TempDir()
		r := s.start([]publisher.Source{
			&locked{script: petpro, who: who, lock: locks[0]},
			&locked{script: clinic, who: who, lock: locks[1]},
		}, func(p *publisher.Publisher) { p.SetHealth(time.Hour, 5*time.Millisecond) })
		both = append(both, r)
		if who == "one" {
			<-r.Initial()
		}
	}
	eventually(t, "the second stands by", func() bool { return both[1].Status().Role == publisher.Standby })
	locks[1].sever(true) // clinic comes first in the order of names
	eventually(t, "the second publishes", func() bool { return both[1].Status().Role == publisher.Active })
	for _, l := range locks {
		if owner := l.owner(); owner != "two" {
			t.Errorf("a source is held by %q, want two", owner)
		}
	}
	petpro.set("b_1", "pending")
	clinic.set("c_1", "pending")
	s.published(petpro)
	s.published(clinic)
}

func TestAcquireFails(t *testing.T) {
	s := newShop(t)
	src := &locked{script: newScript("petpro"), who: "one", lock: &lock{}, away: errors.New("test: no permission for the lock")}
	r := s.start([]publisher.Source{src})
	eventually(t, "Health tells", func() bool {
		err := r.Health()
		return err != nil && strings.Contains(err.Error(), "source petpro: acquire it: test: no permission")
	})
}
