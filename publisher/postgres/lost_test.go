package postgres_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/postgres"
	"github.com/petpro/fabric/test/pgtest"
)

func TestLost(t *testing.T) {
	db, parts := pgtest.New(t), 0
	for name, test := range map[string]struct {
		lose     func(s *shop, first string) (from string) // "": from the first row
		sentence string
	}{
		"slot dropped": {func(s *shop, _ string) string {
			s.value(`SELECT pg_drop_replication_slot('fabric_` + s.name + `')::text`)
			return ""
		}, "is gone: it was dropped"},
		"slot ahead": {func(s *shop, _ string) string {
			s.value(`SELECT pg_replication_slot_advance('fabric_` + s.name + `', pg_current_wal_lsn())::text`)
			return ""
		}, "has forgotten what lies before"},
		"slot of another plugin": {func(s *shop, _ string) string {
			s.value(`SELECT pg_drop_replication_slot('fabric_` + s.name + `')::text`)
			s.value(`SELECT pg_create_logical_replication_slot('fabric_` + s.name + `', 'test_decoding')::text`)
			return ""
		}, `is one of plugin "test_decoding"`},
		"another cluster": {func(s *shop, _ string) string {
			return "0000-1/0/1000000/-1"
		}, "another database cluster"},
		"an older timeline than before": {func(s *shop, _ string) string {
			return system(s) + "-2/0/1000000/-1"
		}, "on timeline 1, before it was on 2"},
		"ahead of the log": {func(s *shop, _ string) string {
			return system(s) + "-1/FFFFFF/0/-1"
		}, "an older state of it was restored"},
		"truncated": {func(s *shop, _ string) string {
			s.exec(`TRUNCATE bookings`)
			return ""
		}, ".bookings was truncated"},
		"publication dropped": {func(s *shop, _ string) string {
			s.exec(`DROP PUBLICATION fabric_` + s.name + `; INSERT INTO bookings (id) VALUES ('b2')`)
			return ""
		}, "was dropped, or made after"},
		"publication made anew": {func(s *shop, _ string) string {
			s.exec(`DROP PUBLICATION fabric_` + s.name + `; INSERT INTO bookings (id) VALUES ('b2')`)
			s.exec(`CREATE PUBLICATION fabric_` + s.name + ` FOR TABLE bookings`)
			return ""
		}, "was dropped, or made after"},
		"no transaction there": {func(s *shop, _ string) string {
			lsn := s.value(`SELECT pg_current_wal_lsn()::text`)
			s.exec(`INSERT INTO bookings (id) VALUES ('b2')`)
			return system(s) + "-1/" + lsn + "/0"
		}, "is not in the log any more"},
		"fewer rows there": {func(_ *shop, first string) string {
			return first[:len(first)-1] + "7"
		}, "has 1 rows, row 7 of it was published"},
	} {
		t.Run(name, func(t *testing.T) {
			parts++
			s := partOf(t, db, fmt.Sprintf("part_%d", parts), shopSchema, all("bookings", "id", "id", "status"))
			begin := s.begin()
			s.exec(`INSERT INTO bookings (id) VALUES ('b1')`)
			first := s.collect(begin, 1)[0].Place
			s.wantLost(cmp.Or(test.lose(s, first), first), test.sentence)
		})
	}
}

// A slot that needs more log than it may keep is invalidated; a Run under way
// breaks, and the next one says why.
func TestInvalidated(t *testing.T) {
	for name, opts := range versions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pg := pgtest.Run(t, append(opts, pgtest.Setting("max_slot_wal_keep_size", "1MB"), pgtest.Setting("max_wal_size", "32MB"))...)
			s := shopIn(t, pg.Database(t), shopSchema, all("bookings", "id", "id", "status"))
			from := s.begin()
			s.exec(`INSERT INTO bookings (id) VALUES ('b1')`)
			from = s.collect(from, 1)[0].Place
			s.exec(`CREATE TABLE filler AS SELECT repeat('x', 1000) FROM generate_series(1, 40000)`)
			s.exec(`SELECT pg_switch_wal(); CHECKPOINT`)
			s.wantLost(from, "was invalidated by the server")
		})
	}
}

// An older state of the cluster's files is not what was published.
func TestRestored(t *testing.T) {
	t.Parallel()
	pg := pgtest.Run(t)
	s := shopIn(t, pg.Database(t), shopSchema, all("bookings", "id", "id", "status"))
	begin := s.begin()
	s.exec(`INSERT INTO bookings (id) VALUES ('b1')`)
	place := s.collect(begin, 1)[0].Place
	s.conn.Close(t.Context())
	pg.Stop(t)
	saved := pg.Save(t)
	pg.Start(t)
	s.conn = s.db.Conn(t)
	s.exec(`INSERT INTO bookings (id) VALUES ('b2')`)
	later := s.collect(place, 2)[1].Place
	s.conn.Close(t.Context())
	pg.Stop(t)
	pg.Restore(t, saved)
	pg.Start(t)
	s.conn = s.db.Conn(t)
	s.wantLost(later, "an older state of it was restored")
	// It goes another way, and further than before.
	s.exec(`CREATE TABLE filler AS SELECT repeat('x', 1000) FROM generate_series(1, 1000)`)
	s.exec(`INSERT INTO bookings (id) VALUES ('b3')`)
	s.wantLost(later, "is not in the log any more")
	s.wantRun(place, "Insert bookings new(id=b1 status=pending)\nInsert bookings new(id=b3 status=pending)")
}

// A promoted standby without a copy of the slot has lost what follows; one with
// a copy goes on, unless it lacks what was published.
func TestPromoted(t *testing.T) {
	t.Run("15", func(t *testing.T) {
		t.Parallel()
		pg := pgtest.Run(t)
		s := shopIn(t, pg.Database(t), shopSchema, all("bookings", "id", "id", "status"))
		from := s.begin()
		standby := pgtest.Replica(t, pg)
		s.conn.Close(t.Context())
		pg.Stop(t)
		s.db = &pgtest.Database{Server: standby, Name: s.db.Name, DSN: standby.DSN(s.db.Name)}
		_, err := s.until(from, func([]publisher.Entry) bool { return false })
		if !errors.Is(err, publisher.ErrAway) {
			t.Errorf("Run on a standby = %v, want ErrAway", err)
		}
		if err := s.open().Check(t.Context()); !errors.Is(err, publisher.ErrAway) {
			t.Errorf("Check of a standby = %v, want ErrAway", err)
		}
		if _, err := s.open().Snapshot(t.Context(), func(publisher.Entry) error { return nil }); !errors.Is(err, publisher.ErrAway) {
			t.Errorf("Snapshot of a standby = %v, want ErrAway", err)
		}
		standby.Promote(t)
		s.wantLost(from, "a promoted standby that had no copy of it")
	})
	t.Run("17", func(t *testing.T) {
		t.Parallel()
		pg := pgtest.Run(t, pgtest.Version17)
		s := shopIn(t, pg.Database(t), shopSchema, shopMapping())
		standby := pgtest.Replica(t, pg, pgtest.Setting("sync_replication_slots", "on"))
		s.begin()
		begin := copied(t, s, standby)
		s.exec(`INSERT INTO services VALUES ('s1', 'p1', ''); INSERT INTO bookings (id, service_id) VALUES ('b1', 's1')`)
		place := s.collect(begin, 3)[2].Place
		standby.Follow(t, pg)
		primary := s.conn
		// What the standby does not get to know of.
		if _, err := s.db.Conn(t).Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_replication WHERE application_name = 'walreceiver'`); err != nil {
			t.Fatal(err)
		}
		standby.Promote(t)
		s.exec(`INSERT INTO bookings (id, service_id) VALUES ('never', 's1')`)
		ahead := s.collect(place, 2)[1].Place
		primary.Close(t.Context())
		pg.Stop(t)

		s.db = &pgtest.Database{Server: standby, Name: s.db.Name, DSN: standby.DSN(s.db.Name)}
		s.conn = s.db.Conn(t)
		s.exec(`INSERT INTO bookings (id, service_id) VALUES ('b2', 's1')`)
		entries := s.wantRun(place, `
			Insert bookings new(id=b1 notes=NULL service_id=s1 status=pending user_id=NULL)
			Insert bookings new(id=b2 notes=NULL service_id=s1 status=pending user_id=NULL)`)
		if !strings.Contains(entries[1].Place, "-2/") {
			t.Errorf("the place behind the promotion is %s, want timeline 2", entries[1].Place)
		}
		s.collect(entries[1].Place, 1)
		s.wantLost(ahead, "timeline 1 was left at")
	})
}

// copied waits until the standby has a copy of the slot, and returns the place
// at which it begins. A copy needs log of its own, so the slot must move on.
func copied(t *testing.T, s *shop, standby *pgtest.Server) (begin string) {
	t.Helper()
	slot := "fabric_" + s.name
	conn := (&pgtest.Database{Server: standby, DSN: standby.DSN("postgres")}).Conn(t)
	defer conn.Close(context.Background())
	eventually(t, "the standby copies the slot", func() (ok bool) {
		s.exec(`SELECT pg_log_standby_snapshot(); SELECT pg_replication_slot_advance('` + slot + `', pg_current_wal_lsn())`)
		if err := conn.QueryRow(t.Context(), `SELECT count(*) = 1 FROM pg_replication_slots WHERE slot_name = $1 AND synced AND NOT temporary`, slot).Scan(&ok); err != nil {
			t.Fatal(err)
		}
		return ok
	})
	return system(s) + "-1/" + s.value(`SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = '`+slot+`'`) + "/-1"
}

// A table that leaves the publication while it is read is noticed, though the
// log has nothing to tell of it.
func TestUnpublished(t *testing.T) {
	for name, breaking := range map[string]string{
		"table taken out":     `ALTER PUBLICATION @ DROP TABLE bookings`,
		"table made anew":     `ALTER TABLE bookings RENAME TO old; CREATE TABLE bookings (LIKE old INCLUDING ALL)`,
		"operation taken out": `ALTER PUBLICATION @ SET (publish = 'insert, update')`,
		"publication dropped": `DROP PUBLICATION @`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, shopSchema, shopMapping())
			from := s.begin()
			src := s.source()
			postgres.SetWatchEvery(src, 200*time.Millisecond)
			r := s.run(t, src, from)
			eventually(t, "it runs", func() bool { return r.last() != "" })
			s.exec(strings.ReplaceAll(breaking, "@", "fabric_"+s.name))
			var err error
			eventually(t, "Run ends", func() bool {
				select {
				case err = <-r.ended:
					close(r.ended)
					return true
				default:
					return false
				}
			})
			if !errors.Is(err, publisher.ErrLost) {
				t.Errorf("Run = %v, want ErrLost", err)
			}
			if _, err := s.open().Snapshot(t.Context(), func(publisher.Entry) error { return nil }); err == nil || errors.Is(err, publisher.ErrLost) {
				t.Errorf("Snapshot = %v, want an error until it is mended", err)
			}
		})
	}
}
