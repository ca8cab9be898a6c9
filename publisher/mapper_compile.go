package publisher

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/petpro/fabric/subjects"
)

// NewMapper compiles a mapping. Kinds are those of the rooms; maxPayload bounds
// a payload in bytes, 0 is no bound. The error joins all complaints, each with
// the key it is about and what would be right.
func NewMapper(m Mapping, kinds subjects.Kinds, maxPayload int) (*TableMapper, error) {
	c := &compiler{mapping: m, kinds: kinds, memory: newMemory(m.Follow), rooms: map[string]string{}, uses: m.uses()}
	mapper := &TableMapper{
		tables:     make(map[string]*table, len(m.Tables)),
		memory:     c.memory,
		maxPayload: maxPayload,
		hash:       m.hash(),
	}
	c.relations()
	for _, name := range slices.Sorted(maps.Keys(m.Follow)) {
		c.follow(name, m.Follow[name])
	}
	for _, name := range slices.Sorted(maps.Keys(m.Tables)) {
		mapper.tables[name] = c.table(name, m.Tables[name])
	}
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	return mapper, nil
}

type compiler struct {
	complaints
	mapping Mapping
	kinds   subjects.Kinds
	memory  memory
	// rooms: the table of each kind.
	rooms map[string]string
	// uses of the events of each table.
	uses map[string][]use
}

// relations checks what the tables are called in the database.
func (c *compiler) relations() {
	taken := map[string]string{}
	check := func(path, name, from string) {
		relation := c.mapping.Relation(name)
		other, twice := taken[relation]
		switch parts := strings.Split(from, "."); {
		case from == "":
		case len(parts) > 2 || !isName(parts[0]) || !isName(parts[len(parts)-1]):
			c.add(path+".from", fmt.Errorf("%q names no table; write table or schema.table, for example sales.bookings", from))
		case from != relation:
			c.add(path+".from", fmt.Errorf("%q differs from mapping.tables.%s.from, %q; a table is in one place", from, name, relation))
		}
		if twice && other != name {
			c.add(path+".from", fmt.Errorf("%q is mapped as %s already; a table has one name in the mapping", relation, other))
		}
		taken[relation] = name
	}
	for _, name := range slices.Sorted(maps.Keys(c.mapping.Follow)) {
		check("mapping.follow."+name, name, c.mapping.Follow[name].From)
	}
	for _, name := range slices.Sorted(maps.Keys(c.mapping.Tables)) {
		check("mapping.tables."+name, name, c.mapping.Tables[name].From)
	}
}

func (c *compiler) follow(name string, f Follow) {
	path := "mapping.follow." + name
	if f.Key == "" {
		c.add(path+".key", errors.New("missing; name the column that lookups go by"))
	} else if t, ok := c.mapping.Tables[name]; ok && t.Key != f.Key {
		c.add(path+".key", fmt.Errorf("%q differs from mapping.tables.%s.key, %q; a table has one key", f.Key, name, t.Key))
	}
	c.columnNames(path+".columns", f.Columns)
}

// columnNames complains about names that are none, or that come twice.
func (c *compiler) columnNames(path string, columns []string) {
	for i, name := range columns {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case !isName(name):
			c.add(at, fmt.Errorf("%q is no column name", name))
		case slices.Contains(columns[:i], name):
			c.add(at, fmt.Errorf("column %q is listed twice", name))
		}
	}
}

func (c *compiler) table(name string, config Table) *table {
	path := "mapping.tables." + name
	t := &table{name: name, columns: newColumns(config.Columns)}
	c.columnNames(path+".columns", config.Columns)
	var err error
	if config.Key == "" {
		c.add(path+".key", errors.New("missing; name the primary key column"))
	} else if t.key, err = t.columns.find(config.Key); err != nil {
		c.add(path+".key", err)
	}
	n := names{columns: t.columns, times: make([]bool, len(t.columns.names)), memory: c.memory}
	for i, column := range config.Times {
		k, err := t.columns.find(column)
		c.add(fmt.Sprintf("%s.times[%d]", path, i), err)
		if err == nil {
			n.times[k] = true
		}
	}
	if config.Access != nil {
		t.room = c.room(path+".access", name, n, config.Access)
	}
	var others []event
	for i, e := range config.Events {
		compiled := c.event(fmt.Sprintf("%s.events[%d]", path, i), n, e)
		compiled.recall = n.recall(&c.uses[name][i])
		if compiled.status {
			t.events = append(t.events, compiled)
		} else {
			others = append(others, compiled)
		}
	}
	t.events = append(t.events, others...)
	return t
}

func (c *compiler) room(path, tableName string, n names, a *Access) *room {
	r := &room{kind: a.Kind, status: -1, terminal: make(map[string]bool, len(c.mapping.Terminal))}
	if !slices.Contains(c.kinds, a.Kind) {
		c.add(path+".kind", fmt.Errorf("unknown kind %q; rooms.kinds has %s", a.Kind, list(c.kinds)))
	} else if other := c.rooms[a.Kind]; other != "" {
		c.add(path+".kind", fmt.Errorf("kind %q is taken by mapping.tables.%s; a kind's rooms are the rows of one table", a.Kind, other))
	}
	c.rooms[a.Kind] = tableName
	if len(a.Participants) == 0 {
		c.add(path+".participants", errors.New(`nobody could enter; write for example "{user_id}": customer`))
	}
	for _, user := range slices.Sorted(maps.Keys(a.Participants)) {
		at := fmt.Sprintf("%s.participants[%q]", path, user)
		compiled, err := n.compileID(user)
		c.add(at, err)
		role := a.Participants[user]
		if role == "" {
			c.add(at, errors.New("the role is empty; write for example customer"))
		}
		r.participants = append(r.participants, participant{compiled, role})
	}
	if a.Gone != "" {
		var err error
		r.gone, err = compileCondition(a.Gone, n.columns, true)
		c.add(path+".gone", err)
	}
	for _, status := range c.mapping.Terminal {
		r.terminal[status] = true
	}
	if i, err := n.columns.find(statusColumn); err == nil && len(r.terminal) > 0 {
		r.status = i
	}
	return r
}

func (c *compiler) event(path string, n names, e Event) event {
	var out event
	var err error
	if e.When == "" {
		c.add(path+".when", errors.New(`missing; write for example "inserted() || changed(status)"`))
	} else {
		out.when, err = compileCondition(e.When, n.columns, false)
		c.add(path+".when", err)
	}
	var typ string
	out.subject, typ, err = c.subject(n, e.Subject)
	c.add(path+".subject", err)
	out.status = typ == subjects.StatusType
	if len(e.Payload) == 0 {
		c.add(path+".payload", errors.New(`missing; write for example { bookingId: "{id}", status: "{status}" }`))
	} else {
		out.payload = n.object(&c.complaints, path+".payload", e.Payload)
	}
	for i, notify := range e.Notify {
		out.notify = append(out.notify, c.notify(fmt.Sprintf("%s.notify[%d]", path, i), n, notify))
	}
	return out
}

// subject compiles "<kind>.{...}.<type>": kind and type are fixed, so that it
// is known here who will see the event.
func (c *compiler) subject(n names, source string) (compiled eventSubject, typ string, err error) {
	if source == "" {
		return compiled, "", errors.New("missing; write for example booking.{id}.status")
	}
	token := tokens(source)
	if len(token) != 3 {
		return compiled, "", fmt.Errorf("subject %q has %d tokens; a public event is <kind>.{column}.<type>, for example booking.{id}.status", source, len(token))
	}
	kind, typ := token[0], token[2]
	if kind != subjects.UserKind && !slices.Contains(c.kinds, kind) {
		return compiled, "", fmt.Errorf("subject %q: unknown kind %q; there are %s and user", source, kind, list(c.kinds))
	}
	name, err := c.kinds.Parse(kind + ".id." + typ)
	switch {
	case strings.ContainsAny(typ, "{}"):
		return compiled, "", fmt.Errorf("subject %q: the type %q must be fixed, without {column}", source, typ)
	case err != nil || name.Class != subjects.Event:
		return compiled, "", fmt.Errorf("subject %q: the type %q is reserved or no token; use another, such as status", source, typ)
	}
	id, err := n.compileID(token[1])
	if err != nil {
		return compiled, "", fmt.Errorf("subject %q: %w", source, err)
	}
	for _, p := range id.parts {
		if p.optional {
			return compiled, "", fmt.Errorf("subject %q: '?' leaves out what is missing, and a subject can leave nothing out", source)
		}
		if p.read == nil {
			if err := subjects.CheckID(p.literal); err != nil {
				return compiled, "", fmt.Errorf("subject %q: %w", source, err)
			}
		}
	}
	return eventSubject{prefix: kind + ".", id: id, suffix: "." + typ}, typ, nil
}

// tokens splits a subject template at the dots outside of braces.
func tokens(source string) []string {
	var out []string
	start, inside := 0, false
	for i, c := range source {
		switch {
		case c == '{' || c == '}':
			inside = c == '{'
		case c == '.' && !inside:
			out = append(out, source[start:i])
			start = i + 1
		}
	}
	return append(out, source[start:])
}

func (c *compiler) notify(path string, n names, config Notify) notification {
	var out notification
	var err error
	out.to, err = n.compileID(config.To)
	c.add(path+".to", err)
	for _, field := range []struct {
		name, source string
		into         *render
	}{{"type", config.Type, &out.typ}, {"title", config.Title, &out.title}, {"message", config.Message, &out.message}} {
		if field.source == "" {
			c.add(path+"."+field.name, errors.New("missing"))
			continue
		}
		*field.into = n.payload(&c.complaints, path+"."+field.name, field.source)
	}
	return out
}
