package pgtest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/petpro/fabric/test/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// versions are the PostgreSQL that tests run on.
var versions = map[string][]pgtest.Option{"15": nil, "17": {pgtest.Version17}}

// value of a query of one row and column, as superuser.
func value(t *testing.T, dsn, query string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	var v string
	if err := conn.QueryRow(t.Context(), query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func TestVersions(t *testing.T) {
	for want, opts := range versions {
		db := pgtest.New(t, opts...)
		if got := value(t, db.DSN, `SELECT split_part(current_setting('server_version'), '.', 1) || ' ' || current_setting('wal_level')`); got != want+" logical" {
			t.Errorf("version and wal_level are %s, want %s logical", got, want)
		}
	}
}

// What was committed is there after a stop, a crash and a kill.
func TestRestart(t *testing.T) {
	pg := pgtest.Run(t)
	db := pg.Database(t)
	db.Exec(t, `CREATE TABLE a (n int)`)
	for _, end := range []func(testing.TB){pg.Stop, pg.Crash, pg.Kill} {
		db.Exec(t, `INSERT INTO a VALUES (1)`)
		end(t)
		if pid := pg.Pid(); pid != 0 {
			t.Errorf("process %d after the end", pid)
		}
		pg.Start(t)
	}
	if n := value(t, db.DSN, `SELECT count(*)::text FROM a`); n != "3" {
		t.Errorf("%s rows, want 3", n)
	}
}

// A paused server accepts connections, as its system does, but does not answer.
func TestPause(t *testing.T) {
	pg := pgtest.Run(t)
	conn := pg.Database(t).Conn(t)
	pg.Pause(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := pgx.Connect(ctx, pg.DSN("postgres")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("connect to a paused server: %v", err)
	}
	pg.Resume(t)
	var n int
	if err := conn.QueryRow(t.Context(), `SELECT 1`).Scan(&n); err != nil {
		t.Errorf("a connection from before the pause: %v", err)
	}
	pg.Pause(t) // the end of the test ends it all the same
}

func TestSetting(t *testing.T) {
	pg := pgtest.Run(t, pgtest.Setting("wal_level", "replica"))
	pg.Set("wal_level", "minimal")
	pg.Set("max_wal_senders", "0")
	if got := value(t, pg.DSN("postgres"), `SHOW wal_level`); got != "replica" {
		t.Errorf("wal_level is %s, want replica", got)
	}
	pg.Stop(t)
	pg.Start(t)
	if got := value(t, pg.DSN("postgres"), `SHOW wal_level`); got != "minimal" {
		t.Errorf("wal_level is %s after the restart, want minimal", got)
	}
}

// A restored server knows nothing of what was written since.
func TestSaveRestore(t *testing.T) {
	pg := pgtest.Run(t)
	db := pg.Database(t)
	db.Exec(t, `CREATE TABLE a (n int); INSERT INTO a VALUES (1)`)
	system := value(t, db.DSN, `SELECT system_identifier::text FROM pg_control_system()`)
	pg.Stop(t)
	saved := pg.Save(t)
	for range 2 { // a copy can be used again
		pg.Start(t)
		db.Exec(t, `INSERT INTO a VALUES (2)`)
		pg.Crash(t)
		pg.Restore(t, saved)
	}
	pg.Start(t)
	if n := value(t, db.DSN, `SELECT string_agg(n::text, ' ') FROM a`); n != "1" {
		t.Errorf("rows %s, want 1", n)
	}
	if again := value(t, db.DSN, `SELECT system_identifier::text FROM pg_control_system()`); again != system {
		t.Errorf("system %s, want %s", again, system)
	}
}

func TestAccess(t *testing.T) {
	pg := pgtest.Run(t, pgtest.Access("host all guest 127.0.0.1/32 scram-sha-256"))
	db := pg.Database(t)
	db.Exec(t, `CREATE ROLE guest LOGIN PASSWORD 'right'`)
	for password, want := range map[string]string{"right": "", "wrong": "28P01"} {
		conn, err := pgx.Connect(t.Context(), db.DSN+"&user=guest&password="+password)
		if e, _ := errors.AsType[*pgconn.PgError](err); want != "" && (e == nil || e.Code != want) || want == "" && err != nil {
			t.Errorf("password %s: %v, want %q", password, err, want)
		}
		if conn != nil {
			conn.Close(t.Context())
		}
	}
}

func TestTLS(t *testing.T) {
	pg := pgtest.Run(t, pgtest.TLS("db.test"))
	dsn := pg.DSN("postgres") + "&sslmode=verify-ca&sslrootcert=" + pg.CA()
	if on := value(t, dsn, `SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()`); on != "true" {
		t.Errorf("TLS is %s, want true", on)
	}
}
