package pgdb_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
	"github.com/petpro/fabric/test/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// versions are the PostgreSQL that tests run on.
var versions = map[string][]pgtest.Option{"15": nil, "17": {pgtest.Version17}}

// connect opens a connection that ends with the test.
func connect(t *testing.T, dsn string, opts pgdb.Options) *pgx.Conn {
	t.Helper()
	conn, err := pgdb.Connect(t.Context(), dsn, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// replication opens a connection for replication.
func replication(ctx context.Context, dsn string) (*pgconn.PgConn, error) {
	config, err := pgdb.Config(dsn, pgdb.Options{Application: "fabric shop"})
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["replication"] = "database"
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, pgdb.ConnectError(ctx, config, err)
	}
	return conn, nil
}

// value of a query of one row and column.
func value(t *testing.T, db pgdb.DB, query string, args ...any) string {
	t.Helper()
	var v string
	if err := db.QueryRow(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// meaning of an error in a word.
func meaning(err error) string {
	_, problem := errors.AsType[publisher.Problem](err)
	switch {
	case err == nil:
		return ""
	case problem:
		return "problem"
	case errors.Is(err, publisher.ErrAway):
		return "away"
	case errors.Is(err, publisher.ErrLost):
		return "lost"
	}
	return "unknown"
}

// expect checks what an error means, and that its one line says all of parts.
func expect(t *testing.T, err error, want string, parts ...string) {
	t.Helper()
	if got := meaning(err); got != want {
		t.Errorf("means %q, want %q: %v", got, want, err)
	}
	if err == nil {
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%q has more than one line", err)
	}
}
