package config

import (
	"encoding"
	"reflect"
	"slices"
	"strings"
)

// envPrefix starts the name of every environment variable that is read.
const envPrefix = "FABRIC_"

// leaf is one key that can be set, and where its value lives in a Config.
type leaf struct {
	key   string
	index []int
	typ   reflect.Type
}

// env is the name of the variable that sets the key.
func (l leaf) env() string { return envName(l.key) }

// value of the key in c.
func (l leaf) value(c Config) any { return reflect.ValueOf(c).FieldByIndex(l.index).Interface() }

func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// leaves lists every key in the order of the structs.
var leaves = collect(reflect.TypeFor[Config](), "", nil)

// Keys lists every key that can be set, for completion and documentation.
func Keys() []string {
	keys := make([]string, len(leaves))
	for i, l := range leaves {
		keys[i] = l.key
	}
	return keys
}

func collect(t reflect.Type, prefix string, index []int) []leaf {
	var out []leaf
	for f := range fields(t) {
		key, at := prefix+tag(f), append(slices.Clone(index), f.Index...)
		if section(f.Type) {
			out = append(out, collect(f.Type, key+".", at)...)
			continue
		}
		out = append(out, leaf{key: key, index: at, typ: f.Type})
	}
	return out
}

// fields yields the fields of t that a key can name.
func fields(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if f := t.Field(i); tag(f) != "" && !yield(f) {
				return
			}
		}
	}
}

// tag is the name of a field in files; empty if it has none.
func tag(f reflect.StructField) string {
	name := f.Tag.Get("mapstructure")
	if name == "-" {
		return ""
	}
	return name
}

// section reports whether values of t are made of further keys.
func section(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// nearest finds the candidate that s was probably meant to be; "" if none is
// near enough.
func nearest(s string, candidates []string) string {
	best, at := "", 3
	for _, c := range candidates {
		if d := distance(s, c); d < at && d < len(s) {
			best, at = c, d
		}
	}
	return best
}

// distance is the number of edits between a and b, a swap of two neighbours
// counting as one (optimal string alignment).
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
