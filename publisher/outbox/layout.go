package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
)

// layout says what the records of a trigger consist of. Setup writes it beside
// the trigger, and it is never changed nor removed: what a former mapping's
// trigger logged is read by its own layout.
type layout struct {
	// id is a hash of all else, so that the same trigger has the same one.
	id int32
	// table as the mapping names it, and the relation's object id.
	table string
	oid   uint32
	// columns as they were called at setup, their attribute numbers, which a
	// RENAME leaves as they are, and whether they are booleans.
	columns []string
	numbers []int16
	bools   []bool
}

// newLayout of a table as the catalog has it. The catalog must have all columns.
func newLayout(t *table, real *pgdb.Table) layout {
	l := layout{table: t.name, oid: real.OID, columns: t.columns}
	h := fnv.New32a()
	fmt.Fprintf(h, "%d %q %s", formatVersion, t.name, real.Quoted())
	for _, name := range t.columns {
		c, _ := real.Column(name)
		l.numbers = append(l.numbers, c.Number)
		l.bools = append(l.bools, c.BaseOID == pgdb.BoolOID)
		fmt.Fprintf(h, " %q %d %d", name, c.Number, c.TypeOID)
	}
	l.id = int32(h.Sum32() & 0x7fffffff)
	return l
}

// readLayouts of this and former mappings.
func (q queries) readLayouts(ctx context.Context, db pgdb.DB) (map[int32]*layout, error) {
	rows, err := db.Query(ctx, q.layouts)
	if err != nil {
		return nil, err
	}
	layouts := map[int32]*layout{}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (none struct{}, err error) {
		l := &layout{}
		if err := row.Scan(&l.id, &l.table, &l.oid, &l.columns, &l.numbers, &l.bools); err != nil {
			return none, err
		}
		if len(l.numbers) != len(l.columns) || len(l.bools) != len(l.columns) {
			return none, fmt.Errorf("layout %d of table %s has %d columns, %d numbers and %d types", l.id, l.table, len(l.columns), len(l.numbers), len(l.bools))
		}
		layouts[l.id] = l
		return none, nil
	})
	return layouts, err
}

// projection reads the records of one layout for one table of the plan.
type projection struct {
	table  *table
	layout *layout
	// fields are for each column of the table the place in the record, -1 for
	// one that the record has not.
	fields []int
	// lacks is the first column that the record has not, and why.
	lacks string
}

// projection finds the columns of t in a record of l. names are those that the
// columns of l had when the record was written if the trigger found that they
// had changed, "" for one that was gone. real is the table as it is.
func (l *layout) projection(t *table, names []string, real *pgdb.Table) *projection {
	p := &projection{table: t, layout: l, fields: make([]int, len(t.columns))}
	for i, column := range t.columns {
		at := slices.Index(l.columns, column)
		if names != nil {
			at = slices.Index(names, column)
		}
		if at < 0 && real != nil {
			// A column renamed since: the mapping has its new name already.
			if c, ok := real.Column(column); ok {
				at = slices.Index(l.numbers, c.Number)
			}
		}
		if at >= 0 && names != nil && names[at] == "" {
			at = -1
		}
		if p.fields[i] = at; at < 0 && p.lacks == "" {
			p.lacks = column
		}
	}
	return p
}

// row reads a record. values is scratch.
func (p *projection) row(record string, values []publisher.Value) (publisher.Row, error) {
	values = values[:len(p.layout.columns)]
	if err := parseRecord(record, values); err != nil {
		return nil, fmt.Errorf("table %s: %w", p.table.name, err)
	}
	row := make(publisher.Row, len(p.fields))
	for i, at := range p.fields {
		if at < 0 {
			continue
		}
		v := values[at]
		if p.layout.bools[at] && v.Valid {
			v.Text = pgdb.Text(pgdb.BoolOID, v.Text)
		}
		row[p.table.columns[i]] = v
	}
	return row, nil
}

// parseNames reads the list that a trigger writes if columns were renamed or
// dropped: ["id",null,"state"].
func parseNames(s string) ([]string, error) {
	var list []*string
	if err := json.Unmarshal([]byte(s), &list); err != nil {
		return nil, fmt.Errorf("column names %q: %w", clip(s), err)
	}
	names := make([]string, len(list))
	for i, n := range list {
		if n != nil {
			names[i] = *n
		}
	}
	return names, nil
}

func clip(s string) string {
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}
