// Package test holds what needs more than one package to be tested: the import
// rules (this file), the deployment in deploy/ and docker-compose.yml, and in
// its folders the whole path from a row to a socket.
package test

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/petpro/fabric"

// Third-party packages that rules speak of. A trailing /... means everything
// below as well.
const (
	libNATSClient = "github.com/nats-io/nats.go/..."
	libNATSServer = "github.com/nats-io/nats-server/..."
	libGorilla    = "github.com/gorilla/websocket"
	libJWT        = "github.com/golang-jwt/jwt/..."
	libViper      = "github.com/spf13/viper"
	libCobra      = "github.com/spf13/cobra"
	libSQLite     = "modernc.org/sqlite/..."
	libPGX        = "github.com/jackc/pgx/v5/..."
	libExpr       = "github.com/expr-lang/expr/..."
)

// rule bounds what a package may reach. Packages of this repository are named
// by their folder.
type rule struct {
	// of is the package the rule is about, or a pattern with /... behind it.
	of string
	// only lists what it may import beside the standard library, directly or
	// through packages of this repository; nil allows everything. What a
	// third-party package imports is that package's own affair.
	only []string
	// never lists what it must not reach by any path, third parties included.
	never []string
	why   string
}

// databases are the packages of sources that are a database, sources of all.
var (
	databases = []string{"publisher/sqlite", "publisher/outbox", "publisher/postgres/..."}
	sources   = append([]string{"publisher/ingest", "publisher/pgdb"}, databases...)
)

var rules = []rule{
	{of: "subjects", only: []string{},
		why: "it is the contract of publisher and edge; reading it must need nothing else"},
	{of: "subjects/stream", only: []string{"subjects", libNATSClient, "github.com/nats-io/nuid"},
		why: "it defines the stream that both sides meet on, so it belongs to neither"},

	{of: "edge/protocol", only: []string{},
		why: "it is the specification of the wire in Go, for clients too"},
	{of: "edge/access", only: []string{},
		why: "who may be where has to be readable, and testable, by itself"},
	{of: "edge/hub", only: []string{"subjects", "edge/protocol", "edge/access"}, never: []string{"net/http"},
		why: "the core knows no broker and no socket, so that it runs in a synctest bubble"},
	{of: "edge/feed", never: []string{"edge/websocket", "edge/auth", "publisher", "config"},
		why: "it implements the hub's interfaces on JetStream and knows no client"},
	{of: "edge/auth", never: []string{"edge/hub", "edge/feed", "edge/websocket", libNATSClient},
		why: "a token becomes an identity without asking anybody but its keys"},
	{of: "edge/websocket", never: []string{"edge/feed", "publisher", "config", libNATSClient},
		why: "a transport reaches the stream through the hub alone, so that transports are interchangeable"},

	{of: "edge/...", never: []string{"publisher/...", libSQLite, libExpr, libNATSServer, libViper},
		why: "the edge is stateless and meets the publisher only in subjects"},
	{of: "publisher/...", never: []string{"edge/...", libGorilla, libJWT, libNATSServer, libViper},
		why: "the publisher knows no client and meets the edge only in subjects"},
	{of: "publisher", never: append([]string{libSQLite, libPGX}, sources...),
		why: "sources' settings are plain data, so whoever reads configuration links no driver"},
	{of: "publisher/postgres/...", never: []string{"publisher/outbox", "publisher/sqlite", "publisher/ingest", libSQLite},
		why: "sources are independent; what those of PostgreSQL share is in pgdb"},
	{of: "publisher/outbox", never: []string{"publisher/postgres/...", "publisher/sqlite", "publisher/ingest", libSQLite},
		why: "sources are independent; what those of PostgreSQL share is in pgdb"},
	{of: "publisher/pgdb", never: append([]string{libSQLite}, databases...),
		why: "it is what sources stand on, and knows none of them"},
	{of: "publisher/postgres/pgoutput", never: []string{"publisher", libNATSClient},
		why: "a decoder of a wire format knows the wire, so that it can be fuzzed and read by itself"},
	{of: "config", never: append([]string{libSQLite, libPGX, libNATSServer}, sources...),
		why: "reading configuration must not link a database or a broker"},
	{of: "cmd/edge", never: []string{libSQLite, libPGX, libNATSServer},
		why: "the edge's binary is the client-facing one: the less it links, the less there is to attack"},
	{of: "cmd/publisher", never: []string{libNATSServer},
		why: "only development embeds a broker"},
}

// confinement keeps a library behind the packages that wrap it.
type confinement struct {
	library string
	// to lists the packages that may import it directly.
	to  []string
	why string
}

var confined = []confinement{
	{libViper, []string{"config"}, "keys, defaults and precedence have one home"},
	{libCobra, []string{"cmd/...", "config"}, "commands live in cmd"},
	{libNATSServer, []string{"cmd/fabric/...", "test/..."}, "only development and tests embed a broker"},
	{libGorilla, []string{"edge/websocket", "cmd/fabric/...", "test/..."}, "the library is kept to upgrading and reading, in one place"},
	{libJWT, []string{"edge/auth", "cmd/fabric/...", "test/..."}, "tokens are judged in one place"},
	{libSQLite, []string{"publisher/sqlite", "publisher/sourcetest", "cmd/...", "test/..."}, "the database is one source among others"},
	{libPGX, []string{"publisher/pgdb", "publisher/postgres/...", "publisher/outbox", "publisher/sourcetest", "cmd/...", "test/..."}, "what talks to PostgreSQL shares how (pgdb), and the rest does not link it"},
	{libExpr, []string{"publisher"}, "conditions belong to the mapping"},
}

func TestLayers(t *testing.T) {
	g := readImports(t)
	for _, r := range rules {
		t.Run(r.of, func(t *testing.T) {
			for _, complaint := range g.check(r) {
				t.Errorf("%s\nbecause %s", complaint, r.why)
			}
		})
	}
	for _, c := range confined {
		t.Run("only/"+c.library, func(t *testing.T) {
			for _, complaint := range g.confine(c) {
				t.Errorf("%s\nbecause %s", complaint, c.why)
			}
		})
	}
}

// TestLayersBite breaks each form of rule in a made-up repository: rules that
// cannot fail protect nothing.
func TestLayersBite(t *testing.T) {
	g := imports{
		module + "/edge/hub":      {"time", module + "/edge/protocol", "github.com/x/queue"},
		module + "/edge/protocol": {"encoding/json", "expvar"},
		module + "/config":        {libViper},
		"github.com/x/queue":      {"github.com/nats-io/nats.go"},
		"expvar":                  {"net/http"},
	}
	for _, test := range []struct {
		name string
		rule rule
		want []string
	}{
		{"kept", rule{of: "edge/hub", only: []string{"edge/protocol", "github.com/x/..."}}, nil},
		{"not on the list", rule{of: "edge/hub", only: []string{"edge/protocol"}},
			[]string{"edge/hub → github.com/x/queue"}},
		{"standard library only", rule{of: "edge/...", only: []string{}},
			[]string{"edge/hub → edge/protocol", "edge/hub → github.com/x/queue"}},
		{"through the standard library", rule{of: "edge/hub", never: []string{"net/http"}},
			[]string{"edge/hub → edge/protocol → expvar → net/http"}},
		{"through a third party", rule{of: "edge/...", never: []string{libNATSClient}},
			[]string{"edge/hub → github.com/x/queue → github.com/nats-io/nats.go"}},
		{"names nothing", rule{of: "edge/bub", only: []string{}},
			[]string{"edge/bub: no such package; mend the rule"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := g.check(test.rule); !slices.Equal(got, test.want) {
				t.Errorf("check(%q) = %q, want %q", test.rule.of, got, test.want)
			}
		})
	}
	for _, test := range []struct {
		library string
		to      []string
		want    []string
	}{
		{libViper, []string{"config"}, nil},
		{libViper, []string{"edge/..."}, []string{"config → " + libViper}},
		{libCobra, nil, []string{libCobra + ": nobody imports it; mend the rule"}},
	} {
		if got := g.confine(confinement{library: test.library, to: test.to}); !slices.Equal(got, test.want) {
			t.Errorf("confine(%q to %q) = %q, want %q", test.library, test.to, got, test.want)
		}
	}
}

// imports maps an import path to the paths it imports; test files do not count.
type imports map[string][]string

func readImports(t *testing.T) imports {
	t.Helper()
	lookAtSources(t)
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Imports", "./...")
	cmd.Dir = ".."
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, stderr.String())
	}
	g := imports{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return g
		} else if err != nil {
			t.Fatalf("reading the output of %s: %v", cmd, err)
		}
		g[p.ImportPath] = p.Imports
	}
}

// lookAtSources makes the result of this test depend on every Go file. go test
// caches a result until a file that the test process itself looked at changes,
// and go list looks at them in another process.
func lookAtSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == ".git" {
			return filepath.SkipDir
		}
		if err == nil && filepath.Ext(path) == ".go" {
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil {
		t.Fatalf("walking the repository: %v", err)
	}
}

// check returns a complaint, as the chain of imports that breaks r, for each
// package of r and each thing it must not reach.
func (g imports) check(r rule) []string {
	var complaints []string
	matched := false
	for _, pkg := range slices.Sorted(maps.Keys(g)) {
		if !local(pkg) || !covers(r.of, pkg) {
			continue
		}
		matched = true
		if r.only != nil {
			complaints = append(complaints, g.walk(pkg, local, func(p string) bool {
				return !standard(p) && !slices.ContainsFunc(r.only, func(o string) bool { return covers(o, p) })
			})...)
		}
		complaints = append(complaints, g.walk(pkg, func(string) bool { return true }, func(p string) bool {
			return slices.ContainsFunc(r.never, func(n string) bool { return covers(n, p) })
		})...)
	}
	if !matched {
		complaints = append(complaints, r.of+": no such package; mend the rule")
	}
	return complaints
}

// confine returns a complaint for each package outside c.to that imports the
// library directly.
func (g imports) confine(c confinement) []string {
	var complaints []string
	used := false
	for _, pkg := range slices.Sorted(maps.Keys(g)) {
		if !local(pkg) || !slices.ContainsFunc(g[pkg], func(p string) bool { return covers(c.library, p) }) {
			continue
		}
		used = true
		if !slices.ContainsFunc(c.to, func(o string) bool { return covers(o, pkg) }) {
			complaints = append(complaints, short(pkg)+" → "+c.library)
		}
	}
	if !used {
		complaints = append(complaints, c.library+": nobody imports it; mend the rule")
	}
	return complaints
}

// walk goes breadth-first from pkg through the packages that enter accepts and
// returns the shortest chain to each bad one, without going on behind it.
func (g imports) walk(pkg string, enter, bad func(string) bool) []string {
	var chains []string
	came := map[string]string{pkg: ""}
	for queue := []string{pkg}; len(queue) > 0; queue = queue[1:] {
		for _, p := range g[queue[0]] {
			if _, seen := came[p]; seen {
				continue
			}
			came[p] = queue[0]
			switch {
			case bad(p):
				chain := short(p)
				for from := queue[0]; from != ""; from = came[from] {
					chain = short(from) + " → " + chain
				}
				chains = append(chains, chain)
			case enter(p):
				queue = append(queue, p)
			}
		}
	}
	return chains
}

// covers reports whether pattern, a folder of this repository or an import
// path, possibly with /... behind it, names pkg.
func covers(pattern, pkg string) bool {
	base, below := strings.CutSuffix(pattern, "/...")
	for _, base := range []string{base, module + "/" + base} {
		if pkg == base || below && strings.HasPrefix(pkg, base+"/") {
			return true
		}
	}
	return false
}

func local(pkg string) bool { return strings.HasPrefix(pkg, module+"/") }

// standard reports whether pkg is of the standard library: the first element
// of every other import path holds a dot.
func standard(pkg string) bool {
	first, _, _ := strings.Cut(pkg, "/")
	return !strings.Contains(first, ".")
}

func short(pkg string) string { return strings.TrimPrefix(pkg, module+"/") }
