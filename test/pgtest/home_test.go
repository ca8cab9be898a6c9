package pgtest_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/petpro/fabric/test/pgtest"
)

// A clone below a folder that only root may enter is found out.
func TestEnterable(t *testing.T) {
	open, err := os.MkdirTemp("/tmp", "pgtest-enterable")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(open)
	below := filepath.Join(open, "clone", "bin")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[os.FileMode]bool{0o755: true, 0o700: false, 0o701: true} {
		if err := os.Chmod(open, mode); err != nil {
			t.Fatal(err)
		}
		if got := pgtest.Enterable(below); got != want {
			t.Errorf("below a folder of mode %o: %v, want %v", mode, got, want)
		}
	}
}
