package outbox_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/test/pgtest"
)

// promptly is far less than what a lost wake-up would cost, and far more than
// a busy machine needs.
const promptly = 1500 * time.Millisecond

// listener counts the notifications of an outbox.
func (db *database) listener() (count func() int) {
	db.t.Helper()
	conn := db.Conn(db.t)
	if _, err := conn.Exec(db.t.Context(), "LISTEN fabric"); err != nil {
		db.t.Fatal(err)
	}
	return func() (n int) {
		for {
			// What was sent before an answer has come before it.
			if err := conn.Ping(context.Background()); err != nil {
				db.t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			_, err := conn.WaitForNotification(ctx)
			cancel()
			if err != nil {
				return n
			}
			n++
		}
	}
}

// asleep waits until the reader holds the lock of a sleeper.
func (db *database) asleep(want bool) {
	db.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if got := db.value("SELECT (count(*) > 0)::text FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"); (got == "true") == want {
			return
		}
	}
	db.t.Fatalf("the reader does not come to be asleep = %v", want)
}

// TestNotify: only a reader that sleeps is notified.
func TestNotify(t *testing.T) {
	db := newDatabase(t, "CREATE TABLE t (id int PRIMARY KEY, a text)")
	src := db.source(plainMapping("t", "id", "id", "a"))
	from := snapshotPlace(t, src)
	count := db.listener()
	db.exec("INSERT INTO t VALUES (1)")
	if n := count(); n != 0 {
		t.Errorf("%d notifications while nobody reads, want 0", n)
	}
	r := runBehind(t, src, from)
	r.next()
	db.asleep(true)
	db.exec("INSERT INTO t VALUES (2)")
	if n := count(); n != 1 {
		t.Errorf("%d notifications of a reader that sleeps, want 1", n)
	}
	r.next()
	r.stop()

	// One whose emit blocks is awake.
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	emitting := make(chan struct{})
	run.Go(func() {
		_ = src.Run(ctx, from, func(e publisher.Entry) error {
			emitting <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		})
	})
	<-emitting
	count()
	for i := range 20 {
		db.exec("INSERT INTO t VALUES ($1)", 10+i)
	}
	if n := count(); n != 0 {
		t.Errorf("%d notifications of a reader that is awake, want 0", n)
	}
	cancel()
	run.Wait()
}

// TestWakeUp writes at random moments, by several writers whose transactions
// last, and looks whether each change arrives promptly.
func TestWakeUp(t *testing.T) {
	db := newDatabase(t, "CREATE TABLE t (id bigint PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())")
	src := db.source(plainMapping("t", "id", "id"))
	r := runBehind(t, src, snapshotPlace(t, src))
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	const writers, writes = 3, 100
	var mu sync.Mutex
	committed := map[string]time.Time{}
	var all sync.WaitGroup
	for w := range writers {
		conn, random := db.Conn(t), rand.New(rand.NewPCG(seed, uint64(w)))
		all.Go(func() {
			for i := range writes {
				id := itoa(w*writes + i)
				if err := pgx.BeginFunc(context.Background(), conn, func(tx pgx.Tx) error {
					_, err := tx.Exec(context.Background(), "INSERT INTO t VALUES ($1)", id)
					if random.IntN(3) == 0 {
						time.Sleep(time.Duration(random.IntN(4000)) * time.Microsecond)
					}
					mu.Lock()
					defer mu.Unlock()
					committed[id] = time.Now()
					return err
				}); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Duration(random.IntN(6000)) * time.Microsecond)
			}
		})
	}
	t.Cleanup(all.Wait)
	var slowest time.Duration
	for range writers * writes {
		id := r.next().Change.New["id"].Text
		mu.Lock()
		slowest = max(slowest, time.Since(committed[id]))
		mu.Unlock()
	}
	all.Wait()
	if slowest > promptly {
		t.Errorf("a change came %v after its commit", slowest)
	}
}

// TestOpenWriter has a transaction with a change of its own stay open, so that
// the reader may not sleep: others' changes arrive nevertheless.
func TestOpenWriter(t *testing.T) {
	db := newDatabase(t, "CREATE TABLE t (id int PRIMARY KEY, a text)")
	src := db.source(plainMapping("t", "id", "id", "a"))
	r := runBehind(t, src, snapshotPlace(t, src))
	db.asleep(true)
	open := db.begun()
	open("INSERT INTO t VALUES (1)")
	db.exec("INSERT INTO t VALUES (2)") // wakes it up, it cannot sleep again
	r.next()
	db.asleep(false)
	for i := range 10 {
		begin := time.Now()
		db.exec("INSERT INTO t VALUES ($1)", 10+i)
		r.next()
		if took := time.Since(begin); took > promptly {
			t.Errorf("a change came after %v", took)
		}
	}
	open("COMMIT")
	r.next()
	db.asleep(true)
}

// TestTwoPhases prepares transactions, which PostgreSQL refuses to one that
// notifies.
func TestTwoPhases(t *testing.T) {
	pg := pgtest.Run(t, pgtest.Setting("max_prepared_transactions", "5"))
	db := database{Database: pg.Database(t), t: t}.begin("CREATE TABLE t (id int PRIMARY KEY)")
	src := db.source(plainMapping("t", "id", "id"))
	r := runBehind(t, src, snapshotPlace(t, src))
	db.asleep(true)
	db.exec("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'x'")
	db.exec("COMMIT PREPARED 'x'")
	committed := time.Now()
	r.next()
	if took := time.Since(committed); took > promptly {
		t.Errorf("a change came after %v", took)
	}
}
