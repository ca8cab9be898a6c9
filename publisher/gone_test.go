package publisher_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
)

// record reads the newest payload on a subject; "" if there is none.
func (s *shop) record(subject string) string {
	s.t.Helper()
	m, err := stream.NewLeader(s.nc, s.cfg.Stream).Last(s.t.Context(), subject)
	if errors.Is(err, stream.ErrNotFound) {
		return ""
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return string(m.Data)
}

// indexed reads the newest index record of a user for a booking.
func (s *shop) indexed(user, booking string) (rec subjects.Index) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.record(subjects.IndexSubject(user, subjects.Room("booking."+booking)))), &rec); err != nil {
		s.t.Fatal(err)
	}
	return rec
}

const granted, denied = `{"participants":{"u_1":"customer","u_2":"vendor"}}`, `{"participants":{}}`

// TestGoneWhileLost: what was deleted, completed or handed to somebody else
// while the source was lost is revoked under the new epoch.
func TestGoneWhileLost(t *testing.T) {
	s := newShop(t)
	s.cfg.OnLost = publisher.OnLostEpoch
	src, other := newScript("petpro"), newScript("clinic")
	sources := []publisher.Source{src, other}
	r := s.start(sources)
	<-r.Initial()
	for i := range 1500 { // more than one batch
		src.set(fmt.Sprintf("gone_%d", i), "pending")
	}
	src.set("kept", "pending")
	src.set("closed", "pending")
	src.set("moved", "pending")
	other.set("elsewhere", "pending")
	s.published(src)
	s.published(other)
	r.stop()

	for i := range 1500 {
		src.remove(fmt.Sprintf("gone_%d", i))
	}
	src.set("closed", "completed")
	src.reassign("moved", "u_3")
	src.prune(src.end())
	reg := prometheus.NewRegistry()
	s.reg = reg
	r = s.start(sources)
	eventually(t, "a second epoch, closed", func() bool {
		end, err := stream.NewLeader(s.nc, s.cfg.Stream).Standing(t.Context(), nil)
		return err == nil && strings.Contains(end.Position, "petpro=1504/1/0")
	})
	src.set("kept", "confirmed")
	s.published(src)
	msgs := s.read()
	epoch := slices.IndexFunc(msgs[1:], func(m *msg) bool { return m.Subject == subjects.EpochSubject }) + 1
	closing := epoch + slices.IndexFunc(msgs[epoch:], func(m *msg) bool { return m.Subject == subjects.PositionSubject })
	if epoch == 0 || closing < epoch {
		t.Fatalf("epochs %q, the last one is not closed\n%s", epochs(t, msgs), s.logs)
	}
	last := map[string]string{}
	for _, m := range msgs[:closing] {
		last[m.Subject] = string(m.Data)
	}
	for i := range 1500 {
		if got := last[fmt.Sprintf("booking.gone_%d.access", i)]; got != denied {
			t.Fatalf("access to gone_%d when the epoch is closed = %s, want %s", i, got, denied)
		}
		for _, user := range []string{"u_1", "u_2"} {
			var rec subjects.Index
			if err := json.Unmarshal([]byte(last[fmt.Sprintf("user.%s.booking.gone_%d", user, i)]), &rec); err != nil || !rec.Revoked || rec.Open || rec.Updated == "" {
				t.Fatalf("index of gone_%d for %s = %+v, %v, want it revoked", i, user, rec, err)
			}
		}
	}
	for _, b := range []string{"kept", "closed", "elsewhere"} {
		if got := s.record("booking." + b + ".access"); got != granted {
			t.Errorf("access to %s = %s, want %s", b, got, granted)
		}
	}
	for _, tt := range []struct {
		user, booking string
		want          subjects.Index
	}{
		{"u_1", "kept", subjects.Index{Role: "customer", Open: true}},
		{"u_1", "elsewhere", subjects.Index{Role: "customer", Open: true}},
		{"u_1", "closed", subjects.Index{Role: "customer"}},
		{"u_1", "moved", subjects.Index{Revoked: true}},
		{"u_2", "moved", subjects.Index{Role: "vendor", Open: true}},
		{"u_3", "moved", subjects.Index{Role: "customer", Open: true}},
	} {
		got := s.indexed(tt.user, tt.booking)
		got.Updated = ""
		if got != tt.want {
			t.Errorf("index of %s for %s = %+v, want %+v", tt.booking, tt.user, got, tt.want)
		}
	}
	got := gather(t, reg)
	if got["fabric_publisher_renewed_rooms_total"] != 3 || got["fabric_publisher_revoked_rooms_total"] != 1500 || got["fabric_publisher_unknown_seconds_total"] <= 0 {
		t.Errorf("metrics: %v rooms renewed, %v revoked, %v s unknown, want 3, 1500 and more than 0",
			got["fabric_publisher_renewed_rooms_total"], got["fabric_publisher_revoked_rooms_total"], got["fabric_publisher_unknown_seconds_total"])
	}
	for _, want := range []string{"source published anew", "from=1503/0 to=1504/1", "rooms=3 rooms_gone=1500", "between="} {
		if !strings.Contains(s.logs.String(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	if err := r.Health(); err != nil {
		t.Errorf("Health = %v", err)
	}
}

// TestGoneDuringInterruptedPublication: a row published by an initial
// publication that was not completed, and gone at the next.
func TestGoneDuringInterruptedPublication(t *testing.T) {
	s := newShop(t)
	src := newScript("petpro")
	src.set("b_1", "pending")
	src.set("b_2", "pending")
	rows, second, hold := 0, make(chan struct{}), make(chan struct{})
	src.gate = func() {
		if rows++; rows == 2 {
			close(second)
			<-hold
		}
	}
	r := s.start([]publisher.Source{src})
	<-second
	var first string
	eventually(t, "the first row in the stream", func() bool {
		for _, b := range []string{"b_1", "b_2"} {
			if s.record("booking."+b+".access") != "" {
				first = b
			}
		}
		return first != ""
	})
	r.cancel()
	close(hold)
	r.stop()
	src.gate = nil
	src.remove(first)
	r = s.start([]publisher.Source{src}, func(p *publisher.Publisher) { p.SetInitialQuiet(20 * time.Millisecond) })
	<-r.Initial()
	if got := s.record("booking." + first + ".access"); got != denied {
		t.Errorf("access to %s = %s, want %s", first, got, denied)
	}
}

// late is a script whose first Run returns ErrLost when it is told to.
type late struct {
	*script
	tell chan struct{}
	told atomic.Bool
}

func (l *late) Run(ctx context.Context, from string, emit func(publisher.Entry) error) error {
	if l.told.CompareAndSwap(false, true) {
		<-l.tell
		return publisher.ErrLost
	}
	return l.script.Run(ctx, from, emit)
}

// TestBothFindItLost: one of two publishers begins the new epoch, and the other
// does not begin another, then or later.
func TestBothFindItLost(t *testing.T) {
	s := newShop(t)
	s.cfg.OnLost = publisher.OnLostEpoch
	src := newScript("petpro")
	r := s.start([]publisher.Source{src})
	<-r.Initial()
	src.set("b_1", "pending")
	s.published(src)
	r.stop()
	second := &late{script: src, tell: make(chan struct{})}
	other := s.start([]publisher.Source{second})
	<-other.Initial()
	src.set("b_1", "confirmed")
	src.prune(2)
	s.cfg.State = t.TempDir()
	first := s.start([]publisher.Source{src})
	renewed := func() bool {
		end, err := stream.NewLeader(s.nc, s.cfg.Stream).Standing(t.Context(), nil)
		return err == nil && strings.Contains(end.Position, "petpro=2/1/0")
	}
	eventually(t, "the present state", renewed)
	first.stop()
	close(second.tell)
	for range 5 {
		src.advance("b_1")
		s.published(src)
		src.fail(errors.New("test: away")) // so that the position is read back
	}
	if reasons := epochs(t, s.read()); len(reasons) != 2 {
		t.Errorf("epochs %q, want two\n%s", reasons, s.logs)
	}
}

// TestLostAgainAndAgain: each new epoch waits longer.
func TestLostAgainAndAgain(t *testing.T) {
	s := newShop(t)
	s.cfg.OnLost = publisher.OnLostEpoch
	src := newScript("petpro")
	src.set("b_1", "pending")
	src.always = true
	src.fail(fmt.Errorf("test: the slot is gone: %w", publisher.ErrLost))
	r := s.start([]publisher.Source{src}, func(p *publisher.Publisher) { p.SetLossPause(100*time.Millisecond, time.Minute) })
	eventually(t, "Health tells", func() bool { return errors.Is(r.Health(), publisher.ErrLost) })
	begin := time.Now()
	eventually(t, "five epochs", func() bool { return len(epochs(t, s.read())) == 5 })
	if took := time.Since(begin); took < 700*time.Millisecond {
		t.Errorf("five epochs within %s, want pauses of 100, 200 and 400 ms between them", took)
	}
	src.mu.Lock()
	src.always, src.runErr = false, nil
	src.mu.Unlock()
	src.set("b_1", "confirmed") // as a change, or in the last epoch's present state
	eventually(t, "the change, and Health recovers", func() bool {
		statuses, _ := events(t, s.read())
		return slices.Contains(statuses, "b_1 2") && r.Health() == nil
	})
}

// TestTruncated: what the source has in front of what it lost is not lost with
// it, and nobody keeps access to what is gone.
func TestTruncated(t *testing.T) {
	s := newShop(t)
	s.cfg.OnLost = publisher.OnLostEpoch
	src := newScript("petpro")
	r := s.start([]publisher.Source{src})
	<-r.Initial()
	for range 5000 { // more than waits
		src.advance("b_1")
	}
	want := src.want()
	src.truncate()
	eventually(t, "a second epoch, closed", func() bool {
		msgs := s.read()
		return len(epochs(t, msgs)) == 2 && msgs[len(msgs)-1].Subject == subjects.PositionSubject
	})
	statuses, _ := events(t, s.read())
	if diff := firstDiff(statuses, want); diff != "" {
		t.Error(diff)
	}
	if got := s.record("booking.b_1.access"); got != denied {
		t.Errorf("access to b_1 = %s, want %s", got, denied)
	}
	if got := strings.Count(s.logs.String(), "level=ERROR"); got != 1 {
		t.Errorf("the loss is told %d times, want once\n%s", got, s.logs)
	}
	src.set("b_2", "pending")
	s.published(src)
	if err := r.Health(); err != nil {
		t.Errorf("Health = %v", err)
	}
}
