package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
	"github.com/petpro/fabric/publisher/postgres/pgoutput"
)

// relation is how the log describes a table at one moment, and where the
// columns of the mapping are in it. Immutable.
type relation struct {
	*pgoutput.Relation
	// table is nil if the mapping does not name it.
	table *table
	// real is the table as the catalog has it now, nil if it was dropped since.
	real *pgdb.Table
	// columns of the mapping that the log has.
	columns []logged
	// absent are those that the log does not have, for they were added to the
	// table, or to the publication, later. They are read from the table.
	absent []string
	// recall says that an old row in the log lacks what the mapping asks for.
	recall bool
	// halt is why rows cannot be emitted; nil if they can.
	halt error
}

// logged is a column of the mapping in the log.
type logged struct {
	name  string
	index int
	// boolean columns are given as true and false.
	boolean bool
	// key says that the column is part of the replica identity.
	key bool
}

// binder finds the tables of the plan in what the log describes.
type binder struct {
	plan    plan
	catalog *pgdb.Catalog
	// read reads the catalog.
	read func() (*pgdb.Catalog, error)
}

func (b *binder) refresh() (err error) {
	catalog, err := b.read()
	if err == nil {
		b.catalog = catalog
	}
	return err
}

// bind looks r up by its OID, for that stays when a table is renamed, and then
// by its name, for the log may speak of a table that was dropped and made anew.
func (b binder) bind(r *pgoutput.Relation) *relation {
	bound := &relation{Relation: r}
	for name, real := range b.catalog.Tables {
		switch {
		case real.OID == r.OID:
			bound.table, bound.real = b.plan[name], real
		case bound.real == nil && real.Schema == r.Schema && real.Name.Name == r.Name:
			bound.table = b.plan[name]
		}
	}
	if bound.table != nil {
		bound.locate()
	}
	return bound
}

// complete says whether the log has all columns of the mapping by their names.
func (r *relation) complete() bool {
	return !slices.ContainsFunc(r.table.columns, func(name string) bool {
		return !slices.ContainsFunc(r.Columns, func(c pgoutput.Column) bool { return c.Name == name })
	})
}

// locate finds the columns of the mapping.
func (r *relation) locate() {
	for _, name := range r.table.columns {
		i := slices.IndexFunc(r.Columns, func(c pgoutput.Column) bool { return c.Name == name })
		if i < 0 {
			i = r.renamed(name)
		}
		switch {
		case i >= 0:
			c := r.Columns[i]
			r.columns = append(r.columns, logged{name: name, index: i, boolean: r.boolean(c), key: c.Key})
		case r.exists(name):
			r.absent = append(r.absent, name)
		default:
			r.halt = r.gone(name)
			return
		}
	}
	r.recall = !r.covers(r.table.former.Updated)
}

// renamed finds a column that the log has under a former name; -1 if there is
// none, or if it cannot be told. Columns are logged in the order of their
// numbers, which a renaming leaves as they are: so between two columns whose
// names did not change, as many names of the log must be unknown to the table
// as names of the table are unknown to the log.
func (r *relation) renamed(name string) int {
	if r.real == nil {
		return -1
	}
	now, ok := r.real.Column(name)
	if !ok {
		return -1
	}
	var unknown []int
	left, right := int16(0), int16(0)
	for i, c := range r.Columns {
		known, ok := r.real.Column(c.Name)
		if !ok {
			unknown = append(unknown, i)
			continue
		}
		if known.Number > now.Number {
			right = known.Number
			break
		}
		left, unknown = known.Number, nil
	}
	candidates := r.between(left, right)
	if right == 0 {
		candidates = contiguous(candidates, left, len(unknown))
	}
	i := slices.IndexFunc(candidates, func(c pgdb.Column) bool { return c.Name == name })
	if i < 0 || len(candidates) != len(unknown) || r.Columns[unknown[i]].Type != now.TypeOID {
		return -1
	}
	return unknown[i]
}

// between lists the columns that the table has now between two numbers; right
// may be 0, for no limit.
func (r *relation) between(left, right int16) []pgdb.Column {
	var between []pgdb.Column
	for _, c := range r.real.Columns {
		if c.Number > left && (right == 0 || c.Number < right) && !c.Generated {
			between = append(between, c)
		}
	}
	return between
}

// contiguous takes up to n columns from those behind left. Behind the last known
// column of the log, others may be younger than the log; a missing number is a
// column that was dropped, and then nobody knows which is which.
func contiguous(columns []pgdb.Column, left int16, n int) []pgdb.Column {
	for i, c := range columns {
		if i == n || c.Number != left+1+int16(i) {
			return columns[:i]
		}
	}
	return columns
}

// exists says whether the table has the column now.
func (r *relation) exists(name string) bool {
	if r.real == nil {
		return false
	}
	_, ok := r.real.Column(name)
	return ok
}

// boolean says whether the column's type is, or is a domain over, boolean: the
// log names the domain, a query the type below.
func (r *relation) boolean(c pgoutput.Column) bool {
	if c.Type == pgdb.BoolOID {
		return true
	}
	if r.real == nil {
		return false
	}
	return slices.ContainsFunc(r.real.Columns, func(now pgdb.Column) bool {
		return now.TypeOID == c.Type && now.BaseOID == pgdb.BoolOID
	})
}

// covers says whether the old rows in the log have these columns.
func (r *relation) covers(columns []string) bool {
	for _, name := range columns {
		if !slices.ContainsFunc(r.columns, func(c logged) bool { return c.name == name && c.key }) {
			return false
		}
	}
	return true
}

// gone says that a mapped column is not there any more, and what to do.
func (r *relation) gone(name string) error {
	names := make([]string, len(r.Columns))
	for i, c := range r.Columns {
		names[i] = c.Name
	}
	return fmt.Errorf("%w: table %s.%s has no column %q any more, it has %s; name the right one in the mapping of %q and start again: "+
		"nothing from here on is confirmed, so publishing goes on with this row",
		publisher.ErrHalt, r.Schema, r.Name, name, strings.Join(names, ", "), r.table.name)
}
