package pgdb

import "slices"

// Catalog is what the database says of the tables of a mapping, as the role of
// the connection sees them.
type Catalog struct {
	// Role of the connection.
	Role string
	// Tables by their names in the mapping. What does not exist is missing.
	Tables map[string]*Table
	// Known are the tables of the database, "schema"."name" unquoted, to find
	// what was meant by a name that does not exist; read only if one does not.
	Known []Name
}

// Name of a relation.
type Name struct{ Schema, Name string }

// String is the name as a mapping writes it: "sales.bookings".
func (n Name) String() string { return n.Schema + "." + n.Name }

// Quoted is the name as SQL writes it: "sales"."bookings".
func (n Name) Quoted() string { return Quote(n.Schema, n.Name) }

// Kind of a relation, as pg_class.relkind.
type Kind byte

// The kinds of relations.
const (
	Ordinary         Kind = 'r'
	Partitioned      Kind = 'p'
	View             Kind = 'v'
	MaterializedView Kind = 'm'
	Foreign          Kind = 'f'
)

func (k Kind) String() string {
	switch k {
	case Ordinary:
		return "table"
	case Partitioned:
		return "partitioned table"
	case View:
		return "view"
	case MaterializedView:
		return "materialized view"
	case Foreign:
		return "foreign table"
	}
	return "relation of kind " + string(rune(k))
}

// Table is a relation of the database.
type Table struct {
	Name
	OID   uint32
	Kind  Kind
	Owner string
	// Unlogged tables are emptied at a crash, Temporary ones belong to a session.
	Unlogged, Temporary bool
	// Columns in the order of the table, without dropped ones.
	Columns []Column
	// Indexes that are valid or not; the primary key is among them.
	Indexes []Index
	// Identity of rows in the log. That of a partitioned table means nothing:
	// its partitions have their own (see Identities).
	Identity Identity
	// Children are partitions of any depth, or inheriting tables.
	Children []Child
	// IsPartition of another table.
	IsPartition bool
	// AlsoIn are schemas that have a table of this name too, for a name without
	// a schema.
	AlsoIn []string

	// RowSecurity is true if row level security hides rows from the role.
	RowSecurity bool
	// SchemaUsage is the privilege to reach into the schema, Trigger to create
	// triggers. Owned is true if the role is, or is a member of, the owner.
	SchemaUsage, Trigger, Owned bool
}

// Column of a table.
type Column struct {
	Name string
	// Number is pg_attribute.attnum.
	Number int16
	// TypeOID is the declared type, Type its name; BaseOID is what it is a
	// domain over, or itself.
	TypeOID, BaseOID uint32
	Type             string
	NotNull          bool
	// Generated columns are computed; logical replication leaves them out.
	Generated bool
	// Select is the privilege to read the column.
	Select bool
}

// Index of a table.
type Index struct {
	Name string
	// Method is "btree", "hash", "gin" …
	Method string
	// Columns of the key, in order; "" is an expression. Included ones are not
	// listed.
	Columns []string
	Primary bool
	Unique  bool
	// Valid is false while it is built, and after building it failed.
	Valid bool
	// Immediate is false if uniqueness may be judged at commit (DEFERRABLE).
	Immediate bool
	// Partial indexes cover a part of the rows.
	Partial bool
}

// Expression says whether the index has one.
func (i Index) Expression() bool { return slices.Contains(i.Columns, "") }

// unique says whether the index keeps column unique by itself, NULL apart.
func (i Index) unique(column string) bool {
	return i.Unique && i.Valid && i.Immediate && !i.Partial && slices.Equal(i.Columns, []string{column})
}

// Identity is what the log holds of the former row, as pg_class.relreplident.
type Identity struct {
	// Kind is IdentityDefault, IdentityFull, IdentityIndex or IdentityNothing.
	Kind byte
	// Columns that the log has of the former row: those of the primary key or
	// the index, all for full, none for nothing. With a Kind of IdentityIndex or
	// IdentityDefault there are none if that index was dropped or there never was
	// one: then UPDATE and DELETE of a published table fail.
	Columns []string
	// Index is the name of the index of IdentityIndex.
	Index string
}

// The kinds of identities.
const (
	IdentityDefault byte = 'd'
	IdentityFull    byte = 'f'
	IdentityIndex   byte = 'i'
	IdentityNothing byte = 'n'
)

// Covers says whether the log has all these columns of a former row.
func (i Identity) Covers(columns []string) bool {
	for _, c := range columns {
		if !slices.Contains(i.Columns, c) {
			return false
		}
	}
	return true
}

// Child is a partition or an inheriting table.
type Child struct {
	Name
	OID  uint32
	Kind Kind
	// Partition is false of a table that inherits.
	Partition bool
	Unlogged  bool
	Identity  Identity
}

// Column by name.
func (t *Table) Column(name string) (Column, bool) {
	for _, c := range t.Columns {
		if c.Name == name {
			return c, true
		}
	}
	return Column{}, false
}

// PrimaryKey lists the columns of the primary key, nil without one.
func (t *Table) PrimaryKey() []string {
	for _, i := range t.Indexes {
		if i.Primary {
			return i.Columns
		}
	}
	return nil
}

// Unique says whether the database keeps column unique and not NULL by itself.
func (t *Table) Unique(column string) bool {
	c, ok := t.Column(column)
	if !ok || !c.NotNull {
		return false
	}
	return slices.ContainsFunc(t.Indexes, func(i Index) bool { return i.unique(column) })
}

// Indexed says whether rows are found by column without reading all of them.
func (t *Table) Indexed(column string) bool {
	return slices.ContainsFunc(t.Indexes, func(i Index) bool {
		return i.Valid && !i.Partial && i.Columns[0] == column && (i.Method == "btree" || i.Method == "hash")
	})
}

// Identities are those of the relations that hold rows: the table's own, or the
// ones of its partitions that are not partitioned again.
func (t *Table) Identities() map[Name]Identity {
	if t.Kind != Partitioned {
		return map[Name]Identity{t.Name: t.Identity}
	}
	ids := map[Name]Identity{}
	for _, c := range t.Children {
		if c.Kind != Partitioned {
			ids[c.Name] = c.Identity
		}
	}
	return ids
}

// Covers says whether the log has all these columns of former rows, in every
// partition.
func (t *Table) Covers(columns []string) bool {
	for _, id := range t.Identities() {
		if !id.Covers(columns) {
			return false
		}
	}
	return true
}
