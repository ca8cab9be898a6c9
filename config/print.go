package config

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"
	"time"

	"go.yaml.in/yaml/v3"
)

// Print writes the effective configuration as YAML, secrets hidden, with the
// origin of every key beside it.
func (c Config) Print(w io.Writer, o Origins) error {
	c = c.Redacted()
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	var open []string
	for _, l := range leaves {
		parts := strings.Split(l.key, ".")
		open = printSections(tw, open, parts[:len(parts)-1])
		text, err := marshal(l.value(c))
		if err != nil {
			return fmt.Errorf("print %s: %w", l.key, err)
		}
		indent := strings.Repeat("  ", len(open))
		if strings.Contains(text, "\n") {
			fmt.Fprintf(tw, "%s%s:\t# %s\n", indent, parts[len(parts)-1], o[l.key])
			fmt.Fprintln(tw, indent+"  "+strings.ReplaceAll(text, "\n", "\n"+indent+"  "))
			continue
		}
		fmt.Fprintf(tw, "%s%s: %s\t# %s\n", indent, parts[len(parts)-1], text, o[l.key])
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	return c.printMapping(w)
}

// printSections writes the headings that lead from the section open to want,
// and returns want.
func printSections(w io.Writer, open, want []string) []string {
	same := 0
	for same < len(open) && same < len(want) && open[same] == want[same] {
		same++
	}
	for i := same; i < len(want); i++ {
		fmt.Fprintf(w, "%s%s:\n", strings.Repeat("  ", i), want[i])
	}
	return want
}

func (c Config) printMapping(w io.Writer) error {
	if reflect.ValueOf(c.Mapping).IsZero() {
		_, err := fmt.Fprintln(w, "mapping: {}")
		return err
	}
	text, err := marshal(c.Mapping)
	if err != nil {
		return fmt.Errorf("print the mapping: %w", err)
	}
	_, err = fmt.Fprintf(w, "mapping:\n  %s\n", strings.ReplaceAll(text, "\n", "\n  "))
	return err
}

// marshal writes a value as YAML: short lists in one line, everything else as
// files usually have it.
func marshal(v any) (string, error) {
	var n yaml.Node
	if err := n.Encode(plain(reflect.ValueOf(v))); err != nil {
		return "", err
	}
	flow(&n)
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&n); err != nil {
		return "", err
	}
	return strings.TrimSpace(b.String()), nil
}

// plain turns a value into ordered YAML under the names that files use, and
// leaves out what is empty inside lists and maps.
func plain(v reflect.Value) any {
	if v.Kind() == reflect.Pointer {
		return plain(v.Elem())
	}
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct {
		out := make([]any, v.Len())
		for i := range out {
			out[i] = plain(v.Index(i))
		}
		return out
	}
	if v.Kind() == reflect.Map && v.Type().Elem().Kind() == reflect.Struct {
		out := map[string]any{}
		for k, e := range v.Seq2() {
			out[k.String()] = plain(e)
		}
		return out
	}
	if d, ok := v.Interface().(time.Duration); ok {
		return short(d)
	}
	if v.Kind() != reflect.Struct {
		return v.Interface()
	}
	out := &yaml.Node{Kind: yaml.MappingNode}
	for f := range fields(v.Type()) {
		value := v.FieldByIndex(f.Index)
		if value.IsZero() || value.Kind() == reflect.Slice && value.Len() == 0 {
			continue
		}
		var k, e yaml.Node
		k.SetString(tag(f))
		if err := e.Encode(plain(value)); err != nil {
			continue // values come from YAML, they go back
		}
		out.Content = append(out.Content, &k, &e)
	}
	return out
}

// short writes 10m and 2160h where Go would write 10m0s and 2160h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// flow writes lists of scalars in one line.
func flow(n *yaml.Node) {
	scalars := n.Kind == yaml.SequenceNode
	for _, c := range n.Content {
		flow(c)
		scalars = scalars && c.Kind == yaml.ScalarNode
	}
	if scalars {
		n.Style = yaml.FlowStyle
	}
}
