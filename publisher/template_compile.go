package publisher

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// text is a compiled template: its parts in turn.
type text struct {
	// source as the mapping has it, for errors.
	source string
	parts  []part
}

// part is a literal, or reads a value if read is not nil.
type part struct {
	literal  string
	read     func(*scope) Value
	optional bool
}

// names are what a table's templates may refer to.
type names struct {
	columns *columns
	// times tells the columns given as RFC 3339.
	times  []bool
	memory memory
}

// compile resolves a template. The error joins all that is wrong.
func (n names) compile(source string) (*text, error) {
	parsed, err := parseTemplate(source)
	if err != nil {
		return nil, err
	}
	t := &text{source: source}
	var errs []error
	for _, p := range parsed {
		if p.ref == nil {
			t.parts = append(t.parts, part{literal: p.literal})
			continue
		}
		read, err := n.reader(p.ref)
		if err != nil {
			errs = append(errs, fmt.Errorf("template %q: %w", source, err))
		}
		t.parts = append(t.parts, part{read: read, optional: p.ref.optional})
	}
	return t, errors.Join(errs...)
}

// compileID is compile for what becomes a token of a subject.
func (n names) compileID(source string) (*text, error) {
	t, err := n.compile(source)
	if err == nil && !t.refers() {
		err = fmt.Errorf("template %q names no {column}, so it would be the same for every row", source)
	}
	return t, err
}

// refers reports whether the template holds any reference.
func (t *text) refers() bool {
	for _, p := range t.parts {
		if p.read != nil {
			return true
		}
	}
	return false
}

// reader compiles a reference into what reads it from a row.
func (n names) reader(r *reference) (func(*scope) Value, error) {
	var read func(*scope) Value
	var err error
	if r.follow == "" {
		read, err = n.columnReader(r.column)
	} else {
		read, err = n.lookupReader(r)
	}
	if err != nil || len(r.path) == 0 {
		return read, err
	}
	return func(s *scope) Value { return jsonAt(read(s), r.path) }, nil
}

func (n names) columnReader(name string) (func(*scope) Value, error) {
	column, err := n.columns.find(name)
	if err != nil {
		return nil, err
	}
	if n.times[column] {
		return func(s *scope) Value { return canonicalTime(s.value(column)) }, nil
	}
	return func(s *scope) Value { return s.value(column) }, nil
}

func (n names) lookupReader(r *reference) (func(*scope) Value, error) {
	via, err := n.columns.find(r.via)
	f := n.memory[r.follow]
	if f == nil {
		return nil, errors.Join(err, fmt.Errorf("unknown table %q; mapping.follow has %s", r.follow, n.memory.list()))
	}
	column, ok := f.columns.index[r.column]
	if !ok {
		err = errors.Join(err, fmt.Errorf("unknown column %q of %s; mapping.follow.%[2]s lists %s", r.column, r.follow, list(f.columns.names)))
	}
	if err != nil {
		return nil, err
	}
	name := r.lookup().Name()
	return func(s *scope) Value {
		if v, ok := s.joined[name]; ok {
			return v
		}
		if s.joinedOnly {
			s.lack(name)
			return Value{}
		}
		c := f.find(s.value(via), column, s.cause)
		if !c.known {
			s.lack(f.name + "." + f.columns.names[column])
		}
		return c.Value
	}, nil
}

// recall compiles what can be recalled of the columns of changed().
func (n names) recall(u *use) map[int]*recalled {
	var all map[int]*recalled
	for column, key := range u.recall {
		read, err := n.columnReader(column)
		if key == nil || err != nil {
			continue
		}
		if all == nil {
			all = map[int]*recalled{}
		}
		all[n.columns.index[column]] = &recalled{*key, read}
	}
	return all
}

// value of the template as plain text; NULL if anything in it is.
func (t *text) value(s *scope) Value {
	if len(t.parts) == 1 && t.parts[0].read != nil {
		return t.parts[0].read(s)
	}
	var b []byte
	for _, p := range t.parts {
		if p.read == nil {
			b = append(b, p.literal...)
			continue
		}
		v := p.read(s)
		if !v.Valid {
			return Value{}
		}
		b = append(b, v.Text...)
	}
	return Value{string(b), true}
}

// render appends the template as JSON: a string, or null if it is a single
// reference to NULL. Beside literals NULL is no text. False means that the key
// is to be left out.
func (t *text) render(dst []byte, s *scope) ([]byte, bool) {
	single := len(t.parts) == 1
	dst = append(dst, '"')
	for _, p := range t.parts {
		if p.read == nil {
			dst = appendEscaped(dst, p.literal)
			continue
		}
		v := p.read(s)
		switch {
		case v.Valid:
			dst = appendEscaped(dst, v.Text)
		case p.optional:
			return dst, false
		case single:
			return append(dst[:len(dst)-1], "null"...), true
		}
	}
	return append(dst, '"'), true
}

// jsonAt follows a path into a JSON text. A scalar comes as its text, an object
// or list as compact JSON; null, a missing key and a text that is no JSON are
// NULL.
func jsonAt(v Value, path []string) Value {
	if !v.Valid {
		return Value{}
	}
	raw := json.RawMessage(v.Text)
	for _, name := range path {
		var object map[string]json.RawMessage
		if json.Unmarshal(raw, &object) != nil {
			return Value{}
		}
		raw = object[name]
	}
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return Value{}
	case raw[0] == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return Value{s, err == nil}
	case raw[0] == '{' || raw[0] == '[':
		var b bytes.Buffer
		err := json.Compact(&b, raw)
		return Value{b.String(), err == nil}
	}
	return Value{string(raw), true}
}
