package outbox_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher"
)

// TestOrderOfARow has one transaction draw its number first and change the row
// last: by transaction ids the changes would come inverted.
func TestOrderOfARow(t *testing.T) {
	db := newDatabase(t, "CREATE TABLE t (id int PRIMARY KEY, a text); CREATE TABLE other (x int)")
	src := db.source(plainMapping("t", "id", "id", "a"))
	db.exec("INSERT INTO t VALUES (1, 'pending')")
	from := snapshotPlace(t, src)
	first := db.begun()
	first("INSERT INTO other VALUES (1)")
	db.exec("UPDATE t SET a = 'confirmed'")
	first("UPDATE t SET a = 'completed'")
	first("COMMIT")
	wantRun(t, src, from, `
Update t old(a=pending id=1) new(a=confirmed id=1)
Update t old(a=confirmed id=1) new(a=completed id=1)`)
}

// begun is a transaction of its own.
func (db *database) begun() func(sql string) {
	db.t.Helper()
	conn := db.Conn(db.t)
	exec := func(sql string) {
		db.t.Helper()
		if _, err := conn.Exec(context.Background(), sql); err != nil {
			db.t.Errorf("%s: %v", sql, err)
		}
	}
	exec("BEGIN")
	return exec
}

// TestLateCommit commits a change with a lower id after one with a higher id
// was emitted. A transaction of another database that stays open holds nothing
// up.
func TestLateCommit(t *testing.T) {
	db := newDatabase(t, "CREATE TABLE t (id int PRIMARY KEY, a text)")
	foreign := database{Database: db.Server.Database(t), t: t}.begin("CREATE TABLE x (x int)").begun()
	foreign("INSERT INTO x VALUES (1)")
	src := db.source(plainMapping("t", "id", "id", "a"))
	r := runBehind(t, src, snapshotPlace(t, src))
	late := db.begun()
	late("INSERT INTO t VALUES (1, 'late')")
	db.exec("INSERT INTO t VALUES (2, 'early')")
	if got := r.next().Change.New["a"].Text; got != "early" {
		t.Errorf("first came %q, want early", got)
	}
	for range 5 {
		db.exec("UPDATE t SET a = a || '.' WHERE id = 2") // each is a chance to pass the late one over for good
		r.next()
	}
	committed := time.Now()
	late("COMMIT")
	if got := r.next().Change.New["a"].Text; got != "late" {
		t.Errorf("then came %q, want late", got)
	}
	if took := time.Since(committed); took > promptly {
		t.Errorf("what was committed late came after %v", took)
	}
	foreign("ROLLBACK")
}

// TestProviderRace books a service in a transaction that overlaps one which
// gives the service another provider, in every order of events. Replaying the
// log must end with the booking's vendor being the service's provider.
func TestProviderRace(t *testing.T) {
	db := newDatabase(t, shopSchema)
	src := db.source(shopMapping())
	steps := [][]string{ // of the two transactions, in one order each
		{"change", "book", "commit change", "commit book"},
		{"change", "book", "commit book", "commit change"},
		{"book", "change", "commit change", "commit book"},
		{"book", "change", "commit book", "commit change"},
	}
	for i, order := range steps {
		for j, isolation := range []string{"READ COMMITTED", "REPEATABLE READ"} {
			service, booking := fmt.Sprintf("s%d-%d", i, j), fmt.Sprintf("b%d-%d", i, j)
			db.exec("INSERT INTO services VALUES ($1, 'before')", service)
			from := snapshotPlace(t, src)
			change, book := db.begun(), db.begun()
			book("SET TRANSACTION ISOLATION LEVEL " + isolation)
			book("SELECT count(*) FROM services") // takes the snapshot
			r := runBehind(t, src, from)          // looks after each step
			for _, step := range order {
				switch step {
				case "change":
					change("UPDATE services SET provider_id = 'after' WHERE id = '" + service + "'")
				case "book":
					book("INSERT INTO bookings (id, service_id, user_id) VALUES ('" + booking + "', '" + service + "', 'u')")
				case "commit change":
					change("COMMIT")
				case "commit book":
					book("COMMIT")
				}
				time.Sleep(5 * time.Millisecond) // lets Run look in between
			}
			provider, vendor, last := "before", "", ""
			for vendor != "after" {
				e := r.next()
				last += show([]publisher.Entry{e})
				switch c := e.Change; {
				case c.Table == "services":
					provider = c.New["provider_id"].Text
				default: // the mapper looks up now
					vendor = provider
				}
			}
			r.stop()
			if t.Failed() {
				t.Fatalf("%v, %s:\n%s", order, isolation, last)
			}
		}
	}
}

// TestConcurrentWriters writes with random order of commits, roll-backs and
// sleeps, and replays the log into a map: each entry must find the row as its
// Old says, and in the end the map must be the table.
func TestConcurrentWriters(t *testing.T) {
	for _, pooled := range []bool{false, true} {
		t.Run(fmt.Sprintf("pooled=%v", pooled), func(t *testing.T) {
			t.Parallel()
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			db := newDatabase(t, "CREATE TABLE t (id int PRIMARY KEY, a int, b text, secret text)")
			if pooled {
				db.dsn = db.Pooled(t)
			}
			src := db.source(plainMapping("t", "id", "id", "a", "b"))
			r := runBehind(t, src, snapshotPlace(t, src))
			var writers sync.WaitGroup
			for w := range 4 {
				conn := db.Conn(t)
				writers.Go(func() { writeAtRandom(t, conn, rand.New(rand.NewPCG(seed, uint64(w)))) })
			}
			end := db.Conn(t)
			var all sync.WaitGroup
			t.Cleanup(all.Wait)
			all.Go(func() {
				writers.Wait()
				if _, err := end.Exec(context.Background(), "INSERT INTO t VALUES (-1, 0, 'end')"); err != nil {
					t.Error(err)
				}
			})
			model := map[string]string{}
			for ended := false; !ended; {
				c := r.next().Change
				if c.Old != nil {
					if was := model[c.Old["id"].Text]; was != showRow(c.Old) {
						t.Fatalf("the log has the row as %q, and then %s", was, show([]publisher.Entry{{Change: c}}))
					}
					delete(model, c.Old["id"].Text)
				}
				if c.New != nil {
					model[c.New["id"].Text] = showRow(c.New)
					ended = c.New["b"].Text == "end"
				}
			}
			all.Wait()
			actual := map[string]string{}
			if _, err := db.bare(plainMapping("t", "id", "id", "a", "b")).Snapshot(t.Context(), func(e publisher.Entry) error {
				actual[e.Change.New["id"].Text] = showRow(e.Change.New)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(model, actual) {
				t.Errorf("the log ends with\n%v\nthe table is\n%v", model, actual)
			}
		})
	}
}

func writeAtRandom(t *testing.T, conn *pgx.Conn, random *rand.Rand) {
	ctx := context.Background()
	for range 60 {
		tx, err := conn.Begin(ctx)
		if err != nil {
			t.Error(err)
			return
		}
		for range 1 + random.IntN(4) {
			id := random.IntN(12)
			stmt := [...]string{
				"INSERT INTO t VALUES (%d, %d, 'i') ON CONFLICT DO NOTHING",
				"UPDATE t SET a = %[2]d WHERE id = %[1]d",
				"UPDATE t SET a = %[2]d, id = id + 20 WHERE id = %[1]d AND NOT EXISTS (SELECT FROM t WHERE id = %[1]d + 20)",
				"UPDATE t SET secret = '%[2]d' WHERE id = %[1]d",
				"DELETE FROM t WHERE id IN (%[1]d, %[2]d, %[1]d + 20)",
				"INSERT INTO t VALUES (%d, %d, 'j') ON CONFLICT (id) DO UPDATE SET a = excluded.a, b = excluded.b",
			}[random.IntN(6)]
			// Deadlocks and conflicts are part of it.
			if _, err := tx.Exec(ctx, fmt.Sprintf(stmt, id, random.IntN(5))); err != nil {
				break
			}
			if random.IntN(4) == 0 {
				time.Sleep(time.Duration(random.IntN(3)) * time.Millisecond)
			}
		}
		if random.IntN(5) == 0 {
			_ = tx.Rollback(ctx)
		} else {
			_ = tx.Commit(ctx)
		}
	}
}
