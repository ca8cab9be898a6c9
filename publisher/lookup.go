package publisher

import (
	"cmp"
	"maps"
	"slices"
)

// Lookup is a reference into a followed table, {services[service_id].provider_id}.
type Lookup struct {
	// Follow is the followed table, Via the column of the mapped row that holds
	// its key, Column what is looked up.
	Follow, Via, Column string
}

// Name of the lookup in a Row: "services[service_id].provider_id".
func (l Lookup) Name() string { return l.Follow + "[" + l.Via + "]." + l.Column }

// Lookups lists, for each mapped table, every lookup that the mapping makes from
// its rows, in participants, events and notifications, sorted and each once.
// Tables without any are left out.
func (m Mapping) Lookups() map[string][]Lookup {
	all := make(map[string][]Lookup, len(m.Tables))
	for name, t := range m.Tables {
		found := map[Lookup]bool{}
		for _, source := range t.templates() {
			for _, r := range references(source) {
				if r.follow != "" {
					found[r.lookup()] = true
				}
			}
		}
		if len(found) > 0 {
			all[name] = slices.SortedFunc(maps.Keys(found), func(a, b Lookup) int {
				return cmp.Or(cmp.Compare(a.Follow, b.Follow), cmp.Compare(a.Via, b.Via), cmp.Compare(a.Column, b.Column))
			})
		}
	}
	return all
}

// lookup of a reference into a followed table.
func (r *reference) lookup() Lookup { return Lookup{Follow: r.follow, Via: r.via, Column: r.column} }

// own is the column of the row that a reference reads: for a lookup the one that
// holds the key.
func (r *reference) own() string {
	if r.follow != "" {
		return r.via
	}
	return r.column
}

// templates lists every template that is rendered for rows of the table.
func (t Table) templates() []string {
	var all []string
	if t.Access != nil {
		all = slices.AppendSeq(all, maps.Keys(t.Access.Participants))
	}
	for _, e := range t.Events {
		for _, p := range e.parts() {
			all = append(all, p.source)
		}
		all = append(all, e.Subject)
		for _, n := range e.Notify {
			all = append(all, n.To, n.Type, n.Title, n.Message)
		}
	}
	return all
}

// references lists those of a template; none if it is malformed, which NewMapper
// complains about.
func references(source string) []*reference {
	parsed, err := parseTemplate(source)
	if err != nil {
		return nil
	}
	var refs []*reference
	for _, p := range parsed {
		if p.ref != nil {
			refs = append(refs, p.ref)
		}
	}
	return refs
}

// payloadPart is a template in a payload.
type payloadPart struct {
	// source of the template. The column that a choice goes by is one too.
	source string
	// path of keys to it; nil within a choice, whose keys may be left out.
	path []string
	// inserted marks what only the insert of a row takes.
	inserted bool
}

// parts lists the templates of the payload.
func (e Event) parts() []payloadPart {
	var all []payloadPart
	for _, key := range slices.Sorted(maps.Keys(e.Payload)) {
		all = appendParts(all, e.Payload[key], payloadPart{path: []string{key}})
	}
	return all
}

func appendParts(all []payloadPart, value any, at payloadPart) []payloadPart {
	switch v := value.(type) {
	case string:
		at.source = v
		return append(all, at)
	case map[string]any:
		by, choice := v[choiceBy]
		if column, ok := by.(string); ok {
			all = append(all, payloadPart{source: "{" + column + "}", inserted: at.inserted})
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			inner := payloadPart{inserted: at.inserted || choice && key == choiceInserted}
			if choice && key == choiceBy {
				continue
			}
			if !choice && at.path != nil {
				inner.path = append(slices.Clip(at.path), key)
			}
			all = appendParts(all, v[key], inner)
		}
	}
	return all
}
