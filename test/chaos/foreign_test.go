package chaos_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/test/pgtest"
	"github.com/petpro/fabric/test/shoptest"
)

// An idle database beside a busy one: what the other writes is not held back by
// the slot.
func TestForeignLog(t *testing.T) {
	t.Parallel()
	f := newCounted(t, shoptest.Postgres, some)
	f.prepare()
	p := f.publish()
	other := f.server.Database(t)
	keptUp := `SELECT (pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn) < 100e3)::text FROM pg_replication_slots WHERE slot_name = '` + f.slot() + `'`
	before := ask(t, f.server, `SELECT pg_current_wal_lsn()::text`)
	other.Exec(t, `CREATE TABLE foreign_rows (id int, text text)`)
	for range 5 {
		other.Exec(t, `INSERT INTO foreign_rows SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 35000) i`)
	}
	if more := ask(t, f.server, `SELECT (pg_wal_lsn_diff(pg_current_wal_lsn(), '`+before+`') >= 50e6)::text`); more != "true" {
		t.Fatal("the other database wrote less than 50 MB of log")
	}
	began := time.Now()
	awaitWithin(t, 30*time.Second, "slot that has kept up", func() bool { return ask(t, f.server, keptUp) == "true" })
	t.Logf("kept up after %d ms", time.Since(began).Milliseconds())
	p.stop()
}

// slot of the postgres source.
func (f *fabric) slot() string { return f.shop.SourceConfig().Postgres.Slot }

// ask reads one text; "" if there is no row.
func ask(t testing.TB, s *pgtest.Server, query string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	var text string
	if err := conn.QueryRow(ctx, query).Scan(&text); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatalf("%s: %v", query, err)
	}
	return text
}
