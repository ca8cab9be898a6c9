package publisher

import (
	"errors"
	"fmt"
	"strings"

	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
)

// What OnLost may be.
const (
	OnLostHalt  = "halt"
	OnLostEpoch = "epoch"
)

// Kinds of sources.
const (
	KindSQLite = "sqlite"
	KindIngest = "ingest"
)

// hardPayload is the largest publisher.max_payload: what clients are built to
// take in one frame.
const hardPayload = 32 << 10

// Validate returns every complaint at once, each with its configuration key.
// The mapping is judged by NewMapper.
func (c Config) Validate() error {
	errs := []error{c.streams().Validate()}
	complain := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Sources) == 0 {
		complain("publisher.sources: is empty, must name at least one source, for example {name: shop, kind: sqlite, sqlite: {path: shop.db}}")
	}
	names := map[string]bool{}
	for i, s := range c.Sources {
		key := fmt.Sprintf("publisher.sources[%d]", i)
		errs = append(errs, s.validate(key, len(c.Mapping.Tables) > 0))
		if names[s.Name] {
			complain("%s.name: %q is used twice; positions are kept by name", key, s.Name)
		}
		names[s.Name] = true
	}
	if c.State == "" {
		complain("publisher.state: is empty, must be a directory the publisher may write, for example ./state")
	}
	if c.ConfirmDelay < 0 {
		complain("publisher.confirm_delay: is %s, must be 0 (with sync_always) or longer than NATS' sync_interval, for example 150s", c.ConfirmDelay)
	}
	if c.MaxPayload <= 0 || c.MaxPayload > hardPayload {
		complain("publisher.max_payload: is %d bytes, must be 1 to %d", c.MaxPayload, hardPayload)
	}
	if c.OnLost != OnLostHalt && c.OnLost != OnLostEpoch {
		complain("publisher.on_lost: is %q, must be %q or %q", c.OnLost, OnLostHalt, OnLostEpoch)
	}
	return errors.Join(errs...)
}

func (s SourceConfig) validate(key string, mapped bool) error {
	var errs []error
	if err := checkSourceName(s.Name); err != nil {
		errs = append(errs, fmt.Errorf("%s.name: %w", key, err))
	}
	switch s.Kind {
	case KindSQLite:
		if s.SQLite.Path == "" {
			errs = append(errs, fmt.Errorf("%s.sqlite.path: is empty, must be the database file", key))
		}
		if s.SQLite.Poll < 0 {
			errs = append(errs, fmt.Errorf("%s.sqlite.poll: is %s, must not be negative", key, s.SQLite.Poll))
		}
		if !mapped {
			errs = append(errs, fmt.Errorf("mapping.tables: is empty, so nothing of source %q would be published; name the tables to publish", s.Name))
		}
	case KindIngest:
	default:
		errs = append(errs, fmt.Errorf("%s.kind: is %q, must be %q or %q", key, s.Kind, KindSQLite, KindIngest))
	}
	return errors.Join(errs...)
}

// checkSourceName refuses what would not survive in the header Fabric-Position.
func checkSourceName(name string) error {
	if err := subjects.CheckID(name); err != nil {
		return err
	}
	if name == "map" || strings.ContainsAny(name, "=;/") {
		return fmt.Errorf("%q cannot name a source: it must be a short word other than \"map\", without '=', ';' and '/'", name)
	}
	return nil
}

// streams is what the streams must be for this configuration.
func (c Config) streams() stream.Config {
	return stream.Config{
		Name:      c.Stream,
		Ingest:    c.IngestStream,
		Kinds:     c.Kinds,
		Keep:      c.Keep,
		Retention: c.Retention,
		Replicas:  c.Replicas,
	}
}
