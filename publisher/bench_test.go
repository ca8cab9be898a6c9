package publisher_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/subjects/stream"
	"github.com/petpro/fabric/test/natstest"
)

// BenchmarkPublish measures a publisher on one node with sync_always.
func BenchmarkPublish(b *testing.B) {
	// single: from a change to its status event on a tail, nothing else waiting.
	b.Run("single", func(b *testing.B) {
		s, src, _ := published1(b)
		tail, err := s.ns.JS(b).OrderedConsumer(b.Context(), s.cfg.Stream, jetstream.OrderedConsumerConfig{
			FilterSubjects: []string{"booking.*.status"}, DeliverPolicy: jetstream.DeliverNewPolicy,
		})
		if err != nil {
			b.Fatal(err)
		}
		msgs, err := tail.Messages()
		if err != nil {
			b.Fatal(err)
		}
		defer msgs.Stop()
		for b.Loop() {
			src.advance("b_1")
			m, err := msgs.Next()
			if err != nil {
				b.Fatal(err)
			}
			var body struct{ Version string }
			if err := json.Unmarshal(m.Data(), &body); err != nil || body.Version == "" {
				b.Fatalf("status event %s: %v", m.Data(), err)
			}
		}
	})
	// batch: a backlog of changes, as of one large transaction.
	b.Run("batch", func(b *testing.B) {
		const changes = 5000
		s, src, r := published1(b)
		before := s.last(b)
		for b.Loop() {
			b.StopTimer()
			r.stop()
			for range changes {
				src.advance("b_1")
			}
			b.StartTimer()
			r = s.start([]publisher.Source{src})
			s.published(src)
		}
		b.ReportMetric(float64(changes*b.N)/b.Elapsed().Seconds(), "changes/s")
		b.ReportMetric(float64(s.last(b)-before)/b.Elapsed().Seconds(), "msgs/s")
	})
}

// published1 is a running publisher that has published one booking.
func published1(b *testing.B) (*shop, *script, *running) {
	b.Helper()
	s := newShop(b, natstest.SyncAlways())
	s.cfg.ConfirmDelay = time.Hour
	src := newScript("petpro")
	r := s.start([]publisher.Source{src})
	<-r.Initial()
	src.advance("b_1")
	s.published(src)
	return s, src, r
}

func (s *shop) last(tb testing.TB) uint64 {
	tb.Helper()
	state, err := stream.NewLeader(s.nc, s.cfg.Stream).State(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return state.Last
}
