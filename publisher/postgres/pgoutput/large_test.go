package pgoutput_test

import (
	"runtime"
	"testing"

	"github.com/petpro/fabric/publisher/postgres/pgoutput"
	"github.com/petpro/fabric/test/pgtest"
)

// Memory does not grow with the size of a transaction.
func TestLargeTransaction(t *testing.T) {
	const rows = 50_000
	db := pgtest.New(t)
	db.Exec(t, `CREATE TABLE b (id int PRIMARY KEY, status text, note text)`)
	slot := prepare(t, db)
	db.Exec(t, `INSERT INTO b SELECT g, 'pending', repeat('n', 200) FROM generate_series(1, $1) g`, rows)
	r := start(t.Context(), t, db, slot, pgoutput.Options{})
	var before, after runtime.MemStats
	n := 0
	for done := false; !done; {
		switch m := r.next().(type) {
		case *pgoutput.Insert:
			if n++; len(m.New) != 3 || len(m.New[2].Data) != 200 {
				t.Fatalf("row %d is %s", n, row(m.New))
			}
			if n == rows/10 {
				runtime.ReadMemStats(&before)
			}
		case *pgoutput.Commit:
			runtime.ReadMemStats(&after)
			done = true
		}
	}
	if n != rows {
		t.Errorf("%d rows, want %d", n, rows)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 1<<20 {
		t.Errorf("%d bytes allocated for %d rows, want none per row", allocated, rows*9/10)
	}
}
