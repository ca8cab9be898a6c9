// Package shoptest makes PetPro's shop inside a test, in a database of each
// kind that the publisher has a source for, so that one test runs on all of
// them:
//
//	for _, kind := range []shoptest.Kind{shoptest.SQLite, shoptest.Postgres, shoptest.Outbox} {
//		t.Run(kind.Name, func(t *testing.T) {
//			shop := shoptest.New(t, kind, shoptest.Services)
//			shop.Exec(t, `UPDATE bookings SET status = ? WHERE id = ?`, "confirmed", "b_1")
//		})
//	}
//
// The shop's connection is that of an outside writer: it shares nothing with
// the publisher. SQL is written once, with ? for parameters, in what SQLite and
// PostgreSQL have in common (CURRENT_TIMESTAMP, CASE, RETURNING).
package shoptest

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/test/pgtest"
)

// Name of the shop's source in positions, slots and configurations.
const Name = "shop"

// Kind is a database and the way the publisher reads it.
type Kind struct {
	// Name of the kind, for subtests.
	Name string

	source string // publisher.KindSQLite, …
	server []pgtest.Option
	pooled bool // the publisher goes through pgbouncer
}

// The kinds. Outbox shops have wal_level logical on a shared server as well; the
// source does not use it.
var (
	SQLite       = Kind{Name: "sqlite", source: publisher.KindSQLite}
	Postgres     = Kind{Name: "postgres", source: publisher.KindPostgres}
	Postgres17   = Kind{Name: "postgres-17", source: publisher.KindPostgres, server: []pgtest.Option{pgtest.Version17}}
	Outbox       = Kind{Name: "outbox", source: publisher.KindOutbox}
	OutboxPooled = Kind{Name: "outbox-pgbouncer", source: publisher.KindOutbox, pooled: true}
)

// Server is how a server of the test's own has to be run for the kind.
func (k Kind) Server() []pgtest.Option { return k.server }

// Shop is a database of PetPro's.
type Shop struct {
	Kind Kind
	// DB is the outside writer's. Its SQL has the driver's own parameters;
	// Exec, Begin and Query of the shop take ?.
	DB *sql.DB
	// Database is the PostgreSQL database, nil for SQLite.
	Database *pgtest.Database

	config publisher.SourceConfig
}

// Option changes how a shop is made.
type Option func(*options)

type options struct{ server *pgtest.Server }

// On makes the shop's database on a server of the test's own instead of the one
// that the tests of a package share.
func On(s *pgtest.Server) Option { return func(o *options) { o.server = s } }

// New makes a shop with these tables. It is gone when the test ends.
func New(t testing.TB, kind Kind, schema Schema, opts ...Option) *Shop {
	t.Helper()
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	s := &Shop{Kind: kind, config: publisher.SourceConfig{Name: Name, Kind: kind.source}}
	if kind.source == publisher.KindSQLite {
		s.openSQLite(t)
		s.Exec(t, schema.sqlite)
	} else {
		s.openPostgres(t, o.server)
		s.Exec(t, schema.postgres)
	}
	return s
}

// SourceConfig is what a publisher reads the shop with.
func (s *Shop) SourceConfig() publisher.SourceConfig { return s.config }

// Source opens the source.
func (s *Shop) Source(mapping publisher.Mapping, log *slog.Logger, reg prometheus.Registerer) (publisher.Source, error) {
	return open(s.config, mapping, log, reg)
}

// YAML is the element of publisher.sources for a configuration file.
func (s *Shop) YAML() string {
	switch s.config.Kind {
	case publisher.KindSQLite:
		return fmt.Sprintf("{ name: %s, kind: sqlite, sqlite: { path: %q } }", Name, s.config.SQLite.Path)
	case publisher.KindOutbox:
		return fmt.Sprintf("{ name: %s, kind: outbox, outbox: { dsn: %q } }", Name, s.config.Outbox.DSN)
	default:
		return fmt.Sprintf("{ name: %s, kind: postgres, postgres: { dsn: %q, slot: %s } }", Name, s.config.Postgres.DSN, s.config.Postgres.Slot)
	}
}

// Exec runs SQL, several statements if there are no parameters.
func (s *Shop) Exec(t testing.TB, query string, args ...any) {
	t.Helper()
	if err := s.Try(query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// Try is Exec for what may fail.
func (s *Shop) Try(query string, args ...any) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if len(args) > 0 {
		query = s.bind(query)
	}
	_, err := s.DB.ExecContext(ctx, query, args...)
	return err
}

// Query reads rows; each is given to scan, which calls its argument with
// pointers.
func (s *Shop) Query(t testing.TB, query string, each func(scan func(...any) error) error, args ...any) {
	t.Helper()
	rows, err := s.DB.QueryContext(t.Context(), s.bind(query), args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// Begin starts a transaction. Its context bounds the transaction as a whole.
func (s *Shop) Begin(ctx context.Context) (*Tx, error) {
	tx, err := s.DB.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	return &Tx{Tx: tx, shop: s}, nil
}

// Tx is a transaction whose SQL has ? for parameters.
type Tx struct {
	*sql.Tx
	shop *Shop
}

// Exec runs one statement.
func (tx *Tx) Exec(query string, args ...any) error {
	_, err := tx.Tx.Exec(tx.shop.bind(query), args...)
	return err
}

// QueryRow reads one row.
func (tx *Tx) QueryRow(query string, args ...any) *sql.Row {
	return tx.Tx.QueryRow(tx.shop.bind(query), args...)
}

// bind gives a query the driver's form of parameters.
func (s *Shop) bind(query string) string {
	if s.config.Kind == publisher.KindSQLite {
		return query
	}
	var b strings.Builder
	for i, part := range strings.Split(query, "?") {
		if i > 0 {
			fmt.Fprintf(&b, "$%d", i)
		}
		b.WriteString(part)
	}
	return b.String()
}

// patience bounds one statement: on a busy machine, behind another writer,
// seconds.
const patience = 30 * time.Second
