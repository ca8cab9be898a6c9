package outbox

import (
	"maps"
	"slices"

	"github.com/petpro/fabric/publisher"
)

// table of the mapping, as this source has to read it. Immutable after New.
type table struct {
	// name as the mapping writes it: Change.Table.
	name string
	// key of a mapped table, or else of the followed one.
	key string
	// columns that may be read, the key among them, sorted.
	columns []string

	mapped, followed bool

	// followKey is the key of a followed table, memory what lookups see of it.
	followKey string
	memory    []string
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
			t.memory = append([]string{f.Key}, f.Columns...)
		}
		if mt, ok := m.Tables[name]; ok {
			t.mapped, t.key = true, mt.Key
		}
		p[name] = t
	}
	for _, rule := range m.Touches() {
		if f := p[rule.Followed]; f != nil && p[rule.Table] != nil {
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

// follows says whether any table is followed.
func (p plan) follows() bool {
	for _, t := range p {
		if t.followed {
			return true
		}
	}
	return false
}

// touched says whether followed tables make touches of a table's rows.
func (p plan) touched(name string) bool {
	for _, t := range p {
		if slices.ContainsFunc(t.touches, func(rule publisher.TouchRule) bool { return rule.Table == name }) {
			return true
		}
	}
	return false
}

// altered says whether the change of a followed row can alter what lookups
// find.
func (t *table) altered(c *publisher.Change) bool {
	return c.Op != publisher.Update || slices.ContainsFunc(t.memory, func(column string) bool {
		return c.Old[column] != c.New[column]
	})
}
