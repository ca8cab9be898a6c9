package publisher_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/petpro/fabric/publisher"
)

func TestSilentSource(t *testing.T) {
	s := newShop(t)
	s.reg = prometheus.NewRegistry()
	petpro, clinic := newScript("petpro"), newScript("clinic")
	r := s.start([]publisher.Source{petpro, clinic}, func(p *publisher.Publisher) { p.SetHealth(300*time.Millisecond, time.Second) })
	<-r.Initial()
	petpro.set("b_1", "pending")
	s.published(petpro)
	eventually(t, "Health is nil", func() bool { return r.Health() == nil })
	clinic.mu.Lock()
	clinic.hang = true
	clinic.mu.Unlock()
	eventually(t, "Health names the silent one", func() bool {
		err := r.Health()
		return err != nil && strings.HasPrefix(err.Error(), "source clinic has been silent for")
	})
	if got := r.Status().Silence; got["petpro"] > 200*time.Millisecond || got["clinic"] < 300*time.Millisecond {
		t.Errorf("Silence = %v", got)
	}
	if got := gather(t, s.reg)["fabric_publisher_source_silence_seconds"]; got < 0.3 {
		t.Errorf("fabric_publisher_source_silence_seconds = %v, want at least 0.3", got)
	}
	clinic.mu.Lock()
	clinic.hang = false
	clinic.mu.Unlock()
	eventually(t, "Health recovers", func() bool { return r.Health() == nil })
}

// TestStuckChange: a source that waits for the stream is not silent, but its
// change waits too long.
func TestStuckChange(t *testing.T) {
	s := newShop(t)
	src := newScript("petpro")
	hold := make(chan struct{})
	armed := make(chan bool, 1)
	r := s.start([]publisher.Source{src}, func(p *publisher.Publisher) {
		p.SetTimes(50*time.Millisecond, time.Second)
		p.SetHealth(100*time.Millisecond, time.Second)
		p.FailAcks(func() error {
			select {
			case <-armed:
				<-hold
			default:
			}
			return nil
		})
	})
	<-r.Initial()
	defer close(hold)
	armed <- true
	for range 3000 { // more than waits between source and sink
		src.advance("b_1")
	}
	eventually(t, "Health is worried", func() bool {
		err := r.Health()
		return err != nil && strings.Contains(err.Error(), "the stream has acknowledged nothing for")
	})
	if err := r.Health(); strings.Contains(err.Error(), "silent") {
		t.Errorf("Health = %v, but the source waits for the stream", err)
	}
	if got := r.Status(); got.Waiting < 100*time.Millisecond || got.Role != publisher.Active {
		t.Errorf("Status = %+v, want a change that waits", got)
	}
}

// TestStuckMapper: positions go on being published while a change is stuck
// before the stream.
func TestStuckMapper(t *testing.T) {
	s := newShop(t)
	src := newScript("petpro")
	m := &stuck{TableMapper: mapper(t), hold: make(chan struct{})}
	r := s.startWith(m, []publisher.Source{src}, func(p *publisher.Publisher) { p.SetTimes(50*time.Millisecond, time.Second) })
	<-r.Initial()
	src.set("b_1", "pending")
	eventually(t, "Health is worried", func() bool {
		err := r.Health()
		return err != nil && strings.Contains(err.Error(), "a change has been waiting for")
	})
	close(m.hold)
	s.published(src)
	eventually(t, "Health recovers", func() bool { return r.Health() == nil })
}

// stuck maps changes only after hold is closed.
type stuck struct {
	*publisher.TableMapper
	hold chan struct{}
}

func (m *stuck) Map(e publisher.Entry) ([]publisher.Message, error) {
	<-m.hold
	return m.TableMapper.Map(e)
}

// TestSkippedIsCounted ends a publisher in the middle of a row of two events.
func TestSkippedIsCounted(t *testing.T) {
	s := newShop(t)
	src := newScript("petpro")
	s.reg = prometheus.NewRegistry()
	n := 0
	r := s.start([]publisher.Source{src}, func(p *publisher.Publisher) {
		p.SetSingles(1000)
		p.FailAcks(func() error {
			if n++; n == 5 { // position, access, index, index, status
				return errors.New("test: acknowledgement lost")
			}
			return nil
		})
	})
	<-r.Initial()
	src.set("b_1", "pending")
	s.published(src)
	s.verifyOnce(src)
	if got := gather(t, s.reg)["fabric_publisher_skipped_events_total"]; got != 1 {
		t.Errorf("fabric_publisher_skipped_events_total = %v, want 1", got)
	}
	if err := r.Health(); err != nil {
		t.Errorf("Health = %v", err)
	}
}

// TestPastOnItsWay asks for the first time while what was mapped before waits
// behind a unit in flight.
func TestPastOnItsWay(t *testing.T) {
	s := newShop(t)
	src := newScript("petpro")
	src.recall = true
	arm, arrived, hold := make(chan bool, 1), make(chan bool), make(chan struct{})
	r := s.start([]publisher.Source{src}, func(p *publisher.Publisher) {
		p.SetSingles(1)
		p.FailAcks(func() error {
			select {
			case <-arm:
				arrived <- true
				<-hold
			default:
			}
			return nil
		})
	})
	<-r.Initial()
	arm <- true
	src.set("b_0", "pending")
	<-arrived
	for i := range 4 {
		src.set(fmt.Sprintf("b_%d", i+1), "confirmed") // new, so nothing is asked
	}
	for i := range 4 {
		src.rewrite(fmt.Sprintf("b_%d", i+1))
	}
	src.set("b_4", "completed")
	time.Sleep(20 * time.Millisecond) // so that the question is asked before
	close(hold)
	s.published(src)
	s.verifyOnce(src)
}

// TestPastIsRemembered: the stream is asked once for each subject, however many
// changes there are, and the memory is bounded.
func TestPastIsRemembered(t *testing.T) {
	s := newShop(t)
	src := newScript("petpro")
	src.recall = true
	for i := range 20 {
		src.set(fmt.Sprintf("b_%d", i), "pending")
	}
	s.reg = prometheus.NewRegistry()
	r := s.start([]publisher.Source{src})
	<-r.Initial()
	for range 30 {
		for i := range 20 {
			src.advance(fmt.Sprintf("b_%d", i))
			src.rewrite(fmt.Sprintf("b_%d", i))
		}
	}
	src.advance("b_0")
	s.published(src)
	got := map[string]float64{}
	families, err := s.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "result" {
					got[l.GetValue()] = m.GetCounter().GetValue()
				}
			}
		}
	}
	if got["miss"] == 0 || got["miss"] > 20*5 || got["hit"] < 20*30 {
		t.Errorf("lookups = %v, want a few misses for each booking and hits for the rest", got)
	}
	if statuses, _ := events(t, s.read()); len(statuses) != 20+20*30+1 {
		t.Errorf("%d status events, want %d", len(statuses), 20+20*30+1)
	}
}
