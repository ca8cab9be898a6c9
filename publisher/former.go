package publisher

import (
	"maps"
	"slices"

	"github.com/petpro/fabric/subjects"
)

// Former says which former values of an updated or deleted row the mapping asks
// for. The key is never listed: a log that does not tell it of a row that was
// deleted, or whose key changed, will not do at all.
type Former struct {
	// Updated are the columns whose value before an update decides something
	// (changed(), who was a participant, whether the room was open).
	Updated []string
	// Recalled are those of Updated that what was last published also tells, so
	// that a log without them will do (Change.Recall).
	Recalled []string
	// Deleted are the columns that messages or conditions need of a deleted row.
	// Who was in its room is not among them, as that is recalled.
	Deleted []string
}

// Former lists, for each mapped table, what the mapping asks of old rows. A
// followed table needs its former columns always, and is not listed.
//
// A column is recalled if it decides access only, whose records tell it; and if
// it is the argument of changed() in events each of which
//
//   - has a payload key that holds this column and nothing else ("{status}"),
//   - has a subject made of the key and nothing else, so that no other row
//     publishes there,
//   - shares its subject with such events of the same table only, and with no
//     notifications,
//   - does not negate changed(): where the last value is not known it counts as
//     changed, which must make a message, not prevent one.
func (m Mapping) Former() map[string]Former {
	all := make(map[string]Former, len(m.Tables))
	uses := m.uses()
	for name, t := range m.Tables {
		updated, mute, deleted := set{}, set{}, set{}
		if t.Access != nil {
			m.judged(t, updated)
		}
		for i := range uses[name] {
			u := &uses[name][i]
			for column := range u.changed {
				updated[column] = true
				if u.recall[column] == nil {
					mute[column] = true
				}
			}
			u.ofDeleted(t.Events[i], deleted)
		}
		recalled := maps.Clone(updated)
		maps.DeleteFunc(recalled, func(column string, _ bool) bool { return mute[column] })
		all[name] = Former{Updated: updated.sorted(t), Recalled: recalled.sorted(t), Deleted: deleted.sorted(t)}
	}
	return all
}

// set of column names.
type set map[string]bool

// sorted lists the allow-listed columns of the set, but for the key.
func (s set) sorted(t Table) []string {
	var all []string
	for name := range s {
		if name != t.Key && slices.Contains(t.Columns, name) {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

func (s set) addTemplate(source string) {
	for _, r := range references(source) {
		s[r.own()] = true
	}
}

// judged collects what room.judge reads.
func (m Mapping) judged(t Table, into set) {
	for user := range t.Access.Participants {
		into.addTemplate(user)
	}
	if len(m.Terminal) > 0 {
		into[statusColumn] = true
	}
	if t.Access.Gone == "" {
		return
	}
	cols := newColumns(t.Columns)
	if gone, err := compileCondition(t.Access.Gone, cols, true); err == nil {
		gone.root.leaves(false, func(leaf *clause, _ bool) {
			for _, column := range leaf.columns {
				into[cols.names[column]] = true
			}
		})
	}
}

// use is what an event asks of changes.
type use struct {
	table string
	// kind, id and typ of the subject; own says that the id is made of the
	// row's key and nothing else.
	kind, id, typ string
	own           bool
	when          *condition
	columns       *columns
	// changed holds the arguments of changed(); true if it is negated anywhere.
	changed map[string]bool
	// alone are the payload keys that hold one column and nothing else.
	alone map[string][]lone
	// recall says where the last message has the columns of changed() that can
	// be recalled.
	recall map[string]*lone
}

// lone is a payload key whose value is a single column.
type lone struct {
	path []string
	// optional: the key is left out if the column is NULL.
	optional bool
}

// uses lists those of each table's events. Events that NewMapper complains
// about use nothing.
func (m Mapping) uses() map[string][]use {
	all := make(map[string][]use, len(m.Tables))
	for name, t := range m.Tables {
		cols := newColumns(t.Columns)
		for _, e := range t.Events {
			all[name] = append(all[name], t.use(name, e, cols))
		}
	}
	for _, uses := range all {
		for i := range uses {
			u := &uses[i]
			u.recall = map[string]*lone{}
			for column, negated := range u.changed {
				if !negated && u.own {
					u.recall[column] = common(all, u, column)
				}
			}
		}
	}
	return all
}

// use of an event of the table.
func (t Table) use(name string, e Event, cols *columns) use {
	u := use{table: name, columns: cols, changed: map[string]bool{}, alone: map[string][]lone{}}
	if token := tokens(e.Subject); len(token) == 3 {
		u.kind, u.id, u.typ = token[0], token[1], token[2]
		refs := references(u.id)
		u.own = len(refs) > 0 && !slices.ContainsFunc(refs, func(r *reference) bool {
			return r.own() != t.Key || r.follow != "" || len(r.path) > 0
		})
	}
	for _, p := range e.parts() {
		parsed, err := parseTemplate(p.source)
		if err != nil || p.path == nil || len(parsed) != 1 || parsed[0].ref == nil {
			continue
		}
		if r := parsed[0].ref; r.follow == "" && len(r.path) == 0 {
			u.alone[r.column] = append(u.alone[r.column], lone{p.path, r.optional})
		}
	}
	when, err := compileCondition(e.When, cols, false)
	if err != nil {
		return u
	}
	u.when = when
	when.root.leaves(false, func(leaf *clause, negated bool) {
		if leaf.kind == clauseChanged {
			column := cols.names[leaf.columns[0]]
			u.changed[column] = u.changed[column] || negated
		}
	})
	return u
}

// common finds a payload key that holds the column in every message that can be
// the last one on the subject; nil if there is none.
func common(all map[string][]use, u *use, column string) *lone {
	if u.kind == subjects.UserKind && u.typ == subjects.NotificationType {
		return nil // many write there
	}
	left := slices.Clone(u.alone[column])
	for _, uses := range all {
		for i := range uses {
			other := &uses[i]
			if other.kind != u.kind || other.typ != u.typ {
				continue
			}
			if other.table != u.table || other.id != u.id {
				return nil
			}
			left = slices.DeleteFunc(left, func(l lone) bool {
				return !slices.ContainsFunc(other.alone[column], func(o lone) bool { return slices.Equal(o.path, l.path) })
			})
		}
	}
	if len(left) == 0 {
		return nil
	}
	return &left[0]
}

// ofDeleted collects what the event needs of a deleted row: nothing if its
// condition cannot hold for one.
func (u *use) ofDeleted(e Event, into set) {
	if u.when == nil {
		return
	}
	known := func(c *clause) truth {
		switch c.kind {
		case clauseDeleted:
			return yes
		case clauseState:
			return maybe
		}
		return no
	}
	if u.when.root.judge(known) == no {
		return
	}
	u.when.root.undecided(known, func(c *clause) {
		for _, column := range c.columns {
			into[u.columns.names[column]] = true
		}
	})
	into.addTemplate(e.Subject)
	for _, p := range e.parts() {
		if !p.inserted {
			into.addTemplate(p.source)
		}
	}
	for _, n := range e.Notify {
		for _, source := range []string{n.To, n.Type, n.Title, n.Message} {
			into.addTemplate(source)
		}
	}
}
