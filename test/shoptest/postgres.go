package shoptest

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the writer's driver

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
	"github.com/petpro/fabric/test/pgtest"
)

func (s *Shop) openPostgres(t testing.TB, server *pgtest.Server) {
	t.Helper()
	if server != nil {
		s.Database = server.Database(t)
	} else {
		s.Database = pgtest.New(t, s.Kind.server...)
	}
	db, err := sql.Open("pgx", s.Database.DSN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s.DB = db
	dsn := s.Database.DSN
	if s.Kind.pooled {
		dsn = s.Database.Pooled(t)
	}
	if s.config.Kind == publisher.KindOutbox {
		s.config.Outbox.DSN = dsn
		return
	}
	// Slots belong to the server, which other shops may share.
	s.config.Postgres = publisher.PostgresConfig{DSN: dsn, Slot: "fabric_" + s.Database.Name}
}

// Prepare runs what makes the database ready for the publisher, as an operator
// would after `fabric publisher setup --print-sql`. SQLite needs nothing.
func (s *Shop) Prepare(t testing.TB, mapping publisher.Mapping) {
	t.Helper()
	for _, statement := range s.Setup(t, mapping) {
		s.Exec(t, statement.SQL)
	}
}

// Setup is what makes the database ready.
func (s *Shop) Setup(t testing.TB, mapping publisher.Mapping) []pgdb.Statement {
	t.Helper()
	if s.config.Kind == publisher.KindSQLite {
		return nil
	}
	src, err := s.Source(mapping, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	statements, err := src.(interface {
		Setup(context.Context) ([]pgdb.Statement, error)
	}).Setup(t.Context())
	if err != nil {
		t.Fatalf("setup: %v", err)
	}
	return statements
}

// Among makes the publisher look for the database on several servers, and take
// the one that can be written to.
func (s *Shop) Among(servers ...*pgtest.Server) {
	hosts := make([]string, len(servers))
	for i, server := range servers {
		hosts[i] = fmt.Sprintf("127.0.0.1:%d", server.Port)
	}
	dsn := fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable&target_session_attrs=read-write", strings.Join(hosts, ","), s.Database.Name)
	if s.config.Kind == publisher.KindOutbox {
		s.config.Outbox.DSN = dsn
	} else {
		s.config.Postgres.DSN = dsn
	}
}

// MoveTo makes the outside writer write to the database of the same name on
// another server.
func (s *Shop) MoveTo(t testing.TB, server *pgtest.Server) {
	t.Helper()
	s.DB.Close()
	db, err := sql.Open("pgx", server.DSN(s.Database.Name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s.DB = db
}
