package test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocsPaths: what the documents point to exists. A file that is renamed
// takes its mentions along.
func TestDocsPaths(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	mention := regexp.MustCompile("`([\\w.-]+(?:/[\\w.-]+)+)`")
	seen := 0
	for _, doc := range documents(t) {
		text := read(t, doc)
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			seen++
			mustExist(t, doc, filepath.Join(filepath.Dir(doc), m[1]))
		}
		for _, m := range mention.FindAllStringSubmatch(text, -1) {
			if first, _, _ := strings.Cut(m[1], "/"); slices.Contains(folders(t), first) {
				seen++
				mustExist(t, doc, m[1])
			}
		}
	}
	if seen < 20 {
		t.Errorf("found only %d paths in the documents; does the test still know one when it sees it?", seen)
	}
}

func mustExist(t *testing.T, doc, path string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(root, path)); err != nil {
		t.Errorf("%s points to %s, which does not exist", doc, path)
	}
}

// documents lists the Markdown files for readers.
func documents(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/decisions/*.md"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("no document matches %s: %v", pattern, err)
		}
		for _, p := range paths {
			out = append(out, strings.TrimPrefix(p, root+"/"))
		}
	}
	return out
}

// folders of the repository: what begins with one is meant as a path.
func folders(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, e.Name())
		}
	}
	return out
}

// TestDependenciesExplained: every module that go.mod asks for directly has its
// line in the decision about dependencies.
func TestDependenciesExplained(t *testing.T) {
	const decision = "docs/decisions/0006-dependencies.md"
	modules := regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(read(t, "go.mod"), -1)
	if len(modules) == 0 {
		t.Fatal("go.mod asks for nothing directly; run go mod tidy")
	}
	text := read(t, decision)
	for _, m := range modules {
		// github.com/nats-io/nats.go is told as nats-io/nats.go, or after that
		// as nats.go alone.
		name := strings.TrimPrefix(m[1], "github.com/")
		if last := name[strings.LastIndex(name, "/")+1:]; !strings.Contains(text, name) && !strings.Contains(text, ", "+last) {
			t.Errorf("%s does not say why %s is needed", decision, m[1])
		}
	}
}
