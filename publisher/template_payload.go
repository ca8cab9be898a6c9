package publisher

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// render appends a payload value as JSON. False means that its key is to be
// left out; what it has appended then is to be cut off again.
type render func(dst []byte, s *scope) ([]byte, bool)

// payload compiles what stands in events[].payload: a template, a map of such
// values, a choice (a map with the key "by"), or a constant that is no text.
// Complaints go to c under path.
func (n names) payload(c *complaints, path string, value any) render {
	switch v := value.(type) {
	case string:
		t, err := n.compile(v)
		c.add(path, err)
		if err != nil {
			return nil
		}
		return t.render
	case map[string]any:
		if by, ok := v["by"]; ok {
			return n.choice(c, path, by, v)
		}
		return n.object(c, path, v)
	case nil, bool, int, int64, uint64, float64:
		constant, err := json.Marshal(v)
		c.add(path, err)
		return func(dst []byte, _ *scope) ([]byte, bool) { return append(dst, constant...), true }
	}
	what := fmt.Sprintf("%T", value)
	if _, ok := value.([]any); ok {
		what = "a list"
	}
	c.add(path, fmt.Errorf("%s is nothing a payload can hold; write a template, a map, or a choice {by: column, <value>: ..., else: ...}", what))
	return nil
}

// object compiles a map: its keys come in alphabetical order, whatever their
// order in the file, which YAML does not keep.
func (n names) object(c *complaints, path string, value map[string]any) render {
	type field struct {
		key    []byte // with quotes and colon
		render render
	}
	fields := make([]field, 0, len(value))
	for _, key := range slices.Sorted(maps.Keys(value)) {
		fields = append(fields, field{
			key:    append(appendString(nil, key), ':'),
			render: n.payload(c, path+"."+key, value[key]),
		})
	}
	return func(dst []byte, s *scope) ([]byte, bool) {
		dst = append(dst, '{')
		empty := true
		for i := range fields {
			mark := len(dst)
			if !empty {
				dst = append(dst, ',')
			}
			var ok bool
			dst, ok = fields[i].render(append(dst, fields[i].key...), s)
			if s.leaveOut() || !ok {
				dst = dst[:mark]
				continue
			}
			empty = false
		}
		return append(dst, '}'), true
	}
}

// Keys of a choice that are no values of its column.
const (
	choiceBy       = "by"
	choiceInserted = "inserted"
	choiceElse     = "else"
)

// choice compiles {by: column, inserted: ..., <value>: ..., else: ...}. An
// insert takes "inserted" if it is there; else the column's value decides, and
// what is not listed takes "else". Without one the key is left out.
func (n names) choice(c *complaints, path string, by any, value map[string]any) render {
	name, ok := by.(string)
	if !ok {
		c.add(path+".by", fmt.Errorf("must be the name of a column"))
		return nil
	}
	column, err := n.columns.find(name)
	c.add(path+".by", err)
	if len(value) == 1 {
		c.add(path, errors.New("a choice without cases; add one such as confirmed: <text>, or else: <text>"))
	}
	cases := make(map[string]render, len(value))
	for _, key := range slices.Sorted(maps.Keys(value)) {
		if key != choiceBy {
			cases[key] = n.payload(c, path+"."+key, value[key])
		}
	}
	inserted, otherwise := cases[choiceInserted], cases[choiceElse]
	delete(cases, choiceInserted)
	delete(cases, choiceElse)
	return func(dst []byte, s *scope) ([]byte, bool) {
		chosen := otherwise
		if s.inserted && inserted != nil {
			chosen = inserted
		} else if v := s.value(column); v.Valid {
			if r, ok := cases[v.Text]; ok {
				chosen = r
			}
		}
		if chosen == nil {
			return dst, false
		}
		return chosen(dst, s)
	}
}
