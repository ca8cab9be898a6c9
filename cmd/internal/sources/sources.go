// Package sources opens the sources that a publisher's configuration names, so
// that cmd/publisher and `fabric dev` run the same publisher. It is the one
// place that knows every driver.
package sources

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/ingest"
	"github.com/petpro/fabric/publisher/sqlite"
)

// NewPublisher compiles the mapping, opens the sources and makes a publisher of
// both. It talks to nobody yet. The error joins all complaints.
func NewPublisher(cfg publisher.Config, nc *nats.Conn, log *slog.Logger, reg prometheus.Registerer) (*publisher.Publisher, error) {
	mapper, mapErr := publisher.NewMapper(cfg.Mapping, cfg.Kinds, cfg.MaxPayload)
	sources, srcErr := open(cfg, nc, log, reg)
	if err := errors.Join(cfg.Validate(), mapErr, srcErr); err != nil {
		return nil, err
	}
	return publisher.New(cfg, nc, sources, mapper, log, reg)
}

func open(cfg publisher.Config, nc *nats.Conn, log *slog.Logger, reg prometheus.Registerer) ([]publisher.Source, error) {
	var out []publisher.Source
	for i, s := range cfg.Sources {
		switch s.Kind {
		case publisher.KindSQLite:
			out = append(out, sqlite.New(s.Name, s.SQLite, cfg.Mapping, log))
		case publisher.KindIngest:
			src, err := ingest.New(ingest.Config{Name: s.Name, Stream: cfg.IngestStream, Kinds: cfg.Kinds, MaxPayload: cfg.MaxPayload}, nc, log, reg)
			if err != nil {
				return nil, err
			}
			out = append(out, src)
		default:
			return nil, fmt.Errorf("publisher.sources[%d].kind: is %q, must be %q or %q", i, s.Kind, publisher.KindSQLite, publisher.KindIngest)
		}
	}
	return out, nil
}
