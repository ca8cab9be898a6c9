package pgoutput_test

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/petpro/fabric/publisher/postgres/pgoutput"
	"github.com/petpro/fabric/test/pgtest"
)

// An idle database is heard of every tenth of the timeout, and keepalives go
// past what other databases write.
func TestIdle(t *testing.T) {
	versions(t, func(t *testing.T, db *pgtest.Database) {
		slot := prepare(t, db)
		r := start(t.Context(), t, db, slot, pgoutput.Options{Timeout: 2 * time.Second})
		var first pgoutput.LSN
		begin := time.Now()
		for i := range 4 {
			m, err := r.Receive()
			if err != nil {
				t.Fatal(err)
			}
			k, ok := m.(*pgoutput.Keepalive)
			if !ok {
				t.Fatalf("an idle server sends %T", m)
			}
			if off := time.Since(k.Time).Abs(); off > patience {
				t.Errorf("the server's clock is %s off", off)
			}
			if i == 0 {
				first = k.End
			}
		}
		if took := time.Since(begin); took > patience/2 {
			t.Errorf("4 keepalives took %s, want 800 ms", took)
		}
		other := db.Server.Database(t)
		other.Exec(t, `CREATE TABLE o AS SELECT repeat('x', 1000) FROM generate_series(1, 2000)`)
		for deadline := time.Now().Add(patience); ; {
			m, err := r.Receive()
			if err != nil {
				t.Fatal(err)
			}
			k, ok := m.(*pgoutput.Keepalive)
			if ok && k.End > first+2<<20 {
				r.Confirm(k.End)
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%T, %s after 2 MB in another database, %s before", m, k.End, first)
			}
		}
		eventually(t, db, `SELECT confirmed_flush_lsn - $1::pg_lsn > 2000000 FROM pg_replication_slots WHERE slot_name = $2`,
			first.String(), slot.Name)
	})
}

// Whoever takes longer for a message than wal_sender_timeout stays connected.
// The transaction is larger than what fits into buffers, so the server itself
// waits meanwhile.
func TestSlowReader(t *testing.T) {
	versions(t, func(t *testing.T, db *pgtest.Database) {
		const timeout = 1500 * time.Millisecond
		db.Exec(t, `CREATE TABLE b (id int, note text)`)
		slot := prepare(t, db)
		db.Exec(t, `INSERT INTO b SELECT g, repeat('n', 1000) FROM generate_series(1, 20000) g`)
		r := start(t.Context(), t, db, slot, pgoutput.Options{Timeout: timeout})
		begin := r.next().(*pgoutput.Begin)
		r.Confirm(begin.Commit)
		eventually(t, db, `SELECT confirmed_flush_lsn = $1::pg_lsn FROM pg_replication_slots WHERE slot_name = $2`,
			begin.Commit.String(), slot.Name)
		time.Sleep(2 * timeout) // the reader is busy
		for n := 0; ; n++ {
			if _, ok := r.next().(*pgoutput.Commit); ok {
				if n != 1+20000 {
					t.Errorf("%d messages, want a Relation and 20000 rows", n)
				}
				break
			}
		}
	})
}

// A walsender that hangs is given up.
func TestSilence(t *testing.T) {
	db := pgtest.New(t)
	slot := prepare(t, db)
	r := start(t.Context(), t, db, slot, pgoutput.Options{Timeout: 5 * time.Second, Silence: 2 * time.Second})
	if _, err := r.Receive(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if err := db.Conn(t).QueryRow(t.Context(), `SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1`, slot.Name).Scan(&pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(pid, syscall.SIGCONT)
	begin := time.Now()
	err := drain(r.Stream)
	if !errors.Is(err, pgoutput.ErrSilent) {
		t.Errorf("Receive from a process that was stopped = %v, want ErrSilent", err)
	}
	if took := time.Since(begin); took < time.Second || took > patience/2 {
		t.Errorf("it took %s to notice, want 2 s", took)
	}
	if err := r.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
}

// drain receives until an error.
func drain(s *pgoutput.Stream) error {
	for {
		if _, err := s.Receive(); err != nil {
			return err
		}
	}
}

// The context ends Receive, and the slot is free when Close returns.
func TestContext(t *testing.T) {
	versions(t, func(t *testing.T, db *pgtest.Database) {
		slot := prepare(t, db)
		ctx, cancel := context.WithCancel(t.Context())
		r := start(ctx, t, db, slot, pgoutput.Options{})
		time.AfterFunc(50*time.Millisecond, cancel)
		begin := time.Now()
		if err := drain(r.Stream); err != context.Canceled {
			t.Errorf("Receive = %v, want %v", err, context.Canceled)
		}
		if took := time.Since(begin); took > patience/10 {
			t.Errorf("it took %s", took)
		}
		if err := r.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		if _, err := r.Receive(); err != context.Canceled {
			t.Errorf("Receive after Close = %v, want %v", err, context.Canceled)
		}
		conn := connect(t, db, pgoutput.Options{})
		if err := conn.DropSlot(t.Context(), slot.Name); err != nil {
			t.Errorf("dropping the slot after Close: %v", err)
		}
	})
}
