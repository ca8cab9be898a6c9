package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
	"github.com/petpro/fabric/publisher/postgres/pgoutput"
)

// plugin decodes the log on the server; it is part of PostgreSQL.
const plugin = "pgoutput"

var (
	_ publisher.Source    = (*Source)(nil)
	_ publisher.Exclusive = (*Source)(nil)
)

// Source publishes the changes of one PostgreSQL database.
type Source struct {
	// static after New
	name    string
	cfg     publisher.PostgresConfig
	mapping publisher.Mapping
	plan    plan
	log     *slog.Logger
	metrics *metrics
	// watchEvery is what only tests change.
	watchEvery time.Duration

	queries queries
	confirm confirmer
	// held is true while the advisory lock is ours.
	held atomic.Bool

	// Owned by the goroutine that calls Check, Snapshot and Run: the database
	// that the DSN leads to, and what was advised already.
	database string
	advised  map[string]bool
}

// New returns the source of that name. Nothing is opened before Check. A nil
// reg registers no metrics.
func New(name string, cfg publisher.PostgresConfig, m publisher.Mapping, log *slog.Logger, reg prometheus.Registerer) (*Source, error) {
	if err := pgdb.CheckDSN(cfg.DSN); err != nil {
		return nil, fmt.Errorf("postgres source %q: %w", name, err)
	}
	own := "fabric_" + identifier(name)
	if cfg.Slot == "" {
		cfg.Slot = own
	}
	if cfg.Publication == "" {
		cfg.Publication = own
	}
	if identifier(cfg.Slot) != cfg.Slot || cfg.Slot == "" || len(cfg.Slot) > maxName {
		return nil, fmt.Errorf("postgres source %q: slot %q: PostgreSQL allows a to z, 0 to 9 and _ there, %d at most", name, cfg.Slot, maxName)
	}
	if len(cfg.Publication) > maxName {
		return nil, fmt.Errorf("postgres source %q: publication %q is longer than %d bytes", name, cfg.Publication, maxName)
	}
	s := &Source{
		watchEvery: watchEvery,
		name:       name,
		cfg:        cfg,
		mapping:    m,
		plan:       newPlan(m),
		log:        log.With("component", "postgres", "source", name),
		advised:    map[string]bool{},
		queries:    queries{dsn: cfg.DSN, application: application(name)},
	}
	var err error
	if s.metrics, err = newMetrics(name, reg); err != nil {
		return nil, err
	}
	return s, nil
}

// maxName is NAMEDATALEN-1: longer names are cut off.
const maxName = 63

// identifier keeps of a name what a replication slot may be called.
func identifier(name string) string {
	b := []byte(name)
	for i, c := range b {
		switch {
		case c >= 'A' && c <= 'Z':
			b[i] = c - 'A' + 'a'
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		default:
			b[i] = '_'
		}
	}
	return string(b)
}

// application names our sessions in pg_stat_activity.
func application(name string) string { return "fabric " + name }

// Name of the source in positions.
func (s *Source) Name() string { return s.name }

// Slot is the name of its replication slot.
func (s *Source) Slot() string { return s.cfg.Slot }

// connect opens a replication connection.
func (s *Source) connect(ctx context.Context) (*pgoutput.Conn, error) {
	config, err := pgdb.Config(s.cfg.DSN, pgdb.Options{Application: application(s.name)})
	if err != nil {
		return nil, err
	}
	c, err := pgoutput.Connect(ctx, config, pgoutput.Options{})
	if err != nil {
		return nil, pgdb.ConnectError(ctx, config, err)
	}
	return c, nil
}

// closeConn ends a session; its goroutines are gone when it returns.
func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = conn.Close(ctx)
	<-conn.PgConn().CleanupDone()
}

// failed says which source failed at what.
func (s *Source) failed(doing string, err error) error {
	return fmt.Errorf("postgres source %q: %s: %w", s.name, doing, err)
}
