// Package sources opens the sources that a publisher's configuration names, so
// that cmd/publisher, `fabric dev` and `fabric publisher` mean the same ones. It
// is the one place that knows every driver.
package sources

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/ingest"
	"github.com/petpro/fabric/publisher/outbox"
	"github.com/petpro/fabric/publisher/postgres"
	"github.com/petpro/fabric/publisher/sqlite"
)

// NewPublisher compiles the mapping, opens the sources and makes a publisher of
// both. It talks to nobody yet. The error joins all complaints.
func NewPublisher(cfg publisher.Config, nc *nats.Conn, log *slog.Logger, reg prometheus.Registerer) (*publisher.Publisher, error) {
	mapper, mapErr := publisher.NewMapper(cfg.Mapping, cfg.Kinds, cfg.MaxPayload)
	errs := []error{cfg.Validate(), mapErr}
	var all []publisher.Source
	for _, s := range cfg.Sources {
		src, err := Open(cfg, s, nc, log, reg)
		all, errs = append(all, src), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return publisher.New(cfg, nc, all, mapper, log, reg)
}

// Open makes the source s of cfg. It talks to nobody yet; nc may be nil for
// kinds other than ingest.
func Open(cfg publisher.Config, s publisher.SourceConfig, nc *nats.Conn, log *slog.Logger, reg prometheus.Registerer) (publisher.Source, error) {
	switch s.Kind {
	case publisher.KindPostgres:
		return source(postgres.New(s.Name, s.Postgres, cfg.Mapping, log, reg))
	case publisher.KindOutbox:
		return source(outbox.New(s.Name, s.Outbox, cfg.Mapping, log, reg))
	case publisher.KindSQLite:
		return sqlite.New(s.Name, s.SQLite, cfg.Mapping, log), nil
	case publisher.KindIngest:
		return source(ingest.New(ingest.Config{Name: s.Name, Stream: cfg.IngestStream, Kinds: cfg.Kinds, MaxPayload: cfg.MaxPayload}, nc, log, reg))
	}
	return nil, fmt.Errorf("source %q is of kind %q, must be %q, %q, %q or %q", s.Name, s.Kind,
		publisher.KindPostgres, publisher.KindOutbox, publisher.KindSQLite, publisher.KindIngest)
}

// source keeps the nil pointer of a constructor that failed out of the
// interface.
func source[S publisher.Source](s S, err error) (publisher.Source, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}
