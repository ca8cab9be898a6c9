package config_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"

	"github.com/petpro/fabric/config"
	"github.com/petpro/fabric/edge"
	"github.com/petpro/fabric/edge/auth"
	"github.com/petpro/fabric/publisher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// write puts text into a file of its own and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fabric.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// problems loads o and returns the complaints, one a line, files by base name.
func problems(t *testing.T, o config.Options) []string {
	t.Helper()
	_, _, err := config.Load(o)
	return lines(t, err, o.File)
}

func lines(t *testing.T, err error, file string) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	all, ok := errors.AsType[*config.Error](err)
	if !ok {
		t.Fatalf("error %v is no *config.Error", err)
	}
	var out []string
	for _, p := range all.Problems {
		if file != "" {
			p.Where = strings.ReplaceAll(p.Where, file, filepath.Base(file))
		}
		out = append(out, p.String())
	}
	return out
}

func TestExampleHoldsTheDefaults(t *testing.T) {
	got, _, err := config.Load(config.Options{File: "fabric.example.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	if g, w := printed(t, got, nil), printed(t, want, nil); g != w {
		t.Errorf("fabric.example.yaml does not hold the defaults:\n%s", diff(w, g))
	}
}

func TestExampleNamesEveryKey(t *testing.T) {
	text, err := os.ReadFile("fabric.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, origins, err := config.Load(config.Options{File: "fabric.example.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range config.Keys() {
		if origins[key] == config.FromDefault {
			t.Errorf("fabric.example.yaml does not name %s", key)
		}
	}
	for i, line := range strings.Split(string(text), "\n") {
		if key, comment, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(strings.TrimSpace(key), "#") &&
			!strings.Contains(comment, "#") && strings.TrimSpace(comment) != "" && i > 10 && !slices.Contains(selfEvident, strings.TrimSpace(key)) {
			t.Errorf("fabric.example.yaml:%d: %q has no comment", i+1, line)
		}
	}
}

// selfEvident keys are explained by their section.
var selfEvident = []string{"events", "bytes", "key", "mapping"}

// The defaults are the services' own: what the packages say and what this
// package hands them cannot drift apart.
func TestDefaultsAreTheServices(t *testing.T) {
	e, err := config.Default().EdgeConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := edge.DefaultConfig(); !reflect.DeepEqual(e, want) {
		t.Errorf("EdgeConfig of the defaults:\n got %+v\nwant %+v", e, want)
	}
	p, err := config.Default().PublisherConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := publisher.DefaultConfig()
	want.Sources = []publisher.SourceConfig{{Name: "ingest", Kind: "ingest"}}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("PublisherConfig of the defaults:\n got %+v\nwant %+v", p, want)
	}
}

func TestPrecedence(t *testing.T) {
	const file = "edge: { listen: ':1', ping: 10s, ring: 1MiB }\n"
	tests := []struct {
		name   string
		file   string
		env    string
		set    []string
		want   string
		origin string
	}{
		{name: "default", want: ":8080", origin: "default"},
		{name: "file", file: file, want: ":1", origin: "fabric.yaml:1"},
		{name: "environment over file", file: file, env: ":2", want: ":2", origin: "FABRIC_EDGE_LISTEN"},
		{name: "environment alone", env: ":2", want: ":2", origin: "FABRIC_EDGE_LISTEN"},
		{name: "flag over all", file: file, env: ":2", set: []string{"edge.listen=:3"}, want: ":3", origin: "--set"},
		{name: "flag alone", set: []string{"edge.listen=:3"}, want: ":3", origin: "--set"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := config.Options{Set: tt.set}
			if tt.file != "" {
				o.File = write(t, tt.file)
			}
			t.Setenv("FABRIC_EDGE_LISTEN", tt.env)
			c, origins, err := config.Load(o)
			if err != nil {
				t.Fatal(err)
			}
			if c.Edge.Listen != tt.want {
				t.Errorf("edge.listen = %q, want %q", c.Edge.Listen, tt.want)
			}
			if got := filepath.Base(origins["edge.listen"]); got != tt.origin {
				t.Errorf("origin of edge.listen = %q, want %q", got, tt.origin)
			}
		})
	}
}

func TestFileOfTheEnvironment(t *testing.T) {
	t.Setenv("FABRIC_CONFIG", write(t, "log: { level: debug }\n"))
	c, _, err := config.Load(config.Options{})
	if err != nil || c.Log.Level != "debug" {
		t.Errorf("log.level = %q, %v; want debug", c.Log.Level, err)
	}
}

func TestFormsOfTheEnvironment(t *testing.T) {
	for key, value := range map[string]string{
		"FABRIC_ROOMS_KINDS":             "booking, order",
		"FABRIC_ROOMS_EVENTS_ONLY":       `["notification","reminder"]`,
		"FABRIC_AUTH_KEYS":               `[{"id":"a","algorithms":["HS256"],"secret":"` + strings.Repeat("x", 32) + `"}]`,
		"FABRIC_AUTH_CLAIMS_USER":        "uid",
		"FABRIC_EDGE_RING":               "128MiB",
		"FABRIC_EDGE_PING":               "1m30s",
		"FABRIC_EDGE_LIMITS_COMMANDS":    "7.5",
		"FABRIC_EDGE_REPLAY_MAX_EVENTS":  "99",
		"FABRIC_PUBLISHER_INGEST":        "false",
		"FABRIC_PUBLISHER_SOURCES":       `[{"name":"shop","kind":"sqlite","sqlite":{"path":"/x.db","poll":"1s"}}]`,
		"FABRIC_PUBLISHER_CONFIRM_DELAY": "",
	} {
		t.Setenv(key, value)
	}
	c, _, err := config.Load(config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Rooms.Kinds = []string{"booking", "order"}
	want.Rooms.EventsOnly = []string{"notification", "reminder"}
	want.Auth.Keys = []auth.Key{{ID: "a", Algorithms: []string{"HS256"}, Secret: strings.Repeat("x", 32)}}
	want.Auth.Claims.User = "uid"
	want.Edge.Ring = 128 << 20
	want.Edge.Ping = 90 * time.Second
	want.Edge.Limits.Commands = 7.5
	want.Edge.ReplayMax.Events = 99
	want.Publisher.Ingest = false
	want.Publisher.Sources = []publisher.SourceConfig{{Name: "shop", Kind: "sqlite", SQLite: publisher.SQLiteConfig{Path: "/x.db", Poll: time.Second}}}
	if g, w := printed(t, c, nil), printed(t, want, nil); g != w {
		t.Errorf("configuration of the environment:\n%s", diff(w, g))
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("configuration of the environment = %+v, want %+v", c, want)
	}
}

// A list replaces the default and is not laid over it.
func TestListsReplace(t *testing.T) {
	o := config.Options{File: write(t, "nats: { urls: [nats://a:4222] }\nrooms: { events_only: [] }\n")}
	t.Setenv("FABRIC_NATS_URLS", "nats://b:4222,nats://c:4222")
	c, _, err := config.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.NATS.URLs, []string{"nats://b:4222", "nats://c:4222"}; !slices.Equal(got, want) {
		t.Errorf("nats.urls = %v, want %v", got, want)
	}
	if len(c.Rooms.EventsOnly) != 0 {
		t.Errorf("rooms.events_only = %v, want none", c.Rooms.EventsOnly)
	}
}

func TestComplaints(t *testing.T) {
	tests := []struct {
		name string
		file string
		env  map[string]string
		set  []string
		want []string
	}{
		{
			name: "several at once, each with its place",
			file: "edge:\n  lsten: ':1'\n  ping: fast\nlogg: {}\nnats: { stream: 7 }\n",
			want: []string{
				`edge.lsten: unknown key; did you mean edge.listen? (from fabric.yaml:2)`,
				`edge.ping: "fast" is no duration, write it like 500ms, 25s, 10m or 2160h (from fabric.yaml:3)`,
				`logg: unknown key; did you mean log? (from fabric.yaml:4)`,
				`nats.stream: must be text; put it in quotes (from fabric.yaml:5)`,
			},
		},
		{
			name: "a key of another section",
			file: "edge: { keep: 3 }\n",
			want: []string{`edge.keep: unknown key; did you mean publisher.keep? (from fabric.yaml:1)`},
		},
		{
			name: "another case is another key",
			file: "edge: { Listen: ':1' }\n",
			want: []string{`edge.Listen: unknown key; did you mean edge.listen? (from fabric.yaml:1)`},
		},
		{
			name: "inside a list",
			file: "auth:\n  keys:\n  - { id: a, algoritms: [HS256] }\n",
			want: []string{`auth.keys[0].algoritms: unknown key; did you mean auth.keys[0].algorithms? (from fabric.yaml:3)`},
		},
		{
			name: "a number without a unit",
			file: "edge: { ping: 25 }\n",
			want: []string{`edge.ping: 25 has no unit, write it like 25s (from fabric.yaml:1)`},
		},
		{
			name: "a decimal unit",
			file: "edge: { ring: 64MB }\n",
			want: []string{`edge.ring: "64MB" is no size, write it like 64MiB, 32KiB or 512 (from fabric.yaml:1)`},
		},
		{
			name: "a value in place of a list",
			file: "rooms: { kinds: { a: b } }\nauth: { keys: 7, leeway: [] }\n",
			want: []string{
				`auth.keys: must be a list (from fabric.yaml:2)`,
				`auth.leeway: is a []interface {}, must be a time.Duration (from fabric.yaml:2)`,
				`rooms.kinds: must be a list (from fabric.yaml:1)`,
			},
		},
		{
			name: "a value in place of a section",
			file: "log: debug\n",
			want: []string{`log: must hold keys, one a line, like "level: …" (from fabric.yaml:1)`},
		},
		{
			name: "environment",
			env:  map[string]string{"FABRIC_EDGE_LISTN": ":1", "FABRIC_EDGE": "x", "FABRIC_EDGE_PORT": "tcp://10.0.0.1:80", "FABRIC_PUBLISHER_INGEST": "maybe"},
			want: []string{
				`FABRIC_EDGE_LISTN: unknown variable; did you mean FABRIC_EDGE_LISTEN?`,
				`edge: is a section; set one of its keys, for example FABRIC_EDGE_LISTEN (from FABRIC_EDGE)`,
				`publisher.ingest: "maybe" is neither true nor false (from FABRIC_PUBLISHER_INGEST)`,
			},
		},
		{
			name: "flags",
			set:  []string{"edge.listen", "edge.pings=1s", "edge.ping=x", "mapping.terminal=done"},
			want: []string{
				`"edge.listen" is not key=value, for example edge.listen=:8081 (from --set)`,
				`edge.ping: "x" is no duration, write it like 500ms, 25s, 10m or 2160h (from --set)`,
				`edge.pings: unknown key; did you mean edge.ping? (from --set)`,
				`mapping.terminal: can be set in the configuration file only (from --set)`,
			},
		},
		{
			name: "mapping",
			file: "mapping:\n  tables:\n    bookings: { key: id, colums: [id] }\n  terminals: [done]\n",
			want: []string{
				"mapping.tables.bookings.colums: unknown key; did you mean mapping.tables.bookings.columns? (from fabric.yaml:3)",
				"mapping.terminals: unknown key; did you mean mapping.terminal? (from fabric.yaml:4)",
			},
		},
		{
			name: "deep in the mapping",
			file: "mapping:\n  tables:\n    bookings:\n      access: { kinds: booking }\n      events:\n      - { subject: x, payload: { any: key } }\n      - notify: [{ two: x }]\n",
			want: []string{
				"mapping.tables.bookings.access.kinds: unknown key; did you mean mapping.tables.bookings.access.kind? (from fabric.yaml:4)",
				"mapping.tables.bookings.events[1].notify[0].two: unknown key; did you mean mapping.tables.bookings.events[1].notify[0].to? (from fabric.yaml:7)",
			},
		},
		{
			name: "not YAML",
			file: "edge: [\n",
			want: []string{"is not YAML: yaml: line 1: did not find expected node content (from fabric.yaml)"},
		},
		{
			name: "two documents",
			file: "log: { level: warn }\n---\nlog: { level: error }\n",
			want: []string{"holds a second document (behind ---), which nobody would read; one file, one document (from fabric.yaml)"},
		},
		{name: "an empty file", file: ""},
		{name: "only comments", file: "# nothing yet\n"},
		{name: "an empty section", file: "edge:\nlog:\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			got := problems(t, config.Options{File: write(t, tt.file), Set: tt.set})
			if !slices.Equal(got, tt.want) {
				t.Errorf("complaints:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(tt.want, "\n  "))
			}
		})
	}
}

func TestMissingFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.yaml")
	got := problems(t, config.Options{File: path})
	if len(got) != 1 || !strings.Contains(got[0], "no such file") || !strings.Contains(got[0], "--config") {
		t.Errorf("complaints = %q", got)
	}
}

func TestValuesThatMakeNoSense(t *testing.T) {
	o := config.Options{Set: []string{
		"log.level=loud", "nats.urls=http:///x,http://10.0.0.1:4222", "edge.listen=8080", "edge.admin_listen=127.0.0.1:99999", "edge.max_pending=0", "edge.limits.rooms=0", "auth.cookie=session",
		"publisher.keep=0", "publisher.on_lost=ignore", "publisher.max_payload=64KiB", "publisher.admin_listen=9091",
		`publisher.sources=[{"name":"a","kind":"sqlite"},{"name":"ingest","kind":"oracle"}]`,
	}}
	c, origins, err := config.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.EdgeConfig(origins)
	for _, want := range []string{
		`log.level: is "loud", must be debug, info, warn or error (from --set)`,
		`nats.urls: "http:///x" is no address, must be like nats://127.0.0.1:4222 (from --set)`,
		`nats.urls: "http://10.0.0.1:4222" is no address, must be like nats://127.0.0.1:4222 (from --set)`,
		`edge.listen: "8080" is no address, must be like :8080 or 127.0.0.1:9090 (from --set)`,
		`edge.admin_listen: "127.0.0.1:99999" is no address, must be like :8080 or 127.0.0.1:9090 (from --set)`,
		`edge.max_pending: is 0, must be greater than 0 (from --set)`,
		`edge.origins: is empty, must list the origins whose pages may use the cookie of auth.cookie`,
		`edge.limits.rooms: is 0, must be greater than 0 (from --set)`,
	} {
		if got := lines(t, err, ""); !slices.Contains(got, want) {
			t.Errorf("EdgeConfig does not say %q but\n  %s", want, strings.Join(got, "\n  "))
		}
	}
	_, err = c.PublisherConfig(origins)
	for _, want := range []string{
		`publisher.keep: is 0, must be at least 2 messages per subject (from --set)`,
		`publisher.on_lost: is "ignore", must be "halt" or "epoch" (from --set)`,
		`publisher.max_payload: is 65536 bytes, must be 1 to 32768 (from --set)`,
		`publisher.admin_listen: "9091" is no address, must be like :8080 or 127.0.0.1:9091 (from --set)`,
		`publisher.sources[0].sqlite.path: is empty, must be the database file (from --set)`,
		`publisher.sources[1].kind: is "oracle", must be "postgres", "outbox", "sqlite" or "ingest" (from --set)`,
		`publisher.sources[2].name: "ingest" is used twice; positions are kept by name (from --set)`,
	} {
		if got := lines(t, err, ""); !slices.Contains(got, want) {
			t.Errorf("PublisherConfig does not say %q but\n  %s", want, strings.Join(got, "\n  "))
		}
	}
}

// The keys of a mapping reach the publisher as they are written.
func TestMappingKeepsCaseAndDots(t *testing.T) {
	for _, file := range []string{"petpro.yaml", "petpro-columns.yaml"} {
		c, _, err := config.Load(config.Options{File: file})
		if err != nil {
			t.Fatal(err)
		}
		bookings := c.Mapping.Tables["bookings"]
		if bookings.Access == nil || len(bookings.Access.Participants) != 2 || len(bookings.Events) != 1 {
			t.Fatalf("%s: bookings = %+v", file, bookings)
		}
		if _, ok := bookings.Events[0].Payload["bookingId"]; !ok {
			t.Errorf("%s: payload %v has no bookingId", file, bookings.Events[0].Payload)
		}
		if slices.Contains(bookings.Columns, "staff_notes") {
			t.Errorf("%s publishes staff_notes", file)
		}
		if _, err := publisher.NewMapper(c.Mapping, c.Rooms.Kinds, int(c.Publisher.MaxPayload)); err != nil {
			t.Errorf("%s does not compile: %v", file, err)
		}
	}
	c, _, _ := config.Load(config.Options{File: "petpro.yaml"})
	if role := c.Mapping.Tables["bookings"].Access.Participants["{services[service_id].provider_id}"]; role != "vendor" {
		t.Errorf("participants = %v", c.Mapping.Tables["bookings"].Access.Participants)
	}
}

func printed(t *testing.T, c config.Config, o config.Origins) string {
	t.Helper()
	var b strings.Builder
	if err := c.Print(&b, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// diff lists the lines in which two texts differ.
func diff(want, got string) string {
	var b strings.Builder
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		var a, c string
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			c = g[i]
		}
		if a != c {
			b.WriteString("- " + a + "\n+ " + c + "\n")
		}
	}
	return b.String()
}

// What Print writes is YAML again, and says the same.
func TestPrintReadsBack(t *testing.T) {
	c, origins, err := config.Load(config.Options{File: "petpro.yaml", Set: []string{"edge.ping=7s"}})
	if err != nil {
		t.Fatal(err)
	}
	text := printed(t, c, origins)
	if err := yaml.Unmarshal([]byte(text), new(map[string]any)); err != nil {
		t.Fatalf("not YAML: %v\n%s", err, text)
	}
	again, _, err := config.Load(config.Options{File: write(t, text)})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if !reflect.DeepEqual(c.Mapping, again.Mapping) {
		t.Errorf("mapping read back = %+v, want %+v", again.Mapping, c.Mapping)
	}
	if again.Edge.Ping != 7*time.Second || !strings.Contains(text, "# --set") || !strings.Contains(text, "# petpro.yaml:") {
		t.Errorf("printed:\n%s", text)
	}
}

func TestDefaultLoggerIsQuietBelowInfo(t *testing.T) {
	if config.Default().Logger(io.Discard).Enabled(t.Context(), -4) {
		t.Error("debug is logged by default")
	}
}
