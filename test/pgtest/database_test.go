package pgtest_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/petpro/fabric/test/pgtest"
)

// A database and its roles leave nothing behind, even with a slot in use.
func TestDatabaseIsDropped(t *testing.T) {
	var before *pgtest.Database
	t.Run("first", func(t *testing.T) {
		before = pgtest.New(t)
		before.Exec(t, `CREATE TABLE bookings (id int)`)
		before.Role(t, "REPLICATION", "SELECT ON bookings")
		before.Exec(t, `SELECT pg_create_logical_replication_slot('left_`+before.Name+`', 'pgoutput')`)
	})
	after := pgtest.New(t)
	for query, want := range map[string]string{
		`SELECT count(*)::text FROM pg_database WHERE datname = '` + before.Name + `'`:           "0",
		`SELECT count(*)::text FROM pg_replication_slots WHERE database = '` + before.Name + `'`: "0",
		`SELECT count(*)::text FROM pg_roles WHERE rolname LIKE 'role%'`:                         "0",
	} {
		if n := value(t, after.DSN, query); n != want {
			t.Errorf("%s: %s, want %s", query, n, want)
		}
	}
}

func TestRole(t *testing.T) {
	db := pgtest.New(t)
	db.Exec(t, `CREATE TABLE bookings (id int, secret int)`)
	role := db.Role(t, "REPLICATION", "SELECT (id) ON bookings")
	if got := value(t, role.DSN, `SELECT current_user || ' ' || rolreplication || ' ' || rolsuper FROM pg_roles WHERE rolname = current_user`); got != role.Name+" true false" {
		t.Errorf("role %s, want %s with replication", got, role.Name)
	}
	conn, err := pgx.Connect(t.Context(), role.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `SELECT id FROM bookings`); err != nil {
		t.Error(err)
	}
	_, err = conn.Exec(t.Context(), `SELECT secret FROM bookings`)
	if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "42501" {
		t.Errorf("SELECT of another column: %v, want 42501", err)
	}
}
