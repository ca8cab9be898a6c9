package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/test/pgtest"
)

// A mapped column that is renamed under load halts the source at the first row
// that has another name, and with the mapping mended it goes on there.
func TestRenamedUnderLoad(t *testing.T) {
	s := newShop(t, shopSchema, all("bookings", "id", "id", "status"))
	from := s.begin()
	var want []string
	write := func(n int) {
		id := fmt.Sprintf("b%02d", n)
		want = append(want, id)
		s.exec(`INSERT INTO bookings (id) VALUES ('` + id + `')`)
	}
	for n := range 5 {
		write(n)
	}
	var got []publisher.Entry
	var writer sync.WaitGroup
	place := from
	_, err := s.until(from, func(entries []publisher.Entry) bool {
		got = entries
		place = entries[len(entries)-1].Place
		if len(entries) == 5 {
			writer.Go(func() {
				for n := 5; n < 10; n++ {
					write(n)
				}
				s.exec(`ALTER TABLE bookings RENAME COLUMN status TO state`)
				for n := 10; n < 15; n++ {
					write(n)
				}
			})
		}
		return false
	})
	writer.Wait()
	if !errors.Is(err, publisher.ErrHalt) || !strings.Contains(err.Error(), `public.bookings has no column "status" any more, it has id, state;`) {
		t.Fatalf("Run = %v, want ErrHalt that names the columns", err)
	}
	if ids := ids(got); !slices.Equal(ids, want[:10]) {
		t.Errorf("Run emits %q before it halts, want %q", ids, want[:10])
	}
	err = s.open().Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), `has no column "status"`) {
		t.Errorf("Check = %v, want the column that is missing", err)
	}

	s.mapping = all("bookings", "id", "id", "state")
	s.source()
	// From the beginning, too: what was logged under the old name is understood.
	for _, test := range []struct {
		from string
		want []string
	}{{place, want[9:]}, {from, want}} {
		again := s.collect(test.from, len(test.want))
		if ids := ids(again); !slices.Equal(ids, test.want) {
			t.Errorf("Run from %s emits %q, want %q", test.from, ids, test.want)
		}
		for _, e := range again {
			if e.Change.New["state"].Text != "pending" {
				t.Errorf("Run from %s emits %v, want every state", test.from, e.Change.New)
			}
		}
	}
}

// What the log holds of columns under other names, or not at all.
func TestRowsOfFormerColumns(t *testing.T) {
	db, parts := pgtest.New(t), 0
	for name, test := range map[string]struct{ alter, want string }{
		"renamed":                 {`RENAME b TO z`, "id=1 z=B"},
		"renamed at the end":      {`RENAME d TO z`, "id=1 z=D"},
		"two renamed":             {`RENAME b TO y; ALTER TABLE t RENAME c TO z`, "id=1 z=C"},
		"another added":           {`ADD w text; ALTER TABLE t RENAME d TO z`, "id=1 z=D"},
		"neighbour dropped":       {`DROP b; ALTER TABLE t RENAME c TO z`, "id=1 z=C now"},
		"dropped and another one": {`DROP d; ALTER TABLE t ADD z text DEFAULT 'new'`, "id=1 z=new"},
		"added":                   {`ADD z text DEFAULT 'new'`, "id=1 z=new"},
		"swapped for another":     {`DROP b; ALTER TABLE t ADD z int DEFAULT 7`, "id=1 z=7"},
	} {
		t.Run(name, func(t *testing.T) {
			parts++
			schema := fmt.Sprintf("part_%d", parts)
			s := partOf(t, db, schema, `CREATE TABLE t (id int PRIMARY KEY, b text, c text, d text)`, all("t", "id", "id"))
			s.exec(`ALTER PUBLICATION fabric_` + s.name + ` SET TABLE t`)
			from := s.begin()
			s.exec(`INSERT INTO t VALUES (1, 'B', 'C', 'D')`)
			s.exec(`UPDATE t SET b = 'B now', c = 'C now', d = 'D now'`)
			s.exec(`ALTER TABLE t ` + test.alter)
			s.mapping = in(schema, all("t", "id", "id", "z"))
			s.wantRun(from, "Insert t new("+test.want+")")
		})
	}
}

// A column that is gone for good halts until the mapping does without it.
func TestDroppedColumn(t *testing.T) {
	s := newShop(t, shopSchema, all("bookings", "id", "id", "notes"))
	s.exec(`ALTER PUBLICATION fabric_` + s.name + ` SET TABLE bookings`)
	from := s.begin()
	s.exec(`INSERT INTO bookings (id) VALUES ('b1')`)
	s.exec(`ALTER TABLE bookings DROP COLUMN notes`)
	s.exec(`INSERT INTO bookings (id) VALUES ('b2')`)
	entries, err := s.until(from, func([]publisher.Entry) bool { return false })
	if len(entries) != 1 || !errors.Is(err, publisher.ErrHalt) {
		t.Errorf("Run emits %d entries and ends with %v, want the one before, and ErrHalt", len(entries), err)
	}
	s.mapping = all("bookings", "id", "id")
	s.wantRun(from, "Insert bookings new(id=b1)\nInsert bookings new(id=b2)")
}

// A table that was dropped halts, too: its rows must not be passed over.
func TestDroppedTable(t *testing.T) {
	s := newShop(t, shopSchema, all("bookings", "id", "id", "notes"))
	s.exec(`ALTER PUBLICATION fabric_` + s.name + ` SET TABLE bookings`)
	from := s.begin()
	s.exec(`INSERT INTO bookings (id) VALUES ('b1')`)
	entries, err := s.until(from, func([]publisher.Entry) bool {
		s.exec(`ALTER TABLE bookings DROP COLUMN notes`)
		s.exec(`INSERT INTO bookings (id) VALUES ('b2')`)
		s.exec(`DROP TABLE bookings`)
		return false
	})
	if len(entries) != 1 || !errors.Is(err, publisher.ErrHalt) || !strings.Contains(err.Error(), "there is no table public.bookings any more") {
		t.Errorf("Run emits %d entries and ends with %v, want ErrHalt that names the table", len(entries), err)
	}
	if _, err = s.until(from, func([]publisher.Entry) bool { return false }); !errors.Is(err, publisher.ErrHalt) {
		t.Errorf("Run = %v, want ErrHalt", err)
	}
}
