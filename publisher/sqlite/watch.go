package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/petpro/fabric/publisher"
)

// recheck are the pauses after a notice of the file system at which to look
// again: inotify tells of the write into the WAL, and for about one commit in a
// hundred that is before the shared memory makes it visible.
var recheck = []time.Duration{time.Millisecond, 4 * time.Millisecond, 15 * time.Millisecond}

// watch tells when to look at a database file. It watches the directory,
// because -wal is removed and made again.
type watch struct {
	path  string
	first os.FileInfo
	names map[string]bool
	poll  *time.Ticker

	// notices of the file system; deaf is why there are none.
	notices *fsnotify.Watcher
	deaf    error

	// again fires for recheck[step].
	again *time.Timer
	step  int

	// told is when the last sign of life was emitted.
	told time.Time
}

// tellEvery is how often a sign of life is emitted at most.
const tellEvery = time.Second

func newWatch(path string, poll time.Duration) (*watch, error) {
	// SQLite puts the WAL beside the file that a link leads to.
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	first, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	base := filepath.Base(path)
	w := &watch{
		path:  path,
		first: first,
		names: map[string]bool{base: true, base + "-wal": true, base + "-journal": true},
		poll:  time.NewTicker(poll),
		again: time.NewTimer(time.Hour),
		told:  time.Now(),
	}
	w.again.Stop()
	if w.notices, w.deaf = fsnotify.NewWatcher(); w.deaf != nil {
		return w, nil
	}
	if w.deaf = w.notices.Add(filepath.Dir(path)); w.deaf != nil {
		w.notices.Close()
	}
	return w, nil
}

func (w *watch) close() {
	w.poll.Stop()
	w.again.Stop()
	if w.deaf == nil {
		w.notices.Close()
	}
}

// wait returns when the file may have changed. Returns an error if ctx ended or
// the file is no longer the one that was opened.
func (w *watch) wait(ctx context.Context) error {
	var events chan fsnotify.Event
	var failures chan error
	if w.deaf == nil {
		events, failures = w.notices.Events, w.notices.Errors
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-events:
			if !w.names[filepath.Base(e.Name)] || e.Op == fsnotify.Chmod {
				continue
			}
			w.lookAgain(0)
			return nil
		case <-failures: // the queue of notices ran over
			w.lookAgain(0)
			return nil
		case <-w.again.C:
			w.lookAgain(w.step + 1)
			return nil
		case <-w.poll.C:
			return w.same()
		}
	}
}

// alive emits a sign of life, the file having been looked at.
func (w *watch) alive(emit func(publisher.Entry) error) error {
	if time.Since(w.told) < tellEvery {
		return nil
	}
	w.told = time.Now()
	return emit(publisher.Entry{})
}

func (w *watch) lookAgain(step int) {
	w.step = step
	if step < len(recheck) {
		w.again.Reset(recheck[step])
	}
}

// same checks that the path still leads to the file that was opened. A
// connection would go on reading one that was moved or removed.
func (w *watch) same() error {
	now, err := os.Stat(w.path)
	if err != nil {
		return fmt.Errorf("the database file is gone: %w", err)
	}
	if !os.SameFile(w.first, now) {
		return fmt.Errorf("%s was replaced by another file while it was read", w.path)
	}
	return nil
}
