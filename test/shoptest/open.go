package shoptest

import (
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/outbox"
	"github.com/petpro/fabric/publisher/postgres"
	"github.com/petpro/fabric/publisher/sqlite"
)

// open makes the source of a configuration, as cmd/publisher does.
func open(c publisher.SourceConfig, mapping publisher.Mapping, log *slog.Logger, reg prometheus.Registerer) (publisher.Source, error) {
	switch c.Kind {
	case publisher.KindSQLite:
		return sqlite.New(c.Name, c.SQLite, mapping, log), nil
	case publisher.KindPostgres:
		return source(postgres.New(c.Name, c.Postgres, mapping, log, reg))
	case publisher.KindOutbox:
		return source(outbox.New(c.Name, c.Outbox, mapping, log, reg))
	default:
		return nil, fmt.Errorf("no source of kind %q", c.Kind)
	}
}

// source keeps the nil pointer of a constructor that failed out of the
// interface.
func source[S publisher.Source](s S, err error) (publisher.Source, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}
