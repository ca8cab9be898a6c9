package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
	"github.com/petpro/fabric/publisher/postgres"
)

// Several writers change bookings and services at random, with rollbacks,
// savepoints and large transactions, while the source is stopped at random
// places, confirms at random, and goes on. Put together, it has emitted what
// another source, which reads all at once afterwards, emits: touches apart, which
// see the rows of their time.
func TestRandomRestarts(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	s := newShop(t, shopSchema, shopMapping())
	from := s.begin()
	reference, err := postgres.New("reference", publisher.PostgresConfig{DSN: s.db.DSN, Slot: s.db.Name + "_reference", Publication: "fabric_" + s.name},
		s.mapping, discard, nil)
	if err != nil {
		t.Fatal(err)
	}
	begin, err := reference.Snapshot(t.Context(), func(publisher.Entry) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	for i := range 3 {
		conn := s.db.Conn(t)
		writers.Go(func() { write(t, conn, rand.New(rand.NewPCG(seed, uint64(i)))) })
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		writers.Wait()
	}()
	got := s.readInPieces(from, rand.New(rand.NewPCG(seed, 99)), done)

	var want []string
	err = reference.Run(t.Context(), begin, func(e publisher.Entry) error {
		if !visible(e) {
			return nil
		}
		want = append(want, line(e))
		if last(e) {
			return errEnough
		}
		return nil
	})
	if err != errEnough {
		t.Fatalf("Run of the reference = %v", err)
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("%d entries, want %d; the first difference is at %d:\n%s\nwant\n%s", len(got), len(want), i,
				strings.Join(got[min(i, len(got)):min(i+3, len(got))], "\n"), strings.Join(want[min(i, len(want)):min(i+3, len(want))], "\n"))
		}
	}
}

// write makes random transactions.
func write(t *testing.T, conn *pgx.Conn, random *rand.Rand) {
	ctx := context.Background()
	aborted := false
	exec := func(sql string) {
		if aborted {
			return
		}
		if _, err := conn.Exec(ctx, sql); pgdb.State(err) == "40P01" {
			aborted = true // by a deadlock with another writer
		} else if err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	for range 40 {
		exec("BEGIN")
		for range 1 + random.IntN(4) {
			b, v := random.IntN(20), random.IntN(1000)
			switch random.IntN(8) {
			case 0:
				exec(fmt.Sprintf(`DELETE FROM bookings WHERE id = 'b%d' OR id LIKE 'many%%' AND user_id = '%d'`, b, v%7))
			case 1:
				exec(fmt.Sprintf(`INSERT INTO services VALUES ('s%d', 'p%d') ON CONFLICT (id) DO UPDATE SET provider_id = excluded.provider_id`, b%5, v))
			case 2:
				exec(fmt.Sprintf(`DELETE FROM services WHERE id = 's%d'`, b%5))
			case 3:
				exec(fmt.Sprintf(`SAVEPOINT a; INSERT INTO services VALUES ('never%d', ''); ROLLBACK TO a`, v))
			case 4:
				exec(fmt.Sprintf(`INSERT INTO bookings (id, user_id, service_id) SELECT 'many' || n, n %% 7, 's' || n %% 5 FROM generate_series(1, 200) n ON CONFLICT (id) DO UPDATE SET user_id = '%d'`, v))
			default:
				exec(fmt.Sprintf(`INSERT INTO bookings (id, service_id, notes) VALUES ('b%d', 's%d', repeat('x', %d)) ON CONFLICT (id) DO UPDATE SET status = 'confirmed', user_id = '%d'`, b, b%5, v*10, v))
			}
		}
		if random.IntN(4) == 0 || aborted {
			aborted = false
			exec("ROLLBACK")
		} else {
			exec("COMMIT")
		}
	}
}

// readInPieces reads until the writers are done, and all that they wrote.
func (s *shop) readInPieces(from string, random *rand.Rand, done <-chan struct{}) (lines []string) {
	s.t.Helper()
	emitted := "" // the last place
	ended := false
	for n := 0; ; n++ {
		src, left := s.open(), random.IntN(400)
		ctx, cancel := context.WithTimeout(s.t.Context(), patience)
		err := src.Run(ctx, from, func(e publisher.Entry) error {
			select {
			case <-done:
				if !ended {
					ended = true
					s.exec(`INSERT INTO bookings (id) VALUES ('last')`)
				}
			default:
			}
			if e.Place == "" {
				return nil
			}
			// As the publisher does it: what was published is left out.
			if src.Compare(e.Place, emitted) > 0 {
				if emitted = e.Place; visible(e) {
					lines = append(lines, line(e))
				}
			}
			if last(e) {
				return errEnough
			}
			if left--; left < 0 {
				return errStop
			}
			if left%7 == 0 {
				return src.Confirm(ctx, e.Place)
			}
			return nil
		})
		cancel()
		switch {
		case err == errEnough:
			return lines
		case err != errStop:
			s.t.Fatalf("Run %d from %s = %v", n, from, err)
		}
		from = emitted
	}
}

var errStop = errors.New("stop")

func visible(e publisher.Entry) bool {
	return e.Change != nil && e.Change.Op != publisher.Load && e.Change.Op != publisher.Touch
}

func last(e publisher.Entry) bool {
	return e.Change != nil && e.Change.Op == publisher.Insert && e.Change.New["id"].Text == "last"
}

// line is an entry but for what depends on when it was read.
func line(e publisher.Entry) string {
	c := *e.Change
	c.Recall, c.Unknown = false, false
	if c.New != nil {
		row := publisher.Row{}
		for name, v := range c.New {
			if name != "notes" {
				row[name] = v
			}
		}
		c.New = row
	}
	return e.Place + " " + show([]publisher.Entry{{Change: &c}})
}
