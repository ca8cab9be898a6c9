package test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestProtocolFrames: each frame in docs/PROTOCOL.md is one of the vectors that
// the code is tested against, and each push and reply of the vectors is in it.
func TestProtocolFrames(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "edge/protocol/testdata/vectors/*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	frames := map[string]string{}
	for _, file := range files {
		var v struct{ From, Frame string }
		b, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(b, &v)
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		frames[map[string]string{"client": "C ", "server": "S "}[v.From]+v.Frame] = filepath.Base(file)
	}
	shown := map[string]bool{}
	for line := range strings.Lines(read(t, "docs/PROTOCOL.md")) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "C {") || strings.HasPrefix(line, "S {") {
			if frames[line] == "" {
				t.Errorf("docs/PROTOCOL.md shows a frame that is no vector: %s", line)
			}
			shown[verb(t, line)] = true
		}
	}
	for line, file := range frames {
		if strings.HasPrefix(line, "S ") && !shown[verb(t, line)] {
			t.Errorf("docs/PROTOCOL.md does not show the frame of %s: %s", file, line)
		}
	}
}

// verb is what a frame is about: its keys, "id" and the verb or push.
func verb(t *testing.T, line string) string {
	t.Helper()
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(line[2:]), &object); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	keys := []string{line[:1]}
	for key := range object {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return strings.Join(keys, " ")
}

// TestProtocolCodes: the tables list the codes of the code, all and only them.
func TestProtocolCodes(t *testing.T) {
	group := func(path, pattern string) []string {
		var out []string
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(read(t, path), -1) {
			out = append(out, m[1])
		}
		slices.Sort(out)
		return out
	}
	want := append(group("edge/protocol/code.go", `(?m)^\tCode\w+\s+Code = (\d+)$`), group("edge/protocol/code.go", `Close\{Code: (\d+)`)...)
	got := group("docs/PROTOCOL.md", `(?m)^\| (1\d{2}|\d{4}) \|`)
	if len(want) < 20 || !slices.Equal(got, want) {
		t.Errorf("docs/PROTOCOL.md lists the codes %v, edge/protocol/code.go has %v", got, want)
	}
}
