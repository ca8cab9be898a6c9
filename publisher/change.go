package publisher

import "time"

// Op is what happened to a row.
type Op uint8

// The operations. Load and Touch are not the user's: see their comments.
const (
	Insert Op = iota + 1
	Update
	Delete
	// Snapshot is a row as it is at initial publication.
	Snapshot
	// Load fills the memory of a followed table at start; it publishes nothing.
	Load
	// Touch is a row whose access must be judged again because the followed
	// row Change.Cause changed; the row itself did not.
	Touch
)

// Value of a column as text. The zero Value is NULL.
type Value struct {
	Text  string
	Valid bool
}

// Row holds the allow-listed columns of a row, by name. A column that the
// source could not know is absent.
//
// A source that joins inside the shop's own transaction adds what lookups find
// under the name of the lookup, "services[service_id].provider_id" (see
// Mapping.Lookups); what is there is used instead of the memory of followed
// tables.
type Row map[string]Value

// Change is one row's change, in commit order.
type Change struct {
	Table string
	Op    Op
	// Old is the row before (Update, Delete), New after (all but Delete). For
	// Touch both are the row as it is.
	Old, New Row
	// Cause of a Touch: the followed row as it was before its change. Without
	// it, Old and New tell by their lookups what differs.
	Cause *Cause
	// Recall says that Old lacks columns which the source's log does not have, or
	// that a Touch may have told of the row before this change of it (rows read
	// ahead of the log): the mapper compares with what was last published (see
	// Past).
	Recall bool
	// Unknown says that what New lacks cannot be known any more, as the row was
	// deleted since: payloads leave the keys out that need it.
	Unknown bool
}

// Cause is the former state of a followed row.
type Cause struct {
	Table string
	Key   string
	Old   Row
}

// Entry is one step of a source: a change to map, a message that a service
// published by itself, or, with neither, the news that the place was reached.
// The zero Entry says that the source was looked at and is alive.
type Entry struct {
	// Place in the source, unique and rising, in the source's own form
	// ("17/0" for change 17 of a SQLite log, "1042" for a sequence).
	Place string
	// Time of the commit; zero if unknown.
	Time   time.Time
	Change *Change
	// Direct is a message that needs no mapping.
	Direct *Message
}

// Message is what goes into the stream.
type Message struct {
	Subject string
	Data    []byte
	// Time of the change, for the header Fabric-Time; zero leaves it out.
	Time time.Time
	// Event tells events, which are published once, from records, which are
	// idempotent and may be repeated.
	Event bool
}
