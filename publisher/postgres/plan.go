package postgres

import (
	"maps"
	"slices"

	"github.com/petpro/fabric/publisher"
)

// table of the mapping, as this source has to read it. Immutable after New.
type table struct {
	// name as the mapping writes it: Change.Table.
	name string
	key  string
	// columns that may be read, the key among them, sorted.
	columns []string

	mapped bool
	// former says which old values the mapping asks for, if mapped.
	former publisher.Former

	followed bool
	// followKey differs from key only if the mapping contradicts itself.
	followKey string
	// memory are the key and columns that lookups see, sorted, if followed.
	memory []string
	// touches are the rules for which this table is the followed one.
	touches []touchRule
}

// touchRule with the table it touches.
type touchRule struct {
	publisher.TouchRule
	table *table
	// query numbers the rules of the followed table, for places.
	query int
}

// plan lists the tables by name.
type plan map[string]*table

func newPlan(m publisher.Mapping) plan {
	p := plan{}
	former := m.Former()
	for name, columns := range m.Needs() {
		t := &table{name: name, columns: columns}
		if f, ok := m.Follow[name]; ok {
			t.followed, t.key, t.followKey = true, f.Key, f.Key
			t.memory = slices.Sorted(slices.Values(append([]string{f.Key}, f.Columns...)))
			t.memory = slices.Compact(t.memory)
		}
		if mt, ok := m.Tables[name]; ok {
			t.mapped, t.key, t.former = true, mt.Key, former[name]
		}
		p[name] = t
	}
	for _, rule := range m.Touches() {
		if f, touched := p[rule.Followed], p[rule.Table]; f != nil && touched != nil {
			f.touches = append(f.touches, touchRule{TouchRule: rule, table: touched, query: len(f.touches)})
		}
	}
	return p
}

// sorted lists the tables in the order of their names.
func (p plan) sorted() []*table {
	tables := make([]*table, 0, len(p))
	for _, name := range slices.Sorted(maps.Keys(p)) {
		tables = append(tables, p[name])
	}
	return tables
}

// follows says whether any table is followed.
func (p plan) follows() bool {
	for _, t := range p {
		if t.followed {
			return true
		}
	}
	return false
}

// formerNeeded are the columns of t whose former values only the log can tell,
// sorted: the key, and what a comparison with the published messages cannot.
func (t *table) formerNeeded() []string {
	needed := append([]string{t.key}, t.former.Deleted...)
	for _, c := range t.former.Updated {
		if !slices.Contains(t.former.Recalled, c) {
			needed = append(needed, c)
		}
	}
	if t.followed {
		needed = append(needed, t.memory...)
	}
	slices.Sort(needed)
	return slices.Compact(needed)
}
