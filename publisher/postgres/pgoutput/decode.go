package pgoutput

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// DecodeError is returned for a message that is not one of protocol version 1.
type DecodeError struct {
	// Message is its name, "Update"; Length its size in bytes.
	Message string
	Length  int
	// Offset in bytes of what is wrong; Want is what should have been there.
	Offset int
	Want   string
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("pgoutput: %s message, byte %d of %d: want %s", e.Message, e.Offset, e.Length, e.Want)
}

// Decoder decodes the messages of one stream, in their order: it remembers the
// relations, which the server describes once. What it returns is overwritten by
// the next Decode and refers to the bytes it was given, relations excepted.
// The zero Decoder is ready to use.
type Decoder struct {
	relations map[uint32]*Relation

	// Reused: one message is valid at a time.
	begin    Begin
	commit   Commit
	origin   Origin
	typ      Type
	insert   Insert
	update   Update
	delete   Delete
	truncate Truncate
	ignored  Ignored
	old, new Tuple
}

// Decode returns the message in data, which must be whole. Its errors are
// *DecodeError.
func (d *Decoder) Decode(data []byte) (Message, error) {
	c := cursor{data: data, message: "empty"}
	tag := c.byte("a message type")
	var m Message
	switch tag {
	case 'B':
		m = d.decodeBegin(&c)
	case 'C':
		m = d.decodeCommit(&c)
	case 'O':
		m = d.decodeOrigin(&c)
	case 'R':
		m = d.decodeRelation(&c)
	case 'Y':
		m = d.decodeType(&c)
	case 'I':
		m = d.decodeInsert(&c)
	case 'U':
		m = d.decodeUpdate(&c)
	case 'D':
		m = d.decodeDelete(&c)
	case 'T':
		m = d.decodeTruncate(&c)
	case 'M':
		return &d.ignored, nil
	default:
		if c.err == nil {
			c.message = fmt.Sprintf("%q", tag)
			c.fail(0, "a message type of protocol version 1")
		}
	}
	if c.err == nil && c.at != len(data) {
		c.fail(c.at, "its end")
	}
	if c.err != nil {
		return nil, c.err
	}
	if r, ok := m.(*Relation); ok {
		m = d.remember(r)
	}
	return m, nil
}

// remember returns r, or the relation known already if r is the same: whatever
// invalidates the server's cache, such as an autovacuum, has it describe a table
// again.
func (d *Decoder) remember(r *Relation) *Relation {
	if known := d.relations[r.OID]; known != nil && known.equal(r) {
		return known
	}
	if d.relations == nil {
		d.relations = make(map[uint32]*Relation)
	}
	d.relations[r.OID] = r
	return r
}

func (d *Decoder) decodeBegin(c *cursor) Message {
	c.message = "Begin"
	d.begin = Begin{
		Commit: c.lsn("the commit's LSN"),
		Time:   fromMicroseconds(c.int64("the commit's time")),
		XID:    c.uint32("a transaction id"),
	}
	return &d.begin
}

func (d *Decoder) decodeCommit(c *cursor) Message {
	c.message = "Commit"
	c.byte("flags")
	d.commit = Commit{
		LSN:  c.lsn("the commit's LSN"),
		End:  c.lsn("the transaction's end LSN"),
		Time: fromMicroseconds(c.int64("the commit's time")),
	}
	return &d.commit
}

func (d *Decoder) decodeOrigin(c *cursor) Message {
	c.message = "Origin"
	d.origin = Origin{LSN: c.lsn("the origin's LSN"), Name: c.string("the origin's name")}
	return &d.origin
}

// minColumn is the size of a column in a Relation message: flags, an empty
// name, type and modifier.
const minColumn = 1 + 1 + 4 + 4

func (d *Decoder) decodeRelation(c *cursor) Message {
	c.message = "Relation"
	r := &Relation{
		OID:      c.uint32("the relation's OID"),
		Schema:   c.string("the schema's name"),
		Name:     c.string("the relation's name"),
		Identity: c.byte("the replica identity"),
	}
	r.Columns = make([]Column, c.count(uint32(c.uint16("the number of columns")), minColumn))
	for i := range r.Columns {
		r.Columns[i] = Column{
			Key:      c.byte("a column's flags")&1 != 0,
			Name:     c.string("a column's name"),
			Type:     c.uint32("a column's type"),
			Modifier: int32(c.uint32("a column's type modifier")),
		}
	}
	return r
}

func (d *Decoder) decodeType(c *cursor) Message {
	c.message = "Type"
	d.typ = Type{
		OID:    c.uint32("the type's OID"),
		Schema: c.string("the schema's name"),
		Name:   c.string("the type's name"),
	}
	return &d.typ
}

func (d *Decoder) decodeInsert(c *cursor) Message {
	c.message = "Insert"
	r := d.relation(c)
	c.expect('N', "N, a new row")
	d.new = c.tuple(d.new, r, false)
	d.insert = Insert{Relation: r, New: d.new}
	return &d.insert
}

func (d *Decoder) decodeUpdate(c *cursor) Message {
	c.message = "Update"
	r := d.relation(c)
	d.update = Update{Relation: r}
	if c.at < len(c.data) && c.data[c.at] != 'N' {
		d.update.Sent, d.update.Old = d.decodeOld(c, r)
	}
	c.expect('N', "K, O or N, a row")
	d.new = c.tuple(d.new, r, false)
	d.update.New = d.new
	return &d.update
}

func (d *Decoder) decodeDelete(c *cursor) Message {
	c.message = "Delete"
	r := d.relation(c)
	d.delete = Delete{Relation: r}
	d.delete.Sent, d.delete.Old = d.decodeOld(c, r)
	return &d.delete
}

func (d *Decoder) decodeOld(c *cursor, r *Relation) (Sent, Tuple) {
	sent := Sent(c.byte("K or O, an old row"))
	if c.err == nil && sent != OldKey && sent != OldRow {
		c.fail(c.at-1, "K or O, an old row")
	}
	d.old = c.tuple(d.old, r, sent == OldKey)
	return sent, d.old
}

func (d *Decoder) decodeTruncate(c *cursor) Message {
	c.message = "Truncate"
	n := c.uint32("the number of relations")
	options := c.byte("options")
	rs := d.truncate.Relations[:0]
	for range c.count(n, 4) {
		rs = append(rs, d.relation(c))
	}
	d.truncate = Truncate{Relations: rs, Cascade: options&1 != 0, RestartIdentity: options&2 != 0}
	return &d.truncate
}

// relation reads an OID and returns what it stands for; after an error an empty
// one.
func (d *Decoder) relation(c *cursor) *Relation {
	at := c.at
	oid := c.uint32("a relation's OID")
	if r := d.relations[oid]; r != nil && c.err == nil {
		return r
	}
	if c.err == nil {
		c.fail(at, fmt.Sprintf("a relation that was described before, not %d", oid))
	}
	return &Relation{}
}

// cursor reads a message from its beginning. Once something was missing it
// stays where it is and reads zeros.
type cursor struct {
	data    []byte
	at      int
	message string
	err     error
}

func (c *cursor) fail(at int, want string) {
	if c.err == nil {
		c.err = &DecodeError{Message: c.message, Length: len(c.data), Offset: at, Want: want}
	}
}

// take returns the next n bytes, nil if they are not there.
func (c *cursor) take(n int, want string) []byte {
	if c.err != nil || n > len(c.data)-c.at {
		c.fail(c.at, want)
		return nil
	}
	b := c.data[c.at : c.at+n : c.at+n]
	c.at += n
	return b
}

func (c *cursor) byte(want string) byte {
	if b := c.take(1, want); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) expect(b byte, want string) {
	if c.byte(want) != b {
		c.fail(c.at-1, want)
	}
}

func (c *cursor) uint16(want string) uint16 {
	if b := c.take(2, want); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) uint32(want string) uint32 {
	if b := c.take(4, want); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) int64(want string) int64 {
	if b := c.take(8, want); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (c *cursor) lsn(want string) LSN { return LSN(c.int64(want)) }

func (c *cursor) string(want string) string {
	if c.err != nil {
		return ""
	}
	n := bytes.IndexByte(c.data[c.at:], 0)
	if n < 0 {
		c.fail(c.at, want+", ended by a zero")
		return ""
	}
	return string(c.take(n+1, want)[:n])
}

// count checks that n things of at least size bytes can follow; 0 if not.
func (c *cursor) count(n uint32, size int) int {
	if left := len(c.data) - c.at; c.err == nil && uint64(n) > uint64(left/size) {
		c.fail(c.at, fmt.Sprintf("%d times %d bytes or more, not %d in all", n, size, left))
	}
	if c.err != nil {
		return 0
	}
	return int(n)
}

// tuple reads a row of r into t, which it returns, grown if need be.
func (c *cursor) tuple(t Tuple, r *Relation, key bool) Tuple {
	at := c.at
	n := int(c.uint16("the number of columns"))
	if c.err == nil && n != len(r.Columns) {
		c.fail(at, fmt.Sprintf("the %d columns of %s.%s, not %d", len(r.Columns), r.Schema, r.Name, n))
	}
	t = t[:0]
	for i := 0; i < n && c.err == nil; i++ {
		v := c.value()
		// What is no part of the key is sent as if it were null.
		if key && v.Kind == Null && !r.Columns[i].Key {
			v.Kind = Omitted
		}
		t = append(t, v)
	}
	return t
}

func (c *cursor) value() Value {
	const want = "n, u or t, a value"
	switch kind := Kind(c.byte(want)); kind {
	case Null, Unchanged:
		return Value{Kind: kind}
	case Text:
		at := c.at
		n := c.uint32("the length of a value")
		if left := len(c.data) - c.at; c.err == nil && uint64(n) > uint64(left) {
			c.fail(at, fmt.Sprintf("the length of a value, at most %d, not %d", left, n))
		}
		return Value{Kind: Text, Data: c.take(int(n), "a value")}
	}
	c.fail(c.at-1, want)
	return Value{}
}
