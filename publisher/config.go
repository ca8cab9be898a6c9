package publisher

import "time"

// Config of a publisher. Start from DefaultConfig. Sources' own settings are
// plain data here, so that whoever reads configuration links no driver.
type Config struct {
	// Stream is the name of the stream, FABRIC unless the operator says
	// otherwise; IngestStream the one that services publish into.
	Stream       string
	IngestStream string
	// Kinds of rooms.
	Kinds []string
	// Sources whose changes are published.
	Sources []SourceConfig
	// State is the directory in which the highest acknowledged position is
	// kept, so that a stream that lost data is noticed.
	State string
	// ConfirmDelay is the time between a message's acknowledgement and the
	// confirmation of its position to the source: longer than NATS may take to
	// sync it to disk. 0 is right with sync_always.
	ConfirmDelay time.Duration
	// MaxPayload bounds a payload in bytes.
	MaxPayload int
	// Retention is how long a booking's messages are kept after its last
	// change at least; Keep how many are kept per subject.
	Retention time.Duration
	Keep      int
	// Replicas of the streams: 1 on a single node, 3 in a cluster.
	Replicas int
	// OnLost says what to do if a source no longer has what follows the
	// position: "halt", or "epoch" to begin a new epoch.
	OnLost string
	// Mapping from rows to messages.
	Mapping Mapping
}

// SourceConfig names a source and holds its settings.
type SourceConfig struct {
	// Name of the source in positions: a short word without '=', ';' or '/'.
	Name string `mapstructure:"name"`
	// Kind is "postgres", "outbox", "sqlite" or "ingest".
	Kind string `mapstructure:"kind"`
	// Skip is the place of one entry that is left out if it cannot be mapped, as
	// the error that names it says. What it would have told is lost.
	Skip string `mapstructure:"skip"`
	// SQLite settings, for kind sqlite.
	SQLite SQLiteConfig `mapstructure:"sqlite"`
	// Postgres settings, for kind postgres.
	Postgres PostgresConfig `mapstructure:"postgres"`
	// Outbox settings, for kind outbox.
	Outbox OutboxConfig `mapstructure:"outbox"`
}

// PostgresConfig is the setting of a postgres source: logical replication.
type PostgresConfig struct {
	// DSN of the database (postgres://… or key=value), reached directly and not
	// through a pooler. Its role needs REPLICATION, which lets it read
	// everything: keep it as a secret.
	DSN string `mapstructure:"dsn"`
	// Slot and Publication are by default fabric_<name of the source>.
	Slot        string `mapstructure:"slot"`
	Publication string `mapstructure:"publication"`
}

// OutboxConfig is the setting of an outbox source: a table that triggers fill.
type OutboxConfig struct {
	// DSN of the database, directly or through a pooler of any mode.
	DSN string `mapstructure:"dsn"`
	// Schema that holds the outbox and its functions; "" = fabric.
	Schema string `mapstructure:"schema"`
	// Poll is how often the outbox is looked at where nothing tells of writes:
	// behind a pooler in transaction mode, where LISTEN does not work; 0 = 250 ms.
	Poll time.Duration `mapstructure:"poll"`
}

// SQLiteConfig is the setting of a sqlite source.
type SQLiteConfig struct {
	// Path of the database file. It must exist.
	Path string `mapstructure:"path"`
	// Poll is how often the file is looked at where the file system does not
	// tell of writes (network mounts); 0 = 200 ms.
	Poll time.Duration `mapstructure:"poll"`
}

// DefaultConfig holds the defaults of docs/ARCHITECTURE.md. It has no sources
// and no mapping.
func DefaultConfig() Config {
	return Config{
		Stream:       "FABRIC",
		IngestStream: "INGEST",
		Kinds:        []string{"booking"},
		State:        "./state",
		ConfirmDelay: 150 * time.Second,
		MaxPayload:   16 << 10,
		Retention:    2160 * time.Hour,
		Keep:         128,
		Replicas:     1,
		OnLost:       "halt",
	}
}

// Mapping says which rows become which messages. Nothing that it does not
// list ever leaves the publisher.
//
// A template is text with references: {column}, {column.path.in.its.json} and
// {followed[column].column}; "{{" and "}}" are the braces themselves. In a
// payload it gives a string. A reference to NULL that stands alone gives null,
// beside other text it gives nothing, and with a '?' ({column?}) the key is
// left out. A path that is not there, or into a text that is no JSON, is NULL.
//
// A condition has inserted(), deleted(), changed(column) (an update gave it
// another value), set(column) (it is not NULL now), comparisons (==, !=, <, <=,
// >, >=, in [...]) of a column with a constant or a column, and, or, not. A
// column is compared with a number as a number, with true and false as a
// boolean, with a text byte by byte; with nil by == and !=. What is NULL is
// neither less nor greater than anything.
type Mapping struct {
	// Terminal states: "open" is every other state of the column status. Rooms
	// of a table without it stay open.
	Terminal []string `mapstructure:"terminal"`
	// Follow names small tables kept in memory from the same log.
	Follow map[string]Follow `mapstructure:"follow"`
	// Tables whose changes are published.
	Tables map[string]Table `mapstructure:"tables"`
}

// Follow is a small table kept in memory for lookups such as
// {services[service_id].provider_id}.
type Follow struct {
	// From is the table in the database if it has another name than the mapping
	// gives it, for example catalog.services.
	From    string   `mapstructure:"from"`
	Key     string   `mapstructure:"key"`
	Columns []string `mapstructure:"columns"`
}

// Table maps the changes of one table.
type Table struct {
	// From is the table in the database if it has another name than the mapping
	// gives it, for example sales.bookings.
	From string `mapstructure:"from"`
	// Key is the primary key column. It names the row's room.
	Key string `mapstructure:"key"`
	// Columns that may be used; no other is ever read.
	Columns []string `mapstructure:"columns"`
	// Times are columns given as RFC 3339 in UTC whatever their form. Without a
	// zone they are taken for UTC; what is no time is given as it is. Conditions
	// see the original.
	Times []string `mapstructure:"times"`
	// Access makes the table's rows rooms.
	Access *Access `mapstructure:"access"`
	Events []Event `mapstructure:"events"`
}

// Access says who may be in the room of a row.
type Access struct {
	// Kind of the room. Only one table can have it.
	Kind string `mapstructure:"kind"`
	// Participants maps a template for a user id to a role. NULL is nobody. Who
	// is named twice has the role of the first template in alphabetical order.
	Participants map[string]string `mapstructure:"participants"`
	// Gone is a condition on the row as it is: true means nobody may. Deleted
	// rows are gone in any case.
	Gone string `mapstructure:"gone"`
}

// Event is one message made of a change.
type Event struct {
	// When is the condition, for example "inserted() || changed(status)". A
	// deleted row is judged as it was.
	When string `mapstructure:"when"`
	// Subject template, for example "booking.{id}.status": kind and type are
	// fixed. NULL, or what is no token, halts the publisher.
	Subject string `mapstructure:"subject"`
	// Payload: values are templates, maps, constants, or a choice {by: column,
	// <value>: ..., inserted: ..., else: ...}, in which inserted stands for any
	// insert; if nothing fits, the key is left out.
	Payload map[string]any `mapstructure:"payload"`
	// Notify writes a notification for each of its users: {type, title, message,
	// bookingId, createdAt}, the latter two being the row's key and the time of
	// the change.
	Notify []Notify `mapstructure:"notify"`
}

// Notify is a notification made of a change.
type Notify struct {
	// To is a template for a user id; NULL is nobody.
	To string `mapstructure:"to"`
	// Type, Title and Message are templates.
	Type    string `mapstructure:"type"`
	Title   string `mapstructure:"title"`
	Message string `mapstructure:"message"`
}
