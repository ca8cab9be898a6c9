package pgoutput

import (
	"slices"
	"time"
)

// Message is one of the types below, as a pointer. But for *Relation it is
// valid until the next one is asked for.
type Message interface{ message() }

// Begin opens a transaction. Transactions come one after the other, in the
// order of their commits, and never in part: all rows up to Commit are
// committed.
type Begin struct {
	// Commit is the LSN of the commit record: Commit.LSN of the message to come.
	Commit LSN
	Time   time.Time
	// XID of the transaction, without its epoch.
	XID uint32
}

// Commit ends a transaction.
type Commit struct {
	// LSN of the commit record, End of the byte behind it. A slot confirmed up
	// to LSN sends this transaction again, one confirmed up to End does not.
	LSN, End LSN
	Time     time.Time
}

// Origin follows Begin if the transaction was itself replicated from elsewhere.
type Origin struct {
	// LSN of the commit at the origin.
	LSN  LSN
	Name string
}

// Relation describes a table. It comes before the first row of the table, and
// again after the table was altered, or for no reason. It is never changed once
// it was decoded, and rows of the same table have the same pointer until a
// column of it changes: whatever was derived from it can be kept by that
// pointer.
type Relation struct {
	OID uint32
	// Schema is empty for pg_catalog.
	Schema, Name string
	// Identity is pg_class.relreplident: d default, n nothing, f full, i index.
	Identity byte
	Columns  []Column
}

func (r *Relation) equal(o *Relation) bool {
	return r.OID == o.OID && r.Schema == o.Schema && r.Name == o.Name && r.Identity == o.Identity &&
		slices.Equal(r.Columns, o.Columns)
}

// Column of a Relation. Generated columns, and those that a publication's column
// list leaves out, are not in the log.
type Column struct {
	Name string
	// Key says that the column belongs to the replica identity. With FULL all
	// columns do.
	Key bool
	// Type is the OID of the type, Modifier pg_attribute.atttypmod.
	Type     uint32
	Modifier int32
}

// Type names a type that is not built in, such as an enum, before the first
// Relation that uses it.
type Type struct {
	OID          uint32
	Schema, Name string
}

// Insert is a new row.
type Insert struct {
	Relation *Relation
	New      Tuple
}

// Update is a changed row.
type Update struct {
	Relation *Relation
	// Old is nil if Sent is OldNothing. Values of columns that are not in the log
	// are Omitted.
	Old  Tuple
	Sent Sent
	New  Tuple
}

// Delete is a row deleted; Old as in Update, but never nil.
type Delete struct {
	Relation *Relation
	Old      Tuple
	Sent     Sent
}

// Truncate empties tables, all of one statement.
type Truncate struct {
	Relations []*Relation
	// Cascade and RestartIdentity are options of the statement. Tables that
	// CASCADE reached are among Relations, if they are published.
	Cascade, RestartIdentity bool
}

// Keepalive comes when the server has nothing else to say, at least every tenth
// of Options.Timeout while Receive is called.
type Keepalive struct {
	// End is how far the server has read its log. Outside of a transaction all
	// that was committed before End has been received; the next transaction may
	// commit at End itself. Inside one it means nothing.
	End LSN
	// Time is the server's clock.
	Time time.Time
}

// Ignored is a message of pg_logical_emit_message.
type Ignored struct{}

func (*Begin) message()     {}
func (*Commit) message()    {}
func (*Origin) message()    {}
func (*Relation) message()  {}
func (*Type) message()      {}
func (*Insert) message()    {}
func (*Update) message()    {}
func (*Delete) message()    {}
func (*Truncate) message()  {}
func (*Keepalive) message() {}
func (*Ignored) message()   {}

// Sent is which old values the log has of a row.
type Sent byte

// Which of them depends on the table's replica identity.
const (
	// OldNothing: of an update which did not touch the key, unless the identity
	// is FULL.
	OldNothing Sent = 0
	// OldKey: the columns of the identity, which the update changed, or of a
	// deleted row.
	OldKey Sent = 'K'
	// OldRow: all of them, as the identity is FULL.
	OldRow Sent = 'O'
)

// Tuple is a row: Tuple[i] belongs to Relation.Columns[i].
type Tuple []Value

// Value of a column.
type Value struct {
	Kind Kind
	// Data of Text is what the type's output function prints, in UTF-8. It is
	// part of the receive buffer: copy what must outlive the message.
	Data []byte
}

// Kind tells what is known of a Value.
type Kind byte

// The kinds of values.
const (
	// Omitted: the log does not have it, as the column is not part of the
	// replica identity (Old only).
	Omitted Kind = 0
	// Null is SQL's NULL.
	Null Kind = 'n'
	// Unchanged: a large value, stored out of line (TOAST), that the update left
	// as it was. If Sent is OldRow, Old has it.
	Unchanged Kind = 'u'
	// Text is a value.
	Text Kind = 't'
)
