package hub_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/edge/hub/hubtest"
	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/subjects"
)

// sink is a client that takes everything and counts down what is awaited.
type sink struct {
	events, lives *sync.WaitGroup
}

func (s *sink) Event(*hub.Message, bool) {
	if s.events != nil {
		s.events.Done()
	}
}

func (s *sink) Send(o protocol.Out) {
	if _, ok := o.(*protocol.Live); ok && s.lives != nil {
		s.lives.Done()
	}
}

func (*sink) Flush()                    {}
func (*sink) Room() (frames, bytes int) { return 256, 64 << 10 }
func (*sink) NotifyDrained()            {}
func (*sink) Close(protocol.Close)      {}

// benchHub runs a hub with one shard on a stream with few rooms.
func benchHub(b *testing.B) (*hubtest.Stream, *hub.Hub) {
	s := hubtest.NewStream(128, 90*24*time.Hour)
	s.Settle()
	for room := range 3 {
		s.Access(fmt.Sprint(room), "ann")
	}
	e := s.Edge(100_000)
	cfg := hub.DefaultConfig()
	cfg.Shards, cfg.SessionsPerUser = 1, 1<<20
	h := hub.New(cfg, e, e, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = h.Run(ctx)
	}()
	b.Cleanup(func() {
		cancel()
		<-done
	})
	e.Start()
	return s, h
}

// One message to 10 000 members of one room.
func BenchmarkFanOut(b *testing.B) {
	const members = 10_000
	s, h := benchHub(b)
	var events, lives sync.WaitGroup
	lives.Add(members)
	for range members {
		h.Open(&sink{&events, &lives}).Connect(1, token("ann"), fresh("0"))
	}
	lives.Wait()
	before := cpu()
	for b.Loop() {
		events.Add(members)
		s.Status("0", "confirmed")
		events.Wait()
	}
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(b.N)/members, "cpu-ns/delivery")
}

// 5 000 sessions resume from the ring, with 10 events missed in 3 rooms.
func BenchmarkResumeFromRing(b *testing.B) {
	const sessions = 5_000
	s, h := benchHub(b)
	lives := &sync.WaitGroup{}
	lives.Add(1)
	h.Open(&sink{lives: lives}).Connect(1, token("ann"), fresh("0", "1", "2")) // keeps the records known
	lives.Wait()
	since := s.CursorAt(s.Last())
	for i := range 10 {
		s.Status(fmt.Sprint(i%3), "confirmed")
		for other := range 9 {
			s.Publish(string(subjects.Room(fmt.Sprint("booking.x", other)).Subject("status")), "noise")
		}
	}
	ask := resume(since, "0", "1", "2")
	before := cpu()
	for b.Loop() {
		lives.Add(sessions)
		opened := make([]*hub.Session, 0, sessions)
		for range sessions {
			session := h.Open(&sink{lives: lives})
			opened = append(opened, session)
			session.Connect(1, token("ann"), ask)
		}
		lives.Wait()
		for _, session := range opened {
			session.Closed()
		}
	}
	if n := h.Stats().FromHistory.Load(); n > 4 {
		b.Fatalf("%d rooms were read from history", n)
	}
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(b.N)/sessions, "cpu-ns/resume")
}

// cpu is the time this process has used of all processors.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
