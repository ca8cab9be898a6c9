package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func newTestWatch(t *testing.T, poll time.Duration) (w *watch, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "shop.db")
	touch(t, path)
	w, err := newWatch(path, poll)
	if err != nil {
		t.Fatal(err)
	}
	if w.deaf != nil {
		t.Fatalf("no notice of writes: %v", w.deaf)
	}
	t.Cleanup(w.close)
	return w, path
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// wakes counts how often wait returns within d.
func wakes(t *testing.T, w *watch, d time.Duration) (n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	for {
		if err := w.wait(ctx); err != nil {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			return n
		}
		n++
	}
}

func TestWatchLooksAgain(t *testing.T) {
	for _, suffix := range []string{"", "-wal", "-journal"} {
		w, path := newTestWatch(t, time.Hour)
		touch(t, path+suffix)
		if n := wakes(t, w, 500*time.Millisecond); n < 1+len(recheck) {
			t.Errorf("a write to shop.db%s wakes %d times, want once and %d times again", suffix, n, len(recheck))
		}
	}
}

func TestWatchIgnoresOthers(t *testing.T) {
	w, path := newTestWatch(t, time.Hour)
	touch(t, path+"-shm")
	touch(t, filepath.Join(filepath.Dir(path), "other.db-wal"))
	if n := wakes(t, w, 100*time.Millisecond); n != 0 {
		t.Errorf("writes to other files wake %d times", n)
	}
}

func TestWatchFollowsLink(t *testing.T) {
	_, path := newTestWatch(t, time.Hour)
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	w, err := newWatch(link, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	touch(t, path+"-wal")
	if n := wakes(t, w, 100*time.Millisecond); n == 0 {
		t.Error("a write beside the file that the link leads to does not wake")
	}
}

func TestWatchPolls(t *testing.T) {
	w, _ := newTestWatch(t, 5*time.Millisecond)
	w.notices.Close()
	w.deaf = errors.New("a network mount")
	if n := wakes(t, w, 200*time.Millisecond); n < 5 {
		t.Errorf("polling every 5 ms wakes %d times in 200 ms", n)
	}
}

func TestWatchReplaced(t *testing.T) {
	for name, replace := range map[string]func(path string) error{
		"replaced": func(path string) error {
			if err := os.WriteFile(path+".new", nil, 0o644); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		},
		"gone": os.Remove,
	} {
		w, path := newTestWatch(t, 5*time.Millisecond)
		if err := replace(path); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var err error
		for err == nil {
			err = w.wait(ctx)
		}
		if !strings.Contains(err.Error(), name) {
			t.Errorf("wait = %v, want that the file is %s", err, name)
		}
	}
}
