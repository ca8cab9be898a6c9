package sources

import (
	"context"
	"fmt"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
	"github.com/petpro/fabric/publisher/sqlite"
)

// Installer is a source that needs something in the shop's database which it
// does not make itself.
type Installer interface {
	publisher.Source
	// Setup lists what the source needs, in the order in which it can be run. All
	// of it may be run again.
	Setup(ctx context.Context) ([]pgdb.Statement, error)
	// Problems are those of Check, advice among them. The error is that of a
	// database that could not be asked.
	Problems(ctx context.Context) ([]publisher.Problem, error)
}

// Uninstall lists what removes everything that Setup and the source made.
func Uninstall(ctx context.Context, src Installer) ([]pgdb.Statement, error) {
	switch s := src.(type) {
	case interface{ Uninstall() []pgdb.Statement }:
		return s.Uninstall(), nil
	case interface {
		Uninstall(context.Context) ([]pgdb.Statement, error)
	}:
		return s.Uninstall(ctx)
	}
	return nil, fmt.Errorf("source %s says not how it is removed", src.Name())
}

// Remove removes what a source that is no Installer has made in its database.
func Remove(ctx context.Context, s publisher.SourceConfig) error {
	if s.Kind == publisher.KindSQLite {
		return sqlite.Uninstall(ctx, s.SQLite.Path)
	}
	return nil // it keeps nothing outside the stream
}
