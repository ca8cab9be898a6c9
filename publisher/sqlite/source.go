package sqlite

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/petpro/fabric/publisher"
)

// defaultPoll is how often the file is looked at where the file system does not
// tell of writes.
const defaultPoll = 200 * time.Millisecond

var _ publisher.Source = (*Source)(nil)

// Source publishes the changes of one SQLite database file.
type Source struct {
	// static after New
	name string
	cfg  publisher.SQLiteConfig
	plan plan
	log  *slog.Logger

	pruner pruner
}

// New returns the source of that name. Nothing is opened before Check.
func New(name string, cfg publisher.SQLiteConfig, m publisher.Mapping, log *slog.Logger) *Source {
	if cfg.Poll <= 0 {
		cfg.Poll = defaultPoll
	}
	cfg.Poll = min(cfg.Poll, publisher.Pulse/2) // every look is a sign of life
	return &Source{name: name, cfg: cfg, plan: newPlan(m), log: log.With("component", "sqlite", "source", name)}
}

// Name of the source in positions.
func (s *Source) Name() string { return s.name }

// Check opens the file, compares the mapping with the real tables, and makes or
// renews the change log and its triggers. All complaints come at once, a line
// each; one run of Check may wait 5 s for a lock.
func (s *Source) Check(ctx context.Context) error {
	c, err := openWriter(ctx, s.cfg.Path)
	if err != nil {
		return s.failed("check", err)
	}
	defer c.Close()
	catalog, err := s.install(ctx, c)
	if err != nil {
		return s.failed("check", err)
	}
	s.advise(catalog)
	return nil
}

// advise warns of what works, but not well.
func (s *Source) advise(catalog map[string]catalogTable) {
	for _, t := range s.plan.sorted() {
		for _, index := range catalog[t.name].unseen {
			s.log.Warn("rows that REPLACE removes because of a unique index on an expression are not seen", "table", t.name, "index", index)
		}
		for _, rule := range t.touches {
			if !catalog[rule.Table].hasIndex(rule.Column) {
				s.log.Warn("no index: each change of a followed row reads a whole table",
					"followed", t.name, "mend", "CREATE INDEX … ON "+quoteName(rule.Table)+"("+quoteName(rule.Column)+")")
			}
		}
	}
}

// failed says which source failed at what.
func (s *Source) failed(doing string, err error) error {
	return fmt.Errorf("sqlite source %q: %s: %w", s.name, doing, diagnose(s.cfg.Path, err))
}
