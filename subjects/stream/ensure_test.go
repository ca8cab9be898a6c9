package stream_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
	"github.com/petpro/fabric/test/natstest"
)

func TestEnsureCreatesBothStreamsAndOneEpoch(t *testing.T) {
	ns := natstest.Run(t)
	nc := ns.Conn(t)
	e, err := stream.Ensure(t.Context(), nc, config())
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[a-z0-9]{10}$`).MatchString(e.Epoch.Epoch) {
		t.Errorf("epoch id = %q, want 10 of [a-z0-9]", e.Epoch.Epoch)
	}
	if e.Seq != 1 || e.Keep != 8 || time.Duration(e.Retention) != 24*time.Hour {
		t.Errorf("epoch = %+v, want sequence 1, keep 8, retention 24h", e)
	}
	again, err := stream.Ensure(t.Context(), nc, config())
	if err != nil || again != e {
		t.Errorf("second Ensure = %+v, %v, want %+v", again, err, e)
	}
	checked, err := stream.Check(t.Context(), nc, "FABRIC", "booking")
	if err != nil || checked != e {
		t.Errorf("Check = %+v, %v, want %+v", checked, err, e)
	}
	in, err := ns.JS(t).Stream(t.Context(), "INGEST")
	if err != nil {
		t.Fatal(err)
	}
	if c := in.CachedInfo().Config; c.MaxAge != 168*time.Hour || c.Duplicates != 2*time.Minute {
		t.Errorf("INGEST keeps %s, dedupes for %s, want 168h and 2m", c.MaxAge, c.Duplicates)
	}
}

func TestEnsureFromManyAtOnceWritesOneEpoch(t *testing.T) {
	ns := natstest.Run(t)
	epochs := make([]stream.Epoch, 6)
	var wg sync.WaitGroup
	for i := range epochs {
		nc := ns.Conn(t)
		wg.Go(func() {
			var err error
			if epochs[i], err = stream.Ensure(t.Context(), nc, config()); err != nil {
				t.Errorf("Ensure %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	for i, e := range epochs {
		if e != epochs[0] {
			t.Errorf("process %d got epoch %+v, process 0 %+v", i, e, epochs[0])
		}
	}
}

func TestEnsureRefusesAnIncompatibleStream(t *testing.T) {
	good := jetstream.StreamConfig{
		Name: "FABRIC", Subjects: []string{"booking.>", "user.>", "fabric.>"}, MaxMsgsPerSubject: 8,
		AllowDirect: true, AllowAtomicPublish: true, DenyDelete: true,
	}
	for _, tt := range []struct {
		name  string
		alter func(*jetstream.StreamConfig)
		want  []string
	}{
		{"memory", func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }, []string{"storage is Memory, must be File"}},
		{"age and bytes", func(c *jetstream.StreamConfig) { c.MaxAge, c.MaxBytes = time.Hour, 1<<20 },
			[]string{"max_age is 1h0m0s, must be 0s", "max_bytes is 1048576, must be -1"}},
		{"no direct get", func(c *jetstream.StreamConfig) { c.AllowDirect = false }, []string{"allow_direct is false, must be true"}},
		{"no batches", func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = false }, []string{"allow_atomic is false, must be true"}},
		{"deletable", func(c *jetstream.StreamConfig) { c.DenyDelete = false }, []string{"deny_delete is false, must be true"}},
		{"work queue", func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy }, []string{"retention is WorkQueue, must be Limits"}},
		{"discard new", func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardNew }, []string{"discard is DiscardNew, must be DiscardOld"}},
		{"foreign subjects", func(c *jetstream.StreamConfig) { c.Subjects = append(c.Subjects, "shop.>") }, []string{"subjects hold shop.>"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ns := natstest.Run(t)
			c := good
			c.Subjects = append([]string(nil), good.Subjects...)
			tt.alter(&c)
			if _, err := ns.JS(t).CreateStream(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			_, err := stream.Ensure(t.Context(), ns.Conn(t), config())
			if !errors.Is(err, stream.ErrStreamSettings) {
				t.Fatalf("Ensure = %v, want ErrStreamSettings", err)
			}
			for _, want := range append(tt.want, "nats stream edit FABRIC") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Ensure = %q, lacks %q", err, want)
				}
			}
		})
	}
}

func TestEnsureRefusesAStreamOfSomebodyElse(t *testing.T) {
	ns := natstest.Run(t)
	nc := ns.Conn(t)
	js := ns.JS(t)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"booking.*.status"}}); err != nil {
		t.Fatal(err)
	}
	_, err := stream.Ensure(t.Context(), nc, config())
	if !errors.Is(err, stream.ErrStreamSettings) || !strings.Contains(err.Error(), "another stream already takes") {
		t.Errorf("Ensure beside an overlapping stream = %v", err)
	}
	if err := js.DeleteStream(t.Context(), "OTHER"); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "FABRIC", Subjects: []string{"booking.>", "user.>", "fabric.>"}, MaxMsgsPerSubject: 8,
		AllowDirect: true, AllowAtomicPublish: true, DenyDelete: true,
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "booking.1.status", nil); err != nil {
		t.Fatal(err)
	}
	_, err = stream.Ensure(t.Context(), nc, config())
	if !errors.Is(err, stream.ErrStreamSettings) || !strings.Contains(err.Error(), "not a fabric's") {
		t.Errorf("Ensure of a stream with messages and no epoch = %v", err)
	}
}

func TestEnsureAddsKinds(t *testing.T) {
	ns := natstest.Run(t)
	nc := ns.Conn(t)
	c := config()
	before, err := stream.Ensure(t.Context(), nc, c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Check(t.Context(), nc, "FABRIC", "booking", "order"); !errors.Is(err, stream.ErrStreamSettings) {
		t.Errorf("Check for a kind the stream lacks = %v, want ErrStreamSettings", err)
	}
	c.Kinds = append(c.Kinds, "order")
	after, err := stream.Ensure(t.Context(), nc, c)
	if err != nil || after != before {
		t.Fatalf("Ensure with one more kind = %+v, %v, want the same epoch %+v", after, err, before)
	}
	if _, err := stream.Check(t.Context(), nc, "FABRIC", "booking", "order"); err != nil {
		t.Error(err)
	}
}

// TestLimitsChangeTheEpoch watches every message and every state of the stream
// while keep and retention change: it must at no moment keep less than its
// newest epoch says.
func TestLimitsChangeTheEpoch(t *testing.T) {
	for _, tt := range []struct {
		name      string
		keep      int
		retention time.Duration
		want      string // what happens first
	}{
		{"stricter", 4, 24 * time.Hour, "epoch"},
		{"laxer", 16, 24 * time.Hour, "stream"},
		{"retention only", 8, 48 * time.Hour, "epoch"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ns := natstest.Run(t)
			nc := ns.Conn(t)
			before, err := stream.Ensure(t.Context(), nc, config())
			if err != nil {
				t.Fatal(err)
			}
			publishWithPosition(t, nc, 1, "petpro=17/0/2;map=9f3c")

			first := watch(t, ns)
			c := config()
			c.Keep, c.Retention = tt.keep, tt.retention
			after, err := stream.Ensure(t.Context(), nc, c)
			if err != nil {
				t.Fatal(err)
			}
			if after.Epoch.Epoch == before.Epoch.Epoch || after.Keep != tt.keep || time.Duration(after.Retention) != tt.retention {
				t.Errorf("epoch after the change = %+v, before %+v", after, before)
			}
			if got := first(); got != tt.want {
				t.Errorf("%s was changed first, want %s", got, tt.want)
			}
			if checked, err := stream.Check(t.Context(), nc, "FABRIC"); err != nil || checked != after {
				t.Errorf("Check = %+v, %v, want %+v", checked, err, after)
			}
			if s, err := ns.JS(t).Stream(t.Context(), "FABRIC"); err != nil || s.CachedInfo().Config.MaxMsgsPerSubject != int64(tt.keep) {
				t.Errorf("stream after the change: %v, want it to keep %d", err, tt.keep)
			}
			closing, err := stream.NewLeader(nc, "FABRIC").Get(t.Context(), after.Seq+1)
			if err != nil {
				t.Fatalf("message behind the epoch: %v", err)
			}
			if got := closing.Header.Get(subjects.PositionHeader); closing.Subject != subjects.PositionSubject || got != "petpro=17/0/2;map=9f3c" {
				t.Errorf("message behind the epoch = %s %q, want the position", closing.Subject, got)
			}
		})
	}
}

// watch returns a function that waits for the first of two: a fabric.epoch is
// published, the stream is updated. Both arrive on one channel, so in order.
func watch(t *testing.T, ns *natstest.Server) (first func() string) {
	t.Helper()
	const updated = "$JS.EVENT.ADVISORY.STREAM.UPDATED.FABRIC"
	nc := ns.Conn(t)
	msgs := make(chan *nats.Msg, 16)
	for _, subject := range []string{subjects.EpochSubject, updated} {
		if _, err := nc.ChanSubscribe(subject, msgs); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return func() string {
		t.Helper()
		select {
		case m := <-msgs:
			return map[string]string{subjects.EpochSubject: "epoch", updated: "stream"}[m.Subject]
		case <-time.After(10 * time.Second):
			t.Fatal("saw neither a new epoch nor an update")
			return ""
		}
	}
}

func TestInitialPublicationIsNotClosedByNewLimits(t *testing.T) {
	ns := natstest.Run(t)
	nc := ns.Conn(t)
	if _, err := stream.Ensure(t.Context(), nc, config()); err != nil {
		t.Fatal(err)
	}
	publishWithPosition(t, nc, 1, "petpro=init;map=9f3c")
	c := config()
	c.Keep = 16
	e, err := stream.Ensure(t.Context(), nc, c)
	if err != nil {
		t.Fatal(err)
	}
	s, err := stream.NewLeader(nc, "FABRIC").State(t.Context())
	if err != nil || s.Last != e.Seq {
		t.Errorf("stream ends at %d (%v), want at its epoch %d: an unfinished snapshot must not count as complete", s.Last, err, e.Seq)
	}
}

func TestStreamStricterThanItsEpoch(t *testing.T) {
	ns := natstest.Run(t)
	nc := ns.Conn(t)
	before, err := stream.Ensure(t.Context(), nc, config())
	if err != nil {
		t.Fatal(err)
	}
	js := ns.JS(t)
	s, err := js.Stream(t.Context(), "FABRIC")
	if err != nil {
		t.Fatal(err)
	}
	edited := s.CachedInfo().Config
	edited.MaxMsgsPerSubject = 3
	if _, err := js.UpdateStream(t.Context(), edited); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Check(t.Context(), nc, "FABRIC"); !errors.Is(err, stream.ErrStreamSettings) || !strings.Contains(err.Error(), "max_msgs_per_subject is 3, must be at least 8") {
		t.Errorf("Check = %v, want the two numbers", err)
	}
	after, err := stream.Ensure(t.Context(), nc, config())
	if err != nil {
		t.Fatal(err)
	}
	if after.Epoch.Epoch == before.Epoch.Epoch {
		t.Error("the epoch survived although the stream kept less than it promised")
	}
	if _, err := stream.Check(t.Context(), nc, "FABRIC"); err != nil {
		t.Error(err)
	}
}

func TestConfigValidate(t *testing.T) {
	c := stream.Config{Name: "FAB RIC", Ingest: "FAB RIC", Kinds: subjects.Kinds{"user"}, Keep: 1, Replicas: 2}
	err := c.Validate()
	if err == nil {
		t.Fatal("Validate accepts nonsense")
	}
	for _, key := range []string{"nats.stream: ", "publisher.ingest_stream: ", "rooms.kinds: ", "publisher.keep: ", "publisher.retention: ", "publisher.replicas: "} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("Validate = %q, says nothing about %s", err, key)
		}
	}
	if err := config().Validate(); err != nil {
		t.Errorf("Validate of a good configuration: %v", err)
	}
}

func publishWithPosition(t *testing.T, nc *nats.Conn, last uint64, position string) {
	t.Helper()
	m := nats.NewMsg("booking.1.status")
	m.Header.Set(subjects.PositionHeader, position)
	if _, err := stream.Append(within(t, 10*time.Second), nc, "FABRIC", last, m); err != nil {
		t.Fatal(err)
	}
}

func TestEpochMessageReads(t *testing.T) {
	e := stream.NewEpoch("because", 128, 2160*time.Hour)
	m := stream.EpochMessage(e, "ingest=7;map=a")
	var got subjects.Epoch
	if err := json.Unmarshal(m.Data, &got); err != nil || !reflect.DeepEqual(got, e) {
		t.Errorf("epoch read back = %+v, %v, want %+v", got, err, e)
	}
}

func TestReplicasNeedACluster(t *testing.T) {
	srv := natstest.Run(t)
	c := config()
	c.Replicas = 3
	if _, err := stream.Ensure(t.Context(), srv.Conn(t), c); err == nil || !strings.Contains(err.Error(), "set publisher.replicas to 1") {
		t.Errorf("Ensure of 3 replicas on one server = %v, want what to set", err)
	}
}
