package publisher

import (
	"cmp"
	"maps"
	"slices"
)

// Needs lists, for each table that a source must follow, the columns to read,
// sorted and each once: the allow-list and key of mapped tables, key and
// columns of followed ones, both for a table that is mapped and followed.
// Nothing else of the database is ever read.
func (m Mapping) Needs() map[string][]string {
	needs := make(map[string][]string, len(m.Tables)+len(m.Follow))
	for name, t := range m.Tables {
		needs[name] = append(append(needs[name], t.Key), t.Columns...)
	}
	for name, f := range m.Follow {
		needs[name] = append(append(needs[name], f.Key), f.Columns...)
	}
	for name, columns := range needs {
		slices.Sort(columns)
		needs[name] = slices.Compact(columns)
	}
	return needs
}

// TouchRule says that a change of a row of Followed alters who may be in the rooms
// of Table: the source must emit a Touch for each row of Table whose Column
// equals the followed row's FollowKey, as it was before the change or is after
// it. Inserted and deleted followed rows touch as updated ones do.
//
// The entries of one change come in this order: the change of the followed row
// itself (so that the mapper knows the new state), then its Touches.
type TouchRule struct {
	// Followed table, and the column of it that is the key of lookups.
	Followed, FollowKey string
	// Table whose rows are touched, and its column that holds the followed key.
	Table, Column string
}

// Touches lists the touch rules of the mapping, sorted by Followed, Table and
// Column. They come from the lookups in access.participants; lookups in events
// are read when the event is made and touch nothing.
func (m Mapping) Touches() []TouchRule {
	rules := map[TouchRule]bool{}
	for name, t := range m.Tables {
		if t.Access == nil {
			continue
		}
		for user := range t.Access.Participants {
			parsed, err := parseTemplate(user)
			if err != nil {
				continue // NewMapper complains
			}
			for _, p := range parsed {
				if p.ref != nil && p.ref.follow != "" {
					f := m.Follow[p.ref.follow]
					rules[TouchRule{p.ref.follow, f.Key, name, p.ref.via}] = true
				}
			}
		}
	}
	return slices.SortedFunc(maps.Keys(rules), func(a, b TouchRule) int {
		return cmp.Or(cmp.Compare(a.Followed, b.Followed), cmp.Compare(a.Table, b.Table), cmp.Compare(a.Column, b.Column))
	})
}

// Relation is the name of a mapped or followed table in the database.
func (m Mapping) Relation(table string) string {
	if t, ok := m.Tables[table]; ok && t.From != "" {
		return t.From
	}
	if f, ok := m.Follow[table]; ok && f.From != "" {
		return f.From
	}
	return table
}
