package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
)

func TestMappingErrorHalts(t *testing.T) {
	s := newShop(t)
	src := newScript("petpro")
	r := s.start([]publisher.Source{src})
	<-r.Initial()
	src.set("b_1", "pending")
	s.published(src)
	src.set("not.one.token", "pending")
	src.set("b_1", "confirmed")
	err := r.ended()
	if !errors.Is(err, publisher.ErrHalt) || !errors.Is(err, subjects.ErrID) {
		t.Fatalf("Run = %v, want ErrHalt because of subjects.ErrID", err)
	}
	for _, want := range []string{"source petpro", "2/0", "not.one.token", "to correct the row is not enough", "DELETE FROM fabric_changes WHERE id = 2)", "a start after that goes on"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Run = %q, lacks %q", err, want)
		}
	}
	if got, _ := events(t, s.read()); !slices.Equal(got, []string{"b_1 1"}) {
		t.Errorf("statuses = %q, want only what is before the bad row", got)
	}
	if slices.Contains(src.confirmations(), "2/0") {
		t.Error("the bad row was confirmed")
	}
}

func TestSourceErrors(t *testing.T) {
	t.Run("the first check ends it", func(t *testing.T) {
		s := newShop(t)
		src := newScript("petpro")
		src.checkErr = errors.New("test: no such table; create it")
		if err := s.start([]publisher.Source{src}).ended(); err == nil || !strings.Contains(err.Error(), "source petpro: test: no such table") {
			t.Errorf("Run = %v", err)
		}
	})
	t.Run("a first check that finds nobody is retried", func(t *testing.T) {
		s := newShop(t)
		src := newScript("petpro")
		src.checkErr = fmt.Errorf("test: connection refused: %w", publisher.ErrAway)
		r := s.start([]publisher.Source{src})
		eventually(t, "Health tells", func() bool {
			err := r.Health()
			return err != nil && strings.Contains(err.Error(), "not publishing: source petpro: test: connection refused")
		})
		eventually(t, "several checks", func() bool {
			src.mu.Lock()
			defer src.mu.Unlock()
			return src.checks > 4
		})
		if n := strings.Count(s.logs.String(), "level=WARN"); n != 1 {
			t.Errorf("warned %d times, want once\n%s", n, s.logs)
		}
		src.mu.Lock()
		src.checkErr = errors.New("test: no such table")
		src.mu.Unlock()
		if err := r.ended(); err == nil || !strings.Contains(err.Error(), "no such table") {
			t.Errorf("Run = %v, want the first real answer of Check", err)
		}
	})
	t.Run("later ones are retried", func(t *testing.T) {
		s := newShop(t)
		src := newScript("petpro")
		r := s.start([]publisher.Source{src})
		<-r.Initial()
		src.mu.Lock()
		src.checkErr = errors.New("test: still away")
		src.mu.Unlock()
		src.fail(errors.New("test: away"))
		eventually(t, "Health tells", func() bool { err := r.Health(); return err != nil && strings.Contains(err.Error(), "test: still away") })
		src.mu.Lock()
		src.checkErr = nil
		src.mu.Unlock()
		src.set("b_1", "pending")
		s.published(src)
		eventually(t, "Health recovers", func() bool { return r.Health() == nil })
		s.verifyOnce(src)
	})
	t.Run("ErrHalt ends it", func(t *testing.T) {
		s := newShop(t)
		src := newScript("petpro")
		r := s.start([]publisher.Source{src})
		<-r.Initial()
		src.fail(errors.Join(publisher.ErrHalt, errors.New("test: column gone")))
		if err := r.ended(); !errors.Is(err, publisher.ErrHalt) || !strings.Contains(err.Error(), "column gone") {
			t.Errorf("Run = %v, want ErrHalt", err)
		}
	})
}

// TestSkip: what cannot be mapped is left out where an operator says so, and
// what can be is not.
func TestSkip(t *testing.T) {
	s := newShop(t)
	src := newScript("petpro")
	s.cfg.Sources[0] = publisher.SourceConfig{Name: "petpro", Kind: publisher.KindPostgres, Postgres: publisher.PostgresConfig{DSN: "unused"}}
	r := s.start([]publisher.Source{src})
	<-r.Initial()
	src.set("b_1", "pending")
	src.set("not.one.token", "pending")
	src.set("b_1", "confirmed")
	err := r.ended()
	if err == nil || !strings.Contains(err.Error(), `publisher.sources[0].skip: "2/0"`) {
		t.Fatalf("Run = %v, want the key that leaves the entry out", err)
	}
	s.cfg.Sources[0].Skip = "2/0"
	r = s.start([]publisher.Source{src})
	s.published(src)
	r.stop()
	s.cfg.Sources[0].Skip = "3/0"
	s.start([]publisher.Source{src})
	src.set("b_1", "completed")
	s.published(src)
	if got, _ := events(t, s.read()); !slices.Equal(got, []string{"b_1 1", "b_1 2", "b_1 3"}) {
		t.Errorf("statuses = %q, want b_1 1 to b_1 3", got)
	}
	if !strings.Contains(s.logs.String(), "entry left out") {
		t.Errorf("the entry left out is not told of:\n%s", s.logs)
	}
}

func TestIncompatibleStreamEndsRun(t *testing.T) {
	s := newShop(t)
	c := s.cfg
	if _, err := stream.Ensure(t.Context(), s.nc, stream.Config{Name: c.Stream, Kinds: subjects.Kinds{"booking", "order"}, Keep: 4, Retention: time.Hour, Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	err := s.start([]publisher.Source{newScript("petpro")}).ended()
	if !errors.Is(err, stream.ErrStreamSettings) || !strings.Contains(err.Error(), "order.>") {
		t.Errorf("Run = %v, want ErrStreamSettings naming order.>", err)
	}
}

// TestIdle: positions go on while nothing happens, they record what became no
// message, and only what is recorded is confirmed.
func TestIdle(t *testing.T) {
	s := newShop(t)
	src := newScript("petpro")
	src.touch()
	r := s.start([]publisher.Source{src}, func(p *publisher.Publisher) { p.SetTimes(20*time.Millisecond, 20*time.Millisecond) })
	<-r.Initial()
	src.touch()
	src.touch()
	s.published(src)
	eventually(t, "confirmation of 3/0", func() bool { return slices.Contains(src.confirmations(), "3/0") })
	n := len(s.read())
	eventually(t, "more fabric.position", func() bool { return len(s.read()) > n+2 })
	for _, m := range s.read()[1:] {
		if m.Subject != subjects.PositionSubject {
			t.Errorf("%s was published by an idle publisher", m.Subject)
		}
	}
	if err := r.Health(); err != nil {
		t.Errorf("Health = %v", err)
	}
}

// TestUnrecordedIsNotConfirmed: an entry without messages is recorded by the
// next message only; until then the source must keep it.
func TestUnrecordedIsNotConfirmed(t *testing.T) {
	s := newShop(t)
	src := newScript("petpro")
	r := s.start([]publisher.Source{src}, func(p *publisher.Publisher) { p.SetTimes(time.Hour, time.Millisecond) })
	<-r.Initial()
	src.set("b_1", "pending")
	src.touch()
	src.set("b_1", "confirmed")
	src.touch()
	eventually(t, "confirmation of 3/0", func() bool { return slices.Contains(src.confirmations(), "3/0") })
	for range 20 {
		time.Sleep(time.Millisecond) // nothing to wait for: it must not happen
		if slices.Contains(src.confirmations(), "4/0") {
			t.Fatal("4/0 is confirmed, but no message in the stream records it")
		}
	}
}

func TestPositionEveryThousandMessages(t *testing.T) {
	s := newShop(t)
	src := newScript("petpro")
	r := s.start([]publisher.Source{src})
	<-r.Initial()
	for range 2000 {
		src.advance("b_1") // two to four messages each
	}
	s.published(src)
	gap, widest := 0, 0
	for _, m := range s.read() {
		if gap++; m.Subject == subjects.PositionSubject {
			gap = 0
		}
		widest = max(widest, gap)
	}
	if widest > 2*stream.MaxBatch {
		t.Errorf("%d messages without a fabric.position", widest)
	}
	s.verifyOnce(src)
}

func TestConfirmationWaits(t *testing.T) {
	s := newShop(t)
	s.cfg.ConfirmDelay = 150 * time.Second
	src := newScript("petpro")
	r := s.start([]publisher.Source{src}, func(p *publisher.Publisher) { p.SetTimes(time.Second, time.Millisecond) })
	<-r.Initial()
	lifecycle(src, "b_1")
	s.published(src)
	r.stop()
	if got := src.confirmations(); len(got) != 0 {
		t.Errorf("confirmed %q long before the delay", got)
	}
}

// TestNothingIsConfirmedWithoutNATS: what was acknowledged may not be there
// when the server comes back.
func TestNothingIsConfirmedWithoutNATS(t *testing.T) {
	s := newShop(t)
	s.cfg.ConfirmDelay = 500 * time.Millisecond
	src := newScript("petpro")
	r := s.start([]publisher.Source{src}, func(p *publisher.Publisher) { p.SetTimes(time.Hour, time.Millisecond) })
	<-r.Initial()
	src.set("b_1", "pending")
	s.published(src)
	s.ns.Stop()
	for range 100 {
		time.Sleep(10 * time.Millisecond) // nothing to wait for: it must not happen
		if slices.Contains(src.confirmations(), "1/0") {
			t.Fatal("1/0 is confirmed while nobody knows what the server still has")
		}
	}
	s.ns.Start(t)
	eventually(t, "confirmation of 1/0", func() bool { return slices.Contains(src.confirmations(), "1/0") })
}

func TestStateDirectory(t *testing.T) {
	s := newShop(t)
	src := newScript("petpro")
	acked := make(chan struct{}, 100)
	r := s.start([]publisher.Source{src}, func(p *publisher.Publisher) {
		p.FailAcks(func() error { acked <- struct{}{}; return nil })
	})
	<-r.Initial()
	<-acked // the closing fabric.position
	file := filepath.Join(s.cfg.State, s.cfg.Stream+".json")
	holds := func(position string) func() bool {
		return func() bool {
			state, err := os.ReadFile(file)
			return err == nil && strings.Contains(string(state), position)
		}
	}
	eventually(t, "the snapshot's position in "+file, holds("petpro=0/1/0"))
	src.touch()
	src.set("b_1", "pending")
	<-acked
	r.stop() // at once: the last acknowledgement must not wait for the next tick
	if state, err := os.ReadFile(file); err != nil || !strings.Contains(string(state), "petpro=2/0") {
		t.Errorf("state = %s, %v, want a position in row 2", state, err)
	}
	if err := os.WriteFile(file, []byte(`{"position":`), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := publisher.New(s.cfg, s.nc, []publisher.Source{src}, mapper(t), discard, nil)
	if err == nil || !strings.Contains(err.Error(), "remove the file if it is damaged") {
		t.Errorf("New with a damaged state = %v", err)
	}
}

func TestMetrics(t *testing.T) {
	s := newShop(t)
	src := newScript("petpro")
	reg := prometheus.NewRegistry()
	p, err := publisher.New(s.cfg, s.nc, []publisher.Source{src}, mapper(t), discard, reg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := publisher.New(s.cfg, s.nc, []publisher.Source{src}, mapper(t), discard, reg); err == nil {
		t.Error("two publishers share a registry")
	}
	if err := p.Health(); err == nil {
		t.Error("Health is nil before Run")
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	<-p.Initial()
	lifecycle(src, "b_1")
	s.published(src)
	eventually(t, "8 events counted", func() bool { return gather(t, reg)["fabric_publisher_events_total"] == 8 })
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	got := gather(t, reg)
	for _, name := range []string{"records_total", "resyncs_total", "lag_seconds"} {
		if got["fabric_publisher_"+name] <= 0 {
			t.Errorf("fabric_publisher_%s = %v, want more than 0", name, got["fabric_publisher_"+name])
		}
	}
	if age := got["fabric_publisher_position_age_seconds"]; age < 0 || age > 60 {
		t.Errorf("fabric_publisher_position_age_seconds = %v", age)
	}
}

func gather(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			out[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return out
}

func TestConfigValidate(t *testing.T) {
	good := publisher.DefaultConfig()
	good.Mapping = bookings
	good.Sources = []publisher.SourceConfig{
		{Name: "petpro", Kind: publisher.KindSQLite, SQLite: publisher.SQLiteConfig{Path: "shop.db"}},
		{Name: "ingest", Kind: publisher.KindIngest},
		{Name: "wal", Kind: publisher.KindPostgres, Postgres: publisher.PostgresConfig{DSN: "postgres://db/shop", Slot: "fabric_2", Publication: "fabric_2"}},
		{Name: "box", Kind: publisher.KindOutbox, Outbox: publisher.OutboxConfig{DSN: "postgres://db/shop", Schema: "fabric"}},
	}
	if err := good.Validate(); err != nil {
		t.Fatalf("Validate of a good configuration: %v", err)
	}
	for _, tt := range []struct {
		name  string
		alter func(*publisher.Config)
		want  string
	}{
		{"no sources", func(c *publisher.Config) { c.Sources = nil }, "publisher.sources: is empty"},
		{"same name", func(c *publisher.Config) { c.Sources[1].Name = "petpro" }, `publisher.sources[1].name: "petpro" is used twice`},
		{"name with a sign", func(c *publisher.Config) { c.Sources[0].Name = "pet=pro" }, "publisher.sources[0].name"},
		{"name map", func(c *publisher.Config) { c.Sources[0].Name = "map" }, `cannot name a source`},
		{"unknown kind", func(c *publisher.Config) { c.Sources[0].Kind = "oracle" }, `publisher.sources[0].kind: is "oracle"`},
		{"no path", func(c *publisher.Config) { c.Sources[0].SQLite.Path = "" }, "publisher.sources[0].sqlite.path"},
		{"negative poll", func(c *publisher.Config) { c.Sources[0].SQLite.Poll = -1 }, "publisher.sources[0].sqlite.poll"},
		{"no dsn", func(c *publisher.Config) { c.Sources[2].Postgres.DSN = "" }, "publisher.sources[2].postgres.dsn: is empty, must say how to reach the database, for example postgres://"},
		{"slot", func(c *publisher.Config) { c.Sources[2].Postgres.Slot = "Fabric-2" }, `publisher.sources[2].postgres.slot: is "Fabric-2", must be 1 to 63 lower-case letters`},
		{"publication", func(c *publisher.Config) { c.Sources[2].Postgres.Publication = strings.Repeat("x", 64) }, "publisher.sources[2].postgres.publication: is"},
		{"no dsn of the outbox", func(c *publisher.Config) { c.Sources[3].Outbox.DSN = "" }, "publisher.sources[3].outbox.dsn: is empty"},
		{"schema", func(c *publisher.Config) { c.Sources[3].Outbox.Schema = "a b" }, `publisher.sources[3].outbox.schema: is "a b"`},
		{"negative poll of the outbox", func(c *publisher.Config) { c.Sources[3].Outbox.Poll = -1 }, "publisher.sources[3].outbox.poll: is -1ns"},
		{"schema in a file", func(c *publisher.Config) {
			t := bookings.Tables["bookings"]
			t.From = "sales.bookings"
			c.Mapping = publisher.Mapping{Tables: map[string]publisher.Table{"bookings": t}}
		}, `mapping.tables.bookings.from: is "sales.bookings", but source "petpro" is a SQLite file`},
		{"followed schema in a file", func(c *publisher.Config) {
			c.Mapping.Follow = map[string]publisher.Follow{"services": {From: "sales.services"}}
		}, `mapping.follow.services.from: is "sales.services"`},
		{"no mapping", func(c *publisher.Config) { c.Mapping.Tables = nil }, "mapping.tables: is empty"},
		{"no state", func(c *publisher.Config) { c.State = "" }, "publisher.state: is empty"},
		{"negative delay", func(c *publisher.Config) { c.ConfirmDelay = -time.Second }, "publisher.confirm_delay: is -1s"},
		{"huge payload", func(c *publisher.Config) { c.MaxPayload = 1 << 20 }, "publisher.max_payload: is 1048576 bytes"},
		{"on_lost", func(c *publisher.Config) { c.OnLost = "retry" }, `publisher.on_lost: is "retry"`},
		{"kinds", func(c *publisher.Config) { c.Kinds = nil }, "rooms.kinds"},
		{"replicas", func(c *publisher.Config) { c.Replicas = 2 }, "publisher.replicas: is 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := good
			c.Sources = slices.Clone(good.Sources)
			tt.alter(&c)
			if err := c.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Validate = %v, want %q", err, tt.want)
			}
		})
	}
}
