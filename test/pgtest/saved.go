package pgtest

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// Saved is a copy of a server's data directory.
type Saved struct{ dir string }

// Save copies the data directory of a stopped server, as a backup would.
func (s *Server) Save(t testing.TB) Saved {
	t.Helper()
	s.mustBeStopped(t)
	s.saved++
	saved := Saved{filepath.Join(s.home.dir, "saved-"+strconv.Itoa(s.saved))}
	if err := copyTree(s.Dir, saved.dir, nil); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return saved
}

// Restore gives a stopped server the data directory that Save copied from it.
// What was written since is gone.
func (s *Server) Restore(t testing.TB, saved Saved) {
	t.Helper()
	s.mustBeStopped(t)
	if err := os.RemoveAll(s.Dir); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	if err := copyTree(saved.dir, s.Dir, nil); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
}

func (s *Server) mustBeStopped(t testing.TB) {
	t.Helper()
	if s.Pid() != 0 {
		t.Fatal("pgtest: stop the server first")
	}
}
