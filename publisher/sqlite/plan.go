package sqlite

import (
	"maps"
	"slices"
	"strings"

	"github.com/petpro/fabric/publisher"
)

// table of the mapping, as this source has to read it. Immutable after New.
type table struct {
	// name as the mapping writes it: Change.Table.
	name string
	key  string
	// followKey differs from key only if the mapping contradicts itself, which
	// Check complains of.
	followKey string
	// columns that may be read, the key among them, sorted.
	columns []string

	mapped, followed bool

	// touches are the rules for which this table is the followed one.
	touches []publisher.TouchRule
}

// plan lists the tables by name.
type plan map[string]*table

func newPlan(m publisher.Mapping) plan {
	p := plan{}
	for name, columns := range m.Needs() {
		t := &table{name: name, columns: columns}
		if f, ok := m.Follow[name]; ok {
			t.followed, t.key, t.followKey = true, f.Key, f.Key
		}
		if mt, ok := m.Tables[name]; ok {
			t.mapped, t.key = true, mt.Key
		}
		p[name] = t
	}
	for _, rule := range m.Touches() {
		if f, ok := p[rule.Followed]; ok && p[rule.Table] != nil {
			f.touches = append(f.touches, rule)
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

// has says whether a table of that name, in whatever case, is in the plan.
func (p plan) has(name string) bool {
	for mapped := range p {
		if strings.EqualFold(mapped, name) {
			return true
		}
	}
	return false
}
