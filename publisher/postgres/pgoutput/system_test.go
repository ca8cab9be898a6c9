package pgoutput_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/petpro/fabric/publisher/postgres/pgoutput"
	"github.com/petpro/fabric/test/pgtest"
)

// A promotion keeps the system identifier and begins a timeline, whose history
// says where the former was left.
func TestPromotion(t *testing.T) {
	servers(t, func(t *testing.T, pg *pgtest.Server, db *pgtest.Database) {
		before := identify(t, db)
		if before.System.Timeline != 1 || len(before.history) != 0 {
			t.Errorf("a new server is on timeline %d, history %v; want 1, none", before.Timeline, before.history)
		}
		var id string
		if err := db.Conn(t).QueryRow(t.Context(), `SELECT system_identifier FROM pg_control_system()`).Scan(&id); err != nil {
			t.Fatal(err)
		}
		if got := strconv.FormatUint(before.ID, 10); got != id {
			t.Errorf("system identifier %s, want %s", got, id)
		}

		pg.Stop(t)
		signal := filepath.Join(pg.Dir, "standby.signal")
		if err := os.WriteFile(signal, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(signal, 0o666); err != nil { // the server is another user
			t.Fatal(err)
		}
		pg.Start(t)
		db.Exec(t, `SELECT pg_promote()`)

		after := identify(t, db)
		if after.ID != before.ID || after.Timeline != 2 || len(after.history) != 1 {
			t.Fatalf("after promotion: %+v, want system %d on timeline 2 with one switch", after, before.ID)
		}
		s := after.history[0]
		if s.Timeline != 1 || s.End < before.Flushed || s.End > after.Flushed || s.Reason == "" {
			t.Errorf("switch %+v, want one from timeline 1 between %s and %s", s, before.Flushed, after.Flushed)
		}
	})
}

type identity struct {
	pgoutput.System
	history []pgoutput.Switch
}

func identify(t *testing.T, db *pgtest.Database) identity {
	t.Helper()
	conn := connect(t, db, pgoutput.Options{})
	defer conn.Close()
	system, err := conn.Identify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	history, err := conn.History(t.Context(), system.Timeline)
	if err != nil {
		t.Fatal(err)
	}
	return identity{system, history}
}

func TestNoSuchTimeline(t *testing.T) {
	db := pgtest.New(t)
	_, err := connect(t, db, pgoutput.Options{}).History(t.Context(), 7)
	wantError(t, err, pgoutput.ReadingHistory, "58P01")
}

func TestConnectRefused(t *testing.T) {
	db := pgtest.New(t)
	role := "walless_" + db.Name
	db.Exec(t, `CREATE ROLE `+role+` LOGIN`)
	t.Cleanup(func() { db.Exec(t, `DROP ROLE `+role) })
	for _, test := range []struct {
		name     string
		change   func(*pgconn.Config)
		sqlstate string
	}{
		{"role", func(c *pgconn.Config) { c.User = role }, "42501"},
		{"database", func(c *pgconn.Config) { c.Database = "missing" }, "3D000"},
		{"port", func(c *pgconn.Config) { c.Port = 1 }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			config, err := pgconn.ParseConfig(db.DSN)
			if err != nil {
				t.Fatal(err)
			}
			test.change(config)
			_, err = pgoutput.Connect(t.Context(), config, pgoutput.Options{})
			wantError(t, err, pgoutput.Connecting, test.sqlstate)
		})
	}
}
