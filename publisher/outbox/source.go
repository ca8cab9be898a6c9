package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
)

const (
	defaultSchema = "fabric"
	// defaultPoll is how often the outbox is looked at where LISTEN does not
	// work.
	defaultPoll = 250 * time.Millisecond
)

var (
	_ publisher.Source    = (*Source)(nil)
	_ publisher.Exclusive = (*Source)(nil)
)

// Source publishes the changes that triggers log in one PostgreSQL database.
type Source struct {
	// static after New
	name    string
	cfg     publisher.OutboxConfig
	mapping publisher.Mapping
	plan    plan
	queries queries
	log     *slog.Logger
	metrics *metrics

	pruner pruner
	// advised is what was logged of advice already.
	advised sync.Map

	mu sync.Mutex
	// pooled says whether a pooler stands before the server; asked says whether
	// that is known. Guarded by mu.
	pooled, asked bool
}

// New returns the source of that name. Nothing is opened before Check. Its
// metrics are registered with reg; nil is none.
//
// It returns an error if the DSN cannot be understood.
func New(name string, cfg publisher.OutboxConfig, m publisher.Mapping, log *slog.Logger, reg prometheus.Registerer) (*Source, error) {
	if cfg.Schema == "" {
		cfg.Schema = defaultSchema
	}
	if cfg.Poll <= 0 {
		cfg.Poll = defaultPoll
	}
	if err := pgdb.CheckDSN(cfg.DSN); err != nil {
		return nil, fmt.Errorf("outbox source %q: %w", name, err)
	}
	if len(cfg.Schema) > longestName {
		return nil, fmt.Errorf("outbox source %q: schema %q has %d bytes, must be %d at most", name, cfg.Schema, len(cfg.Schema), longestName)
	}
	metrics, err := newMetrics(name, reg)
	if err != nil {
		return nil, fmt.Errorf("outbox source %q: %w", name, err)
	}
	return &Source{
		name: name, cfg: cfg, mapping: m, plan: newPlan(m), queries: newQueries(cfg.Schema), metrics: metrics,
		log: log.With("component", "outbox", "source", name),
	}, nil
}

// Name of the source in positions.
func (s *Source) Name() string { return s.name }

// failed says which source failed at what.
func (s *Source) failed(doing string, err error) error {
	if state := pgdb.State(err); state == undefinedTable || state == undefinedSchema {
		err = fmt.Errorf("%w: %w", publisher.Problem{What: "the outbox is not installed in schema " + quote(s.queries.schema), Mend: setupCommand}, err)
	}
	return fmt.Errorf("outbox source %q: %s: %w", s.name, doing, pgdb.Translate(err))
}

// emitError tells errors of emit, which are returned as they are, from others.
type emitError struct{ error }

// guarded makes errors of emit known as such, and heeds the context, which emit
// may not.
func guarded(ctx context.Context, emit func(publisher.Entry) error) func(publisher.Entry) error {
	return func(e publisher.Entry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := emit(e); err != nil {
			return emitError{err}
		}
		return nil
	}
}
