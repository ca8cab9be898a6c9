package outbox

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
)

// batch of the log, as it is stored: the values of entry i are the i-th of each.
type batch struct {
	n        int64
	tag      string
	priorTag string
	// discarded is how many rows a snapshot took out of the outbox unread, where
	// the batch is the mark of one.
	discarded int64
	// seen is how many of the first rows tell of changes that the rows read for
	// touches may have shown already, at a place before: they are compared with
	// what was published. ahead is the id in the outbox up to which that may be
	// so for rows still to come; ids are drawn before a change is visible.
	ahead           int64
	seen            int
	layout          []int32
	op              string
	at              []time.Time
	named, old, new []pgtype.Text
}

// targets are the pointers for Scan, in the order of batchColumns.
func (b *batch) targets() []any {
	return []any{&b.n, &b.tag, &b.priorTag, &b.discarded, &b.ahead, &b.seen, &b.layout, &b.op, &b.at, &b.named, &b.old, &b.new}
}

// nullable are targets for a row that may have no batch.
type nullable struct {
	n, discarded       pgtype.Int8
	ahead              pgtype.Int8
	seen               pgtype.Int4
	tag, priorTag, ops pgtype.Text
	layout             []int32
	at                 []time.Time
	named, old, new    []pgtype.Text
}

func (b *nullable) targets() []any {
	return []any{&b.n, &b.tag, &b.priorTag, &b.discarded, &b.ahead, &b.seen, &b.layout, &b.ops, &b.at, &b.named, &b.old, &b.new}
}

func (b *nullable) batch() *batch {
	if !b.n.Valid {
		return nil
	}
	return &batch{b.n.Int64, b.tag.String, b.priorTag.String, b.discarded.Int64, b.ahead.Int64, int(b.seen.Int32), b.layout, b.ops.String, b.at, b.named, b.old, b.new}
}

// check refuses a batch that is not whole.
func (b *batch) check() error {
	rows := len(b.layout)
	for _, n := range []int{len(b.op), len(b.at), len(b.named), len(b.old), len(b.new)} {
		if n != rows {
			return fmt.Errorf("%w: batch %d is damaged: it has %d layouts and %d values", publisher.ErrHalt, b.n, rows, n)
		}
	}
	return nil
}

func (b *batch) place(row int) place { return place{b.n, b.tag, row} }

// record i of the batch.
func (b *batch) record(i int) record {
	return record{b.layout[i], b.op[i], b.at[i], b.named[i], b.old[i], b.new[i]}
}

// record is one row of the outbox.
type record struct {
	layout int32
	op     byte
	at     time.Time
	// named is the list of column names if they are not those of the layout, an
	// error of the trigger behind a '!', or, of a touch, the cause.
	named    pgtype.Text
	old, new pgtype.Text
}

func scanRecord(row pgx.CollectableRow) (r record, err error) {
	var op string
	if err := row.Scan(&r.layout, &op, &r.at, &r.named, &r.old, &r.new); err != nil {
		return r, err
	}
	if len(op) != 1 {
		return r, fmt.Errorf("operation %q", op)
	}
	r.op = op[0]
	return r, nil
}

// The operations of records.
const (
	opInsert = 'i'
	opUpdate = 'u'
	opDelete = 'd'
	opTouch  = 't'
	opHole   = 'x'
)

// cause of a touch, as JSON in named. The record old is the followed row's.
type cause struct {
	Layout int32  `json:"layout"`
	Key    string `json:"key"`
}

// newTag is the random part of a batch's name.
func newTag() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// decoder turns records into changes. It belongs to one connection and is used
// from one goroutine.
type decoder struct {
	source  *Source
	layouts map[int32]*layout
	// catalog is that of the last look at the tables.
	catalog *pgdb.Catalog
	// projections of layouts whose columns have their names.
	projections map[int32]*projection
	// renamed is the projection of the layout and names used last.
	renamed      *projection
	renamedNames string
	values       []publisher.Value
}

func (s *Source) newDecoder(ctx context.Context, c *conn, catalog *pgdb.Catalog) (*decoder, error) {
	d := &decoder{source: s, catalog: catalog}
	return d, d.refresh(ctx, c, catalog)
}

// refresh reads the layouts again.
func (d *decoder) refresh(ctx context.Context, c *conn, catalog *pgdb.Catalog) (err error) {
	d.catalog, d.projections, d.renamed = catalog, map[int32]*projection{}, nil
	d.layouts, err = d.source.queries.readLayouts(ctx, c)
	for _, l := range d.layouts {
		if len(l.columns) > len(d.values) {
			d.values = make([]publisher.Value, len(l.columns))
		}
	}
	return err
}

// errUnknownLayout is returned for records of a trigger newer than the decoder.
var errUnknownLayout = fmt.Errorf("the layout is not known")

// projection for a record; nil if its table is no longer in the mapping.
func (d *decoder) projection(id int32, named pgtype.Text) (*projection, error) {
	if p, ok := d.projections[id]; ok && !named.Valid {
		return p, nil
	}
	l := d.layouts[id]
	if l == nil {
		return nil, fmt.Errorf("%w: %d", errUnknownLayout, id)
	}
	t := d.source.plan[l.table]
	if t == nil {
		return nil, nil
	}
	if !named.Valid {
		d.projections[id] = l.projection(t, nil, d.catalog.Tables[t.name])
		return d.projections[id], nil
	}
	if d.renamed != nil && d.renamed.layout == l && d.renamedNames == named.String {
		return d.renamed, nil
	}
	names, err := parseNames(named.String)
	if err == nil && len(names) != len(l.columns) {
		err = fmt.Errorf("%d column names for %d columns of table %s", len(names), len(l.columns), l.table)
	}
	if err != nil {
		return nil, err
	}
	d.renamed, d.renamedNames = l.projection(t, names, d.catalog.Tables[t.name]), named.String
	return d.renamed, nil
}

// change reads a record; nil if its table is no longer in the mapping.
func (d *decoder) change(r record) (*publisher.Change, error) {
	switch {
	case r.op == opTouch:
		return d.touch(r)
	case r.op == opHole:
		table := "a table"
		if l := d.layouts[r.layout]; l != nil {
			table = "table " + l.table
		}
		return nil, fmt.Errorf("changes of %s may be missing before %s (%s): %w", table, r.at.Format(time.RFC3339), r.named.String, publisher.ErrLost)
	case r.named.Valid && len(r.named.String) > 0 && r.named.String[0] == '!':
		return nil, fmt.Errorf("the trigger could not read the row (%s): %w", r.named.String[1:], publisher.ErrLost)
	}
	p, err := d.projection(r.layout, r.named)
	if p == nil || err != nil {
		return nil, err
	}
	if p.lacks != "" {
		if err := d.missing(p); err != nil {
			return nil, err
		}
	}
	c := &publisher.Change{Table: p.table.name}
	switch r.op {
	case opInsert:
		c.Op = publisher.Insert
	case opUpdate:
		c.Op = publisher.Update
	case opDelete:
		c.Op = publisher.Delete
	default:
		return nil, fmt.Errorf("operation %q is not known to this version: use the one that made the triggers", r.op)
	}
	if c.Old, err = d.row(p, r.old); err != nil {
		return nil, err
	}
	c.New, err = d.row(p, r.new)
	return c, err
}

// missing complains of a listed column that the table no longer has. One that
// was listed only after the record was written is the mapper's to judge.
func (d *decoder) missing(p *projection) error {
	real := d.catalog.Tables[p.table.name]
	if real == nil {
		return nil
	}
	if _, ok := real.Column(p.lacks); ok {
		return nil
	}
	for _, problem := range d.catalog.Problems(d.source.mapping) {
		if !problem.Advice {
			return fmt.Errorf("%w: %w", publisher.ErrHalt, problem)
		}
	}
	return nil
}

// row is nil if there is none.
func (d *decoder) row(p *projection, text pgtype.Text) (publisher.Row, error) {
	if !text.Valid {
		return nil, nil
	}
	return p.row(text.String, d.values)
}

// touch reads the record of a touch.
func (d *decoder) touch(r record) (*publisher.Change, error) {
	var by cause
	if err := json.Unmarshal([]byte(r.named.String), &by); err != nil {
		return nil, fmt.Errorf("cause of a touch %q: %w", clip(r.named.String), err)
	}
	p, err := d.projection(r.layout, pgtype.Text{})
	if p == nil || err != nil {
		return nil, err
	}
	followed, err := d.projection(by.Layout, pgtype.Text{})
	if followed == nil || err != nil {
		return nil, err
	}
	c := &publisher.Change{Table: p.table.name, Op: publisher.Touch, Cause: &publisher.Cause{Table: followed.table.name, Key: by.Key}}
	if c.New, err = d.row(p, r.new); err != nil {
		return nil, err
	}
	c.Old = c.New
	c.Cause.Old, err = d.row(followed, r.old)
	return c, err
}
