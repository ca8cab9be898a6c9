package publisher_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
	"github.com/petpro/fabric/test/natstest"
)

func TestInitialPublication(t *testing.T) {
	s := newShop(t)
	src := newScript("petpro")
	lifecycle(src, "b_done")
	src.set("b_open", "pending")
	// However long it takes, no fabric.position comes before it is complete.
	src.gate = func() { time.Sleep(5 * time.Millisecond) }
	r := s.start([]publisher.Source{src}, func(p *publisher.Publisher) { p.SetTimes(time.Millisecond, time.Second) })
	<-r.Initial()
	r.stop()

	msgs := s.read()
	if msgs[0].Subject != subjects.EpochSubject {
		t.Errorf("first message is %s, want %s", msgs[0].Subject, subjects.EpochSubject)
	}
	msgs = msgs[:r.InitialSequence()]
	closing := msgs[len(msgs)-1]
	if closing.Subject != subjects.PositionSubject || closing.Sequence != r.InitialSequence() {
		t.Errorf("last message is %s at %d, want %s at InitialSequence %d", closing.Subject, closing.Sequence, subjects.PositionSubject, r.InitialSequence())
	}
	if pos := closing.Header.Get(subjects.PositionHeader); !strings.HasPrefix(pos, "petpro=5/1/0;") {
		t.Errorf("closing position = %q, want the snapshot's place 5/1", pos)
	}
	for _, m := range msgs[1 : len(msgs)-1] {
		if pos := m.Header.Get(subjects.PositionHeader); !strings.HasPrefix(pos, "petpro=init;") {
			t.Errorf("%s at %d carries %q, want petpro=init", m.Subject, m.Sequence, pos)
		}
	}
	if got, _ := events(t, msgs); len(got) != 2 {
		t.Errorf("statuses of the snapshot = %q, want one of each booking", got)
	}

	r = s.start([]publisher.Source{src})
	// What comes after the snapshot is published once more than what is in it.
	src.set("b_open", "confirmed")
	s.published(src)
	if got, _ := events(t, s.read()); !slices.Equal(got[2:], []string{"b_open 2"}) {
		t.Errorf("statuses after the snapshot = %q, want b_open 2", got[2:])
	}

	// A restart is no initial publication.
	r.stop()
	again := s.start([]publisher.Source{src})
	<-again.Initial()
	if got := again.InitialSequence(); got == 0 || epochs(t, s.read())[0] != stream.ReasonNew || len(epochs(t, s.read())) != 1 {
		t.Errorf("restart: InitialSequence %d, epochs %q, want a sequence and one epoch", got, epochs(t, s.read()))
	}
}

func TestInterruptedInitialPublicationBeginsAgain(t *testing.T) {
	s := newShop(t)
	src := newScript("petpro")
	for _, b := range []string{"b_1", "b_2", "b_3"} {
		src.set(b, "pending")
	}
	// The first publisher stops in the middle of its snapshot.
	rows := 0
	second, hold := make(chan struct{}), make(chan struct{})
	src.gate = func() {
		if rows++; rows == 2 {
			close(second)
			<-hold
		}
	}
	r := s.start([]publisher.Source{src})
	<-second
	eventually(t, "the first row in the stream", func() bool { return len(s.read()) > 1 })
	r.cancel()
	close(hold)
	r.stop()
	select {
	case <-r.Initial():
		t.Error("Initial is closed although the snapshot was interrupted")
	default:
	}

	src.gate = nil
	r = s.start([]publisher.Source{src}, func(p *publisher.Publisher) { p.SetInitialQuiet(50 * time.Millisecond) })
	<-r.Initial()
	msgs := s.read()
	if got, want := epochs(t, msgs), []string{stream.ReasonNew, "initial publication interrupted"}; !slices.Equal(got, want) {
		t.Fatalf("epochs = %q, want %q", got, want)
	}
	last := slices.IndexFunc(msgs[1:], func(m *msg) bool { return m.Subject == subjects.EpochSubject }) + 1
	if got, _ := events(t, msgs[last:]); len(got) != 3 {
		t.Errorf("statuses in the second epoch = %q, want all three bookings", got)
	}
	src.set("b_1", "confirmed")
	s.published(src)
}

// TestTwoPublishersInitially starts two at once on an empty stream, with a
// snapshot that takes longer than any retry: one must let the other finish.
func TestTwoPublishersInitially(t *testing.T) {
	s := newShop(t)
	src := newScript("petpro")
	for i := range 300 {
		src.set(fmt.Sprintf("b_%d", i), "pending")
	}
	src.gate = func() { time.Sleep(2 * time.Millisecond) }
	var both []*running
	for range 2 {
		s.cfg.State = t.TempDir()
		both = append(both, s.start([]publisher.Source{src}, func(p *publisher.Publisher) { p.SetInitialQuiet(300 * time.Millisecond) }))
	}
	for _, r := range both {
		select {
		case <-r.Initial():
		case <-time.After(patience):
			t.Fatalf("the initial publication is not complete within %s\n%s", patience, s.logs)
		}
	}
	src.set("b_1", "confirmed")
	s.published(src)
	if reasons := epochs(t, s.read()); len(reasons) > 2 {
		t.Errorf("epochs %q: the two interrupt each other\n%s", reasons, s.logs)
	}
}

func TestSourceAddedLater(t *testing.T) {
	s := newShop(t)
	shop, clinic := newScript("petpro"), newScript("clinic")
	shop.set("b_1", "pending")
	clinic.set("c_1", "pending")
	r := s.start([]publisher.Source{shop})
	<-r.Initial()
	shop.set("b_1", "confirmed")
	s.published(shop)
	r.stop()
	before := len(s.read())

	r = s.start([]publisher.Source{shop, clinic})
	<-r.Initial()
	added := s.read()[before:]
	if got := epochs(t, added); len(got) != 0 {
		t.Errorf("the new source began epochs %q: it adds to the present one", got)
	}
	for _, m := range added[:len(added)-1] {
		if pos := m.Header.Get(subjects.PositionHeader); !strings.HasPrefix(pos, "clinic=init;petpro=2/0/*;") {
			t.Errorf("%s carries %q, want clinic=init beside the old source's position", m.Subject, pos)
		}
	}
	if got, _ := events(t, added); !slices.Equal(got, []string{"c_1 1"}) {
		t.Errorf("statuses of the new source = %q, want c_1 1", got)
	}
	for range 30 {
		shop.advance("b_1")
		clinic.advance("c_1")
	}
	s.published(shop)
	s.published(clinic)
	got, _ := events(t, s.read())
	for _, src := range []*script{shop, clinic} {
		mine := slices.DeleteFunc(slices.Clone(got), func(e string) bool { return e[0] != src.want()[0][0] })
		if src == shop {
			mine = slices.Compact(mine) // its snapshot holds version 1, too
		}
		if diff := firstDiff(mine, src.want()); diff != "" {
			t.Errorf("%s: %s", src.name, diff)
		}
	}
}

// TestStreamRolledBack restores an older copy of the store, as a power cut
// without sync_always or a backup does.
func TestStreamRolledBack(t *testing.T) {
	for _, tt := range []struct {
		name    string
		restart bool // of the publisher too, so that only its state file knows
		regrow  bool // the stream has grown past the lost sequence by other hands
	}{
		{name: "noticed by the running publisher"},
		{name: "noticed at its start", restart: true},
		{name: "noticed by another message at the sequence", restart: true, regrow: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newShop(t)
			src := newScript("petpro")
			r := s.start([]publisher.Source{src})
			<-r.Initial()
			lifecycle(src, "b_1")
			s.published(src)
			s.ns.Stop()
			if tt.restart {
				r.stop()
			}
			backup := t.TempDir()
			copyDir(t, s.ns.Dir(), backup)
			s.ns.Start(t)
			if tt.restart {
				r = s.start([]publisher.Source{src})
			}
			lifecycle(src, "b_2")
			s.published(src)
			eventually(t, "confirmation", func() bool { return slices.Contains(src.confirmations(), "8/0") })
			if tt.restart {
				r.stop()
			}
			s.ns.Stop()
			copyDir(t, backup, s.ns.Dir())
			s.ns.Start(t)
			if tt.regrow {
				state := s.cfg.State
				s.cfg.State = t.TempDir() // a publisher that knows nothing
				other := s.start([]publisher.Source{src})
				lifecycle(src, "b_3")
				s.published(src)
				other.stop()
				s.cfg.State = state
			}
			if tt.restart {
				s.start([]publisher.Source{src})
			}
			src.set("b_1", "after")
			s.published(src)
			msgs := s.read()
			if got, want := epochs(t, msgs), []string{stream.ReasonNew, "stream lost data"}; !slices.Equal(got, want) {
				t.Errorf("epochs = %q, want %q\n%s", got, want, s.logs)
			}
			// The source still had everything: after the replay nothing is missing.
			s.verifyOnce(src)
			if !strings.Contains(s.logs.String(), "level=ERROR") {
				t.Error("the loss was not reported loudly")
			}
			eventually(t, "a fabric.position that closes the epoch", func() bool {
				msgs := s.read()
				epoch := slices.IndexFunc(msgs[1:], func(m *msg) bool { return m.Subject == subjects.EpochSubject })
				return slices.ContainsFunc(msgs[epoch+2:], func(m *msg) bool {
					return m.Subject == subjects.PositionSubject && !strings.HasPrefix(m.Header.Get(subjects.PositionHeader), "petpro=4/")
				})
			})
		})
	}
}

func TestStreamDeleted(t *testing.T) {
	s := newShop(t)
	src := newScript("petpro")
	r := s.start([]publisher.Source{src})
	<-r.Initial()
	lifecycle(src, "b_1")
	s.published(src)
	if err := s.ns.JS(t).DeleteStream(t.Context(), s.cfg.Stream); err != nil {
		t.Fatal(err)
	}
	src.set("b_1", "after")
	eventually(t, "the present state in a new stream", func() bool {
		info, err := stream.NewLeader(s.nc, s.cfg.Stream).State(t.Context())
		if err != nil || info.Last < 4 {
			return false
		}
		got, _ := events(t, s.read())
		return slices.Contains(got, "b_1 5")
	})
}

func TestSourceLost(t *testing.T) {
	lost := func(t *testing.T, onLost string) (*shop, *script, *running) {
		t.Helper()
		s := newShop(t)
		s.cfg.OnLost = onLost
		src := newScript("petpro")
		r := s.start([]publisher.Source{src})
		<-r.Initial()
		src.set("b_1", "pending")
		s.published(src)
		r.stop()
		src.set("b_1", "confirmed")
		src.set("b_2", "pending")
		src.prune(2) // the log now begins behind the position
		src.set("b_2", "confirmed")
		return s, src, s.start([]publisher.Source{src})
	}
	t.Run("halt", func(t *testing.T) {
		s, _, r := lost(t, publisher.OnLostHalt)
		before := len(s.read())
		err := r.ended()
		if !errors.Is(err, publisher.ErrLost) || !strings.Contains(err.Error(), "petpro no longer has what follows 1/0") || !strings.Contains(err.Error(), "publisher.on_lost") {
			t.Errorf("Run = %v, want ErrLost, the place and what to do", err)
		}
		if err := r.Health(); !errors.Is(err, publisher.ErrLost) {
			t.Errorf("Health = %v, want ErrLost", err)
		}
		if after := len(s.read()); after != before {
			t.Errorf("%d messages were published", after-before)
		}
	})
	t.Run("epoch", func(t *testing.T) {
		s, src, r := lost(t, publisher.OnLostEpoch)
		src.set("b_1", "completed")
		eventually(t, "a second epoch, closed", func() bool {
			msgs := s.read()
			return len(epochs(t, msgs)) == 2 && msgs[len(msgs)-1].Subject == subjects.PositionSubject
		})
		msgs := s.read()
		if got, want := epochs(t, msgs), []string{stream.ReasonNew, "source lost data"}; !slices.Equal(got, want) {
			t.Errorf("epochs = %q, want %q", got, want)
		}
		src.set("b_1", "pending")
		s.published(src)
		got, _ := events(t, s.read())
		if got[len(got)-1] != "b_1 4" || !slices.Contains(got, "b_2 2") {
			t.Errorf("statuses = %q, want the present state and then b_1 4", got)
		}
		if err := r.Health(); err != nil {
			t.Errorf("Health = %v", err)
		}
	})
}

// copyDir replaces the contents of to by those of from.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func TestStandbyTakesOver(t *testing.T) {
	s := newShop(t, natstest.SyncAlways())
	src := newScript("petpro")
	active := s.start([]publisher.Source{src})
	<-active.Initial()
	s.cfg.State = t.TempDir()
	standby := s.start([]publisher.Source{src})
	<-standby.Initial()
	src.set("b_1", "pending")
	s.published(src)
	active.stop()
	begin := time.Now()
	src.set("b_1", "confirmed")
	s.published(src)
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("take-over took %s", took)
	}
	s.verifyOnce(src)
}
