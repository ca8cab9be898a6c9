package pgoutput_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/petpro/fabric/publisher/postgres/pgoutput"
	"github.com/petpro/fabric/test/pgtest"
)

// servers runs a test on a server of its own of each version.
func servers(t *testing.T, test func(t *testing.T, pg *pgtest.Server, db *pgtest.Database), opts ...pgtest.Option) {
	for _, v := range []struct {
		name string
		opts []pgtest.Option
	}{{"15", opts}, {"17", append([]pgtest.Option{pgtest.Version17}, opts...)}} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			pg := pgtest.Run(t, v.opts...)
			test(t, pg, pg.Database(t))
		})
	}
}

// A server that is stopped does not wait for what is received but not yet
// confirmed, and the transaction comes again after its start. So it does after a
// crash.
func TestServerEnds(t *testing.T) {
	servers(t, func(t *testing.T, pg *pgtest.Server, db *pgtest.Database) {
		db.Exec(t, `CREATE TABLE b (id int PRIMARY KEY)`)
		slot := prepare(t, db)
		db.Exec(t, `INSERT INTO b VALUES (1)`)
		want := []string{"relation public.b d id*", "insert b (1)"}
		for _, end := range []struct {
			name string
			end  func(testing.TB)
			is   func(error) bool
		}{
			{"stop", pg.Stop, func(err error) bool { return errors.Is(err, pgoutput.ErrEnded) }},
			{"crash", pg.Crash, isStreaming},
		} {
			r := start(t.Context(), t, db, slot, pgoutput.Options{})
			compare(t, r.transaction(), want)
			r.Confirm(slot.Start) // and no more

			received := make(chan error, 1)
			go func() { received <- drain(r.Stream) }()
			begin := time.Now()
			end.end(t)
			if took := time.Since(begin); took > patience {
				t.Errorf("%s took the server %s: it waited for us", end.name, took)
			}
			if err := <-received; !end.is(err) {
				t.Errorf("Receive after %s = %v", end.name, err)
			}
			if err := r.Close(); err != nil {
				t.Errorf("Close after %s = %v", end.name, err)
			}
			pg.Start(t)
		}
		r := start(t.Context(), t, db, slot, pgoutput.Options{})
		compare(t, r.transaction(), want)
	})
}

func isStreaming(err error) bool {
	e, ok := errors.AsType[*pgoutput.Error](err)
	return ok && e.Phase == pgoutput.Streaming
}

func TestTerminated(t *testing.T) {
	versions(t, func(t *testing.T, db *pgtest.Database) {
		slot := prepare(t, db)
		r := start(t.Context(), t, db, slot, pgoutput.Options{})
		if _, err := r.Receive(); err != nil {
			t.Fatal(err)
		}
		db.Exec(t, `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1`, slot.Name)
		wantError(t, drain(r.Stream), pgoutput.Streaming, "57P01")
		if err := r.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
}

// What START_REPLICATION refuses, by its SQLSTATE.
func TestRefused(t *testing.T) {
	versions(t, func(t *testing.T, db *pgtest.Database) {
		slot := prepare(t, db)
		r := start(t.Context(), t, db, slot, pgoutput.Options{})

		_, err := connect(t, db, pgoutput.Options{}).Start(t.Context(), slot.Name, "p", 0)
		wantError(t, err, pgoutput.Starting, "55006")
		if !strings.Contains(err.Error(), slot.Name) {
			t.Errorf("%q does not name the slot", err)
		}
		wantError(t, connect(t, db, pgoutput.Options{}).DropSlot(t.Context(), slot.Name), pgoutput.DroppingSlot, "55006")
		_, err = connect(t, db, pgoutput.Options{}).CreateSlot(t.Context(), slot.Name, false)
		wantError(t, err, pgoutput.CreatingSlot, "42710")

		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		conn := connect(t, db, pgoutput.Options{})
		if err := conn.DropSlot(t.Context(), slot.Name); err != nil {
			t.Fatal(err)
		}
		wantError(t, conn.DropSlot(t.Context(), slot.Name), pgoutput.DroppingSlot, "42704")
		_, err = conn.Start(t.Context(), slot.Name, "p", 0)
		wantError(t, err, pgoutput.Starting, "42704")
	})
}

// A publication that is missing is noticed at the first change.
func TestNoPublication(t *testing.T) {
	versions(t, func(t *testing.T, db *pgtest.Database) {
		db.Exec(t, `CREATE TABLE b (id int PRIMARY KEY)`)
		slot := prepare(t, db)
		conn := connect(t, db, pgoutput.Options{})
		s, err := conn.Start(t.Context(), slot.Name, "missing", slot.Start)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		db.Exec(t, `INSERT INTO b VALUES (1)`)
		wantError(t, drain(s), pgoutput.Streaming, "42704")
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		if err := connect(t, db, pgoutput.Options{}).DropSlot(t.Context(), slot.Name); err != nil {
			t.Errorf("dropping the slot after Close: %v", err)
		}
	})
}

// A slot whose log was removed because it held too much of it.
func TestInvalidated(t *testing.T) {
	servers(t, func(t *testing.T, pg *pgtest.Server, db *pgtest.Database) {
		db.Exec(t, `CREATE TABLE b (id int PRIMARY KEY, note text)`)
		slot := prepare(t, db)
		r := start(t.Context(), t, db, slot, pgoutput.Options{})
		received := make(chan error, 1)
		go func() { received <- drain(r.Stream) }()
		for range 4 {
			db.Exec(t, `INSERT INTO b SELECT g, repeat('n', 1000) FROM generate_series(1, 2000) g; TRUNCATE b; SELECT pg_switch_wal()`)
		}
		db.Exec(t, `CHECKPOINT`)
		eventually(t, db, `SELECT wal_status = 'lost' FROM pg_replication_slots WHERE slot_name = $1`, slot.Name)
		wantError(t, <-received, pgoutput.Streaming, "57P01")
		if err := r.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		_, err := connect(t, db, pgoutput.Options{}).Start(t.Context(), slot.Name, "p", slot.Start)
		wantError(t, err, pgoutput.Starting, "55000")
	}, pgtest.Setting("max_slot_wal_keep_size", "1MB"), pgtest.Setting("min_wal_size", "32MB"), pgtest.Setting("max_wal_size", "32MB"))
}

// A slot confirmed up to the LSN of a commit sends that transaction again, one
// confirmed up to its end does not; Close tells the last word.
func TestConfirm(t *testing.T) {
	versions(t, func(t *testing.T, db *pgtest.Database) {
		db.Exec(t, `CREATE TABLE b (id int PRIMARY KEY)`)
		slot := prepare(t, db)
		for _, sql := range []string{`INSERT INTO b VALUES (1)`, `INSERT INTO b VALUES (2)`, `INSERT INTO b VALUES (3)`} {
			db.Exec(t, sql)
		}
		r := start(t.Context(), t, db, slot, pgoutput.Options{Timeout: time.Minute}) // no status but that of Close
		r.transaction()
		second := r.commit()
		r.Confirm(second.LSN)
		r.Confirm(slot.Start) // not back
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		r = start(t.Context(), t, db, slot, pgoutput.Options{Timeout: time.Minute})
		if again := r.commit(); again != second {
			t.Errorf("first is the transaction %s after confirming the LSN of the second, %s", again.LSN, second.LSN)
		}
		r.Confirm(second.End)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		r = start(t.Context(), t, db, slot, pgoutput.Options{})
		compare(t, r.transaction(), []string{"relation public.b d id*", "insert b (3)"})
	})
}

// commit returns the end of the next transaction.
func (r tape) commit() pgoutput.Commit {
	r.t.Helper()
	for {
		if m, ok := r.next().(*pgoutput.Commit); ok {
			return *m
		}
	}
}

// In the middle of a large transaction the server listens to nothing but a
// cancel request.
func TestCloseInTransaction(t *testing.T) {
	versions(t, func(t *testing.T, db *pgtest.Database) {
		db.Exec(t, `CREATE TABLE b (id int, note text)`)
		slot := prepare(t, db)
		db.Exec(t, `INSERT INTO b SELECT g, repeat('n', 500) FROM generate_series(1, 150000) g`)
		r := start(t.Context(), t, db, slot, pgoutput.Options{})
		for range 10 {
			r.next()
		}
		if err := r.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		start(t.Context(), t, db, slot, pgoutput.Options{}) // the slot is free
	})
}
