package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/petpro/fabric/publisher"
)

// mappingKey is the section that viper never sees.
const mappingKey = "mapping"

// file is a configuration file, read but not yet judged.
type file struct {
	name string
	// settings of every section but mapping.
	settings map[string]any
	// lines on which keys stand.
	lines   map[string]int
	mapping publisher.Mapping
}

// readFile reads the file and complains about keys that nobody knows. An
// unreadable file is a complaint like any other.
func readFile(name string, p *problems) file {
	f := file{name: name, lines: map[string]int{}}
	if name == "" {
		return f
	}
	text, err := os.ReadFile(name)
	if err != nil {
		p.addf("", "", "%v; give the path of a configuration file with --config", err)
		return f
	}
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(text))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return f // an empty file sets nothing
	case err != nil:
		p.addf("", name, "is not YAML: %v", err)
		return f
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		p.addf("", name, "holds a second document (behind ---), which nobody would read; one file, one document")
	}
	if err := doc.Decode(&f.settings); err != nil {
		p.addf("", name, "%v", err)
		return f
	}
	f.walk(doc.Content[0], reflect.TypeFor[Config](), "", p)
	delete(f.settings, mappingKey)
	f.readMapping(text, p)
	return f
}

// unknownField is how package yaml names a key that walk has told of already,
// in words for operators.
const unknownField = " not found in type "

// readMapping decodes the section mapping strictly, keys as they are written.
func (f *file) readMapping(text []byte, p *problems) {
	m, err := ParseMapping(text)
	for _, err := range flatten(err) {
		if !strings.Contains(err.Error(), unknownField) {
			p.addf(mappingKey, f.name, "%v", err)
		}
	}
	f.mapping = m
}

// ParseMapping reads the section mapping of a configuration file. Unknown keys
// are errors that name their line.
func ParseMapping(text []byte) (publisher.Mapping, error) {
	var whole struct {
		Mapping publisher.Mapping    `yaml:"mapping"`
		Rest    map[string]yaml.Node `yaml:",inline"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	err := dec.Decode(&whole)
	if typed, ok := errors.AsType[*yaml.TypeError](err); ok {
		errs := make([]error, len(typed.Errors))
		for i, e := range typed.Errors {
			errs[i] = errors.New(e)
		}
		err = errors.Join(errs...)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return whole.Mapping, err
}

// walk notes on which line each key stands, and complains about unknown ones.
func (f *file) walk(n *yaml.Node, t reflect.Type, prefix string, p *problems) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		if n.Tag != "!!null" {
			p.addf(prefix, f.at(n.Line), "must hold keys, one a line, like %q", name(t)+": …")
		}
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if prefix == "" && k.Value == mappingKey {
			f.walkValue(v, reflect.TypeFor[publisher.Mapping](), mappingKey, p)
			continue
		}
		if k.Tag == "!!merge" {
			continue
		}
		field, ok := fieldNamed(t, k.Value)
		key := join(prefix, k.Value)
		switch {
		case !ok:
			p.addf(key, f.at(k.Line), "unknown key%s", didYouMean(prefix, k.Value, t))
		default:
			if !section(field.Type) {
				f.lines[key] = k.Line
			}
			f.walkValue(v, field.Type, key, p)
		}
	}
}

// walkValue looks for keys inside a value: a section, or sections in a list or
// under names of the operator's own. Anything else has no inner keys.
func (f *file) walkValue(n *yaml.Node, t reflect.Type, key string, p *problems) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case t.Kind() == reflect.Pointer:
		f.walkValue(n, t.Elem(), key, p)
	case section(t):
		f.walk(n, t, key, p)
	case t.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode:
		for i, item := range n.Content {
			f.walkValue(item, t.Elem(), fmt.Sprintf("%s[%d]", key, i), p)
		}
	case t.Kind() == reflect.Map && n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			f.walkValue(n.Content[i+1], t.Elem(), join(key, n.Content[i].Value), p)
		}
	}
}

func (f *file) at(line int) string { return fmt.Sprintf("%s:%d", f.name, line) }

func join(prefix, key string) string {
	if prefix == "" {
		return key
	}
	return prefix + "." + key
}

func fieldNamed(t reflect.Type, key string) (reflect.StructField, bool) {
	for f := range fields(t) {
		if tag(f) == key {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

func names(t reflect.Type) []string {
	var out []string
	for f := range fields(t) {
		out = append(out, tag(f))
	}
	return out
}

// name of the first key of a section, for examples.
func name(t reflect.Type) string {
	for f := range fields(t) {
		return tag(f)
	}
	return ""
}

// didYouMean suggests a key of the same section, or the same word elsewhere,
// or lists what the section has.
func didYouMean(prefix, key string, t reflect.Type) string {
	have := names(t)
	if prefix == "" {
		have = append(have, mappingKey)
	}
	if near := nearest(key, have); near != "" {
		return fmt.Sprintf("; did you mean %s?", join(prefix, near))
	}
	for _, l := range leaves {
		if parent, last := split(l.key); last == key && parent != prefix {
			return fmt.Sprintf("; did you mean %s?", l.key)
		}
	}
	slices.Sort(have)
	return fmt.Sprintf("; known here: %v", have)
}
