package publisher

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
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
	KindPostgres = "postgres"
	KindOutbox   = "outbox"
	KindSQLite   = "sqlite"
	KindIngest   = "ingest"
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
		errs = append(errs, s.validate(key, c.Mapping))
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

func (s SourceConfig) validate(key string, m Mapping) error {
	var errs []error
	if err := checkSourceName(s.Name); err != nil {
		errs = append(errs, fmt.Errorf("%s.name: %w", key, err))
	}
	switch s.Kind {
	case KindPostgres:
		errs = append(errs, s.Postgres.validate(key+".postgres"))
	case KindOutbox:
		errs = append(errs, s.Outbox.validate(key+".outbox"))
	case KindSQLite:
		errs = append(errs, s.SQLite.validate(key+".sqlite"), m.unqualified(s.Name))
	case KindIngest:
	default:
		errs = append(errs, fmt.Errorf("%s.kind: is %q, must be %q, %q, %q or %q", key, s.Kind, KindPostgres, KindOutbox, KindSQLite, KindIngest))
	}
	if s.Kind != KindIngest && len(m.Tables) == 0 {
		errs = append(errs, fmt.Errorf("mapping.tables: is empty, so nothing of source %q would be published; name the tables to publish", s.Name))
	}
	return errors.Join(errs...)
}

func (c PostgresConfig) validate(key string) error {
	return errors.Join(
		checkDSN(key, c.DSN, "postgres://fabric@db:5432/shop?sslmode=verify-full"),
		checkPostgresName(key+".slot", c.Slot, "fabric_shop"),
		checkPostgresName(key+".publication", c.Publication, "fabric_shop"),
	)
}

func (c OutboxConfig) validate(key string) error {
	errs := []error{
		checkDSN(key, c.DSN, "postgres://fabric@pgbouncer:6432/shop?sslmode=verify-full"),
		checkPostgresName(key+".schema", c.Schema, "fabric"),
	}
	if c.Poll < 0 {
		errs = append(errs, fmt.Errorf("%s.poll: is %s, must not be negative, for example 250ms", key, c.Poll))
	}
	return errors.Join(errs...)
}

func (c SQLiteConfig) validate(key string) error {
	var errs []error
	if c.Path == "" {
		errs = append(errs, fmt.Errorf("%s.path: is empty, must be the database file", key))
	}
	if c.Poll < 0 {
		errs = append(errs, fmt.Errorf("%s.poll: is %s, must not be negative", key, c.Poll))
	}
	return errors.Join(errs...)
}

// checkDSN refuses an empty one. What is in it, the source says: a DSN is a
// secret, and no error of a configuration shows it.
func checkDSN(key, dsn, example string) error {
	if dsn == "" {
		return fmt.Errorf("%s.dsn: is empty, must say how to reach the database, for example %s", key, example)
	}
	return nil
}

// postgresName is what a replication slot may be called (PostgreSQL,
// "Replication Slots": lower-case letters, digits and underscores; NAMEDATALEN
// is 64). Publications and our schema keep to it, too: nobody has to quote them.
var postgresName = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)

// checkPostgresName takes an empty name, too: the default.
func checkPostgresName(key, name, example string) error {
	if name != "" && !postgresName.MatchString(name) {
		return fmt.Errorf("%s: is %q, must be 1 to 63 lower-case letters, digits and underscores, for example %s", key, clip(name), example)
	}
	return nil
}

// unqualified refuses names of tables that SQLite has no use for.
func (m Mapping) unqualified(source string) error {
	var errs []error
	complain := func(key, from string) {
		if from != "" {
			errs = append(errs, fmt.Errorf("mapping.%s.from: is %q, but source %q is a SQLite file, which has no schemas; name the table as it is called there, and leave from out", key, from, source))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Tables)) {
		complain("tables."+name, m.Tables[name].From)
	}
	for _, name := range slices.Sorted(maps.Keys(m.Follow)) {
		complain("follow."+name, m.Follow[name].From)
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
