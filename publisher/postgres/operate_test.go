package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/postgres"
	"github.com/petpro/fabric/test/pgtest"
)

// running is a Run in a goroutine of its own that confirms what it emits.
type running struct {
	t      *testing.T
	src    *postgres.Source
	cancel context.CancelFunc
	ended  chan error

	mu     sync.Mutex
	places []string // guarded by mu
}

func (s *shop) run(t *testing.T, src *postgres.Source, from string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, src: src, cancel: cancel, ended: make(chan error, 1)}
	go func() {
		r.ended <- src.Run(ctx, from, func(e publisher.Entry) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if e.Place != "" {
				r.places = append(r.places, e.Place)
				return src.Confirm(ctx, e.Place)
			}
			return nil
		})
	}()
	t.Cleanup(func() { r.stop() })
	return r
}

// stop ends the Run; it may be called twice.
func (r *running) stop() error {
	r.cancel()
	err, ok := <-r.ended
	if ok {
		close(r.ended)
	}
	return err
}

func (r *running) last() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.places) == 0 {
		return ""
	}
	return r.places[len(r.places)-1]
}

// While nothing of ours is written, the slot keeps up with what others write.
func TestIdleDatabase(t *testing.T) {
	t.Parallel()
	pg := pgtest.Run(t)
	s := shopIn(t, pg.Database(t), shopSchema, shopMapping())
	other := pg.Database(t)
	from := s.begin()
	r := s.run(t, s.source(), from)
	other.Exec(t, `CREATE TABLE filler AS SELECT repeat(md5(n::text), 25) FROM generate_series(1, 60000) n`)
	written := s.value(`SELECT pg_current_wal_lsn()::text`)
	eventually(t, "the slot is confirmed behind 50 MB of another database", func() bool {
		return s.value(`SELECT (confirmed_flush_lsn >= '`+written+`')::text FROM pg_replication_slots`) == "true"
	})
	if mb := s.value(`SELECT (('` + written + `'::pg_lsn - '` + lsnOf(from) + `'::pg_lsn) > 50e6)::text`); mb != "true" {
		t.Errorf("less than 50 MB were written")
	}
	eventually(t, "the log is given free, which takes what only a checkpoint writes", func() bool {
		s.exec(`CHECKPOINT`)
		return s.value(`SELECT (restart_lsn >= '`+written+`')::text FROM pg_replication_slots`) == "true"
	})
	if err := r.stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v", err)
	}
	if r.src.Compare(r.last(), from) <= 0 {
		t.Errorf("the last place is %s, want one behind %s", r.last(), from)
	}
}

// lsnOf a place.
func lsnOf(place string) string {
	_, rest, _ := strings.Cut(place, "/")
	return rest[:strings.LastIndexByte(rest, '/')]
}

// A graceful end confirms what was confirmed last.
func TestEndConfirms(t *testing.T) {
	s := newShop(t, shopSchema, shopMapping())
	r := s.run(t, s.source(), s.begin())
	s.exec(`INSERT INTO bookings (id) VALUES ('b1')`)
	eventually(t, "the row is emitted", func() bool { return strings.HasSuffix(r.last(), "/0") })
	last := r.last()
	r.stop()
	if got := s.value(`SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = 'fabric_` + s.name + `'`); got != lsnOf(last) {
		t.Errorf("the slot is confirmed up to %s, want %s", got, lsnOf(last))
	}
}

// What a dead publisher left behind is ended by who holds the source, and by no
// one else.
func TestRemains(t *testing.T) {
	t.Parallel()
	s := newShop(t, shopSchema, shopMapping())
	from := s.begin()
	dead := s.run(t, s.openAs(s.db.DSN+"&application_name=dead"), from)
	eventually(t, "the first one runs", func() bool { return dead.last() != "" })

	var log bytes.Buffer
	src := s.openWith(s.db.DSN, slog.New(slog.NewTextHandler(&log, nil)))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := src.Run(ctx, from, func(publisher.Entry) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run without holding the source = %v, want that it waits", err)
	}
	if !strings.Contains(log.String(), "application=dead") || !strings.Contains(log.String(), "terminate=false") {
		t.Errorf("the log does not tell whom it waits for:\n%s", &log)
	}

	hold, err := src.Acquire(t.Context(), func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Release()
	if err := src.Run(t.Context(), from, func(publisher.Entry) error { return errEnough }); err != errEnough {
		t.Errorf("Run of the holder = %v", err)
	}
	if err := <-dead.ended; !errors.Is(err, publisher.ErrAway) {
		t.Errorf("the dead one ends with %v, want ErrAway", err)
	}
	close(dead.ended)
}

// A standby is told who has the source.
func TestAcquireTells(t *testing.T) {
	s := newShop(t, shopSchema, shopMapping())
	hold, err := s.openAs(s.db.DSN+"&application_name=holder-1").Acquire(t.Context(), func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = s.source().Acquire(ctx, func(holder string) {
		if !strings.Contains(holder, "holder-1 at 127.0.0.1") {
			t.Errorf("the holder is %q, want it to name holder-1", holder)
		}
		cancel()
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Acquire = %v", err)
	}
	hold.Release()
}

// A server that is not there is away, whoever asks.
func TestAway(t *testing.T) {
	t.Parallel()
	pg := pgtest.Run(t)
	s := shopIn(t, pg.Database(t), shopSchema, shopMapping())
	src, from := s.source(), s.begin()
	r := s.run(t, src, from)
	eventually(t, "it runs", func() bool { return r.last() != "" })
	s.conn.Close(t.Context())
	pg.Stop(t)
	wantAway := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, publisher.ErrAway) {
			t.Errorf("%s = %v, want ErrAway", what, err)
		}
	}
	err := <-r.ended
	close(r.ended)
	wantAway("Run when the server stops", err)
	nothing := func(publisher.Entry) error { return nil }
	wantAway("Run", src.Run(t.Context(), from, nothing))
	wantAway("Check", src.Check(t.Context()))
	_, err = src.Snapshot(t.Context(), nothing)
	wantAway("Snapshot", err)
	_, err = src.Acquire(t.Context(), func(string) {})
	wantAway("Acquire", err)
	pg.Start(t)
	s.conn = s.db.Conn(t)
	s.exec(`INSERT INTO bookings (id) VALUES ('b1')`)
	s.collect(from, 1)
}

// A snapshot that fails leaves no slot behind; one that was killed leaves one
// for the next to drop.
func TestSnapshotInterrupted(t *testing.T) {
	t.Parallel()
	s := newShop(t, shopSchema, shopMapping())
	s.exec(`INSERT INTO bookings (id) SELECT n::text FROM generate_series(1, 1000) n`)
	slots := func() string {
		return s.value(`SELECT count(*)::text FROM pg_replication_slots WHERE slot_name = 'fabric_` + s.name + `'`)
	}
	n := 0
	if _, err := s.source().Snapshot(t.Context(), func(publisher.Entry) error {
		if n++; n == 500 {
			return errEnough
		}
		return nil
	}); err != errEnough {
		t.Errorf("Snapshot = %v, want the error of emit", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := s.source().Snapshot(ctx, func(publisher.Entry) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Snapshot = %v, want context.Canceled", err)
	}
	if got := slots(); got != "0" {
		t.Errorf("%s slots are left behind", got)
	}
	s.value(`SELECT lsn::text FROM pg_create_logical_replication_slot('fabric_` + s.name + `', 'pgoutput')`)
	s.begin()
	if got := slots(); got != "1" {
		t.Errorf("there are %s slots, want 1", got)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := newShop(t, shopSchema, shopMapping())
	s.exec(`INSERT INTO services VALUES ('s1', 'p1', ''); INSERT INTO bookings (id, service_id, notes) VALUES ('b1', 's1', repeat('x', 100000))`)
	reg := prometheus.NewRegistry()
	src, err := postgres.New(s.name, publisher.PostgresConfig{DSN: s.db.DSN}, s.mapping, discard, reg)
	if err != nil {
		t.Fatal(err)
	}
	postgres.SetWatchEvery(src, 200*time.Millisecond)
	r := s.run(t, src, s.begin())
	s.exec(`UPDATE services SET provider_id = 'p2'; UPDATE bookings SET status = 'confirmed'`)
	s.exec(`INSERT INTO bookings (id) VALUES ('b2')`)
	want := map[string]float64{
		"rereads_total": 1, "rows_total": 3, "touches_total": 1, "transactions_total": 2, "truncates_total": 0,
		"slot_status reserved": 1, "slot_status extended": 0, "slot_status unreserved": 0, "slot_status lost": 0,
	}
	var got map[string]float64
	eventually(t, "the metrics tell what happened", func() bool {
		got = gather(t, reg)
		for name, value := range want {
			if v, ok := got[name]; !ok || v != value {
				return false
			}
		}
		return true
	})
	if got["retained_wal_bytes"] <= 0 || got["lag_bytes"] < 0 || got["silence_seconds"] < 0 || got["silence_seconds"] > 5 {
		t.Errorf("metrics are %v", got)
	}
	r.stop()
}

func TestNewRefuses(t *testing.T) {
	log := discard
	for name, cfg := range map[string]publisher.PostgresConfig{
		"no DSN":      {},
		"slot's name": {DSN: "postgres://h/db", Slot: "Not-Allowed"},
	} {
		if _, err := postgres.New("shop", cfg, shopMapping(), log, nil); err == nil {
			t.Errorf("%s: New takes %+v", name, cfg)
		}
	}
}

// gather reads the metrics by name, without fabric_postgres_, and status.
func gather(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := strings.TrimPrefix(f.GetName(), "fabric_postgres_")
			for _, l := range m.GetLabel() {
				if l.GetName() == "status" {
					name += " " + l.GetValue()
				}
			}
			values[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return values
}
