package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// FromDefault is the origin of a key that nobody set.
const FromDefault = "default"

// fromFlag is the origin of a key set on the command line.
const fromFlag = "--set"

// Origins tells for each key where its value came from: FromDefault,
// "fabric.yaml:12", "FABRIC_EDGE_LISTEN" or "--set".
type Origins map[string]string

// Options says where to look besides the defaults and the environment.
type Options struct {
	// File is the path of the configuration file; empty = FABRIC_CONFIG, and
	// none if that is empty too.
	File string
	// Set holds key=value pairs that override everything else.
	Set []string
}

// Flags adds --config and --set to a command.
func (o *Options) Flags(fs *pflag.FlagSet) {
	fs.StringVarP(&o.File, "config", "c", o.File, "configuration `file` (YAML); default: FABRIC_CONFIG")
	fs.StringArrayVar(&o.Set, "set", o.Set, "override one `key=value`, for example edge.listen=:8081; may be repeated")
}

// Load reads the configuration. The error is an *Error that holds every
// complaint about unknown keys and unreadable values; whether the values make
// sense is asked by EdgeConfig and PublisherConfig. The configuration and the
// origins are returned in any case, as far as they could be read.
func Load(o Options) (Config, Origins, error) {
	if o.File == "" {
		o.File = os.Getenv(envPrefix + "CONFIG")
	}
	var p problems
	c := Default()
	f := readFile(o.File, &p)
	v := viper.NewWithOptions(viper.ExperimentalBindStruct())
	v.SetEnvPrefix(strings.TrimSuffix(envPrefix, "_"))
	v.SetEnvKeyReplacer(strings.NewReplacer(".", "_"))
	v.AutomaticEnv()
	known := f.known()
	if err := v.MergeConfigMap(known); err != nil {
		p.addf("", f.name, "%v", err)
	}
	checkEnvironment(&p)
	set := applyFlags(v, o.Set, &p)

	origins := make(Origins, len(leaves))
	for _, l := range leaves {
		origins[l.key] = l.origin(f, set)
	}
	if err := v.UnmarshalExact(&c, decoding); err != nil {
		describe(err, origins, &p)
	}
	applyDSNs(&c, origins, &p)
	c.Mapping = f.mapping
	return c, origins, p.err()
}

// decoding: no weak typing, so that "listen: 8080" is refused and not taken
// for an address; lists replace the defaults and are not merged into them.
func decoding(c *mapstructure.DecoderConfig) {
	c.WeaklyTypedInput = false
	c.ZeroFields = true
	c.DecodeHook = mapstructure.ComposeDecodeHookFunc(fromText, fromNumber, mapstructure.TextUnmarshallerHookFunc())
}

// known is what the file sets under keys that exist. The others have been
// complained about, with their line, and would be again.
func (f *file) known() map[string]any {
	out := map[string]any{}
	for key := range f.lines {
		parts := strings.Split(key, ".")
		from, to := f.settings, out
		for _, part := range parts[:len(parts)-1] {
			next, ok := to[part].(map[string]any)
			if !ok {
				next = map[string]any{}
				to[part] = next
			}
			to = next
			from, _ = from[part].(map[string]any)
		}
		last := parts[len(parts)-1]
		to[last] = from[last]
	}
	return out
}

// origin of a key: the strongest place that sets it.
func (l leaf) origin(f file, set map[string]bool) string {
	switch line, inFile := f.lines[l.key]; {
	case set[l.key]:
		return fromFlag
	case os.Getenv(l.env()) != "":
		return l.env()
	case inFile:
		return f.at(line)
	default:
		return FromDefault
	}
}

func applyFlags(v *viper.Viper, pairs []string, p *problems) map[string]bool {
	set := map[string]bool{}
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		switch {
		case !ok:
			p.addf("", fromFlag, "%q is not key=value, for example edge.listen=:8081", pair)
		case key == mappingKey || strings.HasPrefix(key, mappingKey+"."):
			p.addf(key, fromFlag, "can be set in the configuration file only")
		case !slices.Contains(Keys(), key):
			p.addf(key, fromFlag, "unknown key%s", suggest(key, Keys()))
		default:
			v.Set(key, value)
			set[key] = true
		}
	}
	return set
}

// checkEnvironment complains about variables that were probably meant for us.
// Others that begin with FABRIC_ are let be: Kubernetes, for one, adds
// FABRIC_EDGE_PORT for a service called fabric-edge.
func checkEnvironment(p *problems) {
	all := make([]string, len(leaves))
	sections := map[string]string{}
	for i, l := range leaves {
		all[i] = l.env()
		for parent, _ := split(l.key); parent != ""; parent, _ = split(parent) {
			sections[envName(parent)] = parent
		}
	}
	for _, pair := range os.Environ() {
		env, value, _ := strings.Cut(pair, "=")
		switch {
		case !strings.HasPrefix(env, envPrefix) || value == "" || slices.Contains(all, env) || env == envPrefix+"CONFIG":
		case sections[env] != "":
			p.addf(sections[env], env, "is a section; set one of its keys, for example %s", firstWithin(env, all))
		case nearest(env, all) != "":
			p.addf("", "", "%s: unknown variable; did you mean %s?", env, nearest(env, all))
		}
	}
}

func firstWithin(env string, all []string) string {
	i := slices.IndexFunc(all, func(s string) bool { return strings.HasPrefix(s, env+"_") })
	return all[max(i, 0)]
}

// describe turns the decoder's errors into complaints.
func describe(err error, o Origins, p *problems) {
	for _, e := range decodeErrors(err) {
		key, where := e.Name(), ""
		// An error inside a list is named "auth.keys[0].id".
		if leaf, _, _ := strings.Cut(key, "["); o[leaf] != "" {
			where = o[leaf]
		}
		what := wanted(e.Unwrap())
		if words, ok := strings.CutPrefix(what, "has invalid keys: "); ok {
			if strings.HasPrefix(where, envPrefix) || where == fromFlag { // a file's have been told
				p.addf(key, where, "unknown keys: %s", words)
			}
			continue
		}
		p.addf(key, where, "%s", what)
	}
}

// decodeErrors finds the decoder's innermost errors, one for each bad value.
func decodeErrors(err error) []*mapstructure.DecodeError {
	var out []*mapstructure.DecodeError
	switch e := err.(type) {
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			out = append(out, decodeErrors(inner)...)
		}
	case interface{ Unwrap() error }:
		out = decodeErrors(e.Unwrap())
	}
	if d, ok := err.(*mapstructure.DecodeError); ok && len(out) == 0 {
		out = append(out, d)
	}
	return out
}

// wanted says in the words of a configuration file what was expected.
func wanted(err error) string {
	typed, ok := errors.AsType[*mapstructure.UnconvertibleTypeError](err)
	if strings.HasPrefix(err.Error(), "source data must be an array") {
		return "must be a list"
	}
	if !ok {
		return err.Error()
	}
	switch t := typed.Expected.Type(); t.Kind() {
	case reflect.String:
		return "must be text; put it in quotes" // the value may be a secret
	case reflect.Bool:
		return "must be true or false"
	case reflect.Int, reflect.Float64:
		return "must be a number"
	default:
		return fmt.Sprintf("is a %T, must be a %s", typed.Value, t)
	}
}

func suggest(word string, among []string) string {
	if near := nearest(word, among); near != "" {
		return fmt.Sprintf("; did you mean %s?", near)
	}
	_, last := split(word)
	for _, key := range among {
		if _, l := split(key); l == last {
			return fmt.Sprintf("; did you mean %s?", key)
		}
	}
	return "; `fabric config` lists every key"
}

// split cuts a key into its section and its last word.
func split(key string) (parent, last string) {
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		return key[:i], key[i+1:]
	}
	return "", key
}
