package pgtest

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// home is a temporary directory that the server's user owns. Its file lock is
// locked as long as we live, by which the next test process knows what a killed
// one has left.
type home struct {
	dir  string
	lock *os.File
}

// homes is how their directories begin.
const homes = "fabric-pgtest-"

var sweepOnce sync.Once

func newHome() (*home, error) {
	base := tempDir()
	sweepOnce.Do(func() { sweep(base) })
	dir, err := os.MkdirTemp(base, homes)
	if err != nil {
		return nil, err
	}
	h := &home{dir: dir}
	if err := errors.Join(h.take(), give(dir)); err != nil {
		return nil, errors.Join(err, h.remove())
	}
	return h, nil
}

// tempDir is where the server's user can go too.
func tempDir() string {
	if dir := os.TempDir(); os.Getuid() != 0 || enterable(dir) {
		return dir
	}
	return "/tmp"
}

// enterable says whether everybody may go to a directory.
func enterable(dir string) bool {
	dir, err := filepath.Abs(dir)
	for ; err == nil; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
	return false
}

// take makes the locked file. It gets its name only when it is locked, so that
// nobody takes a new home for an old one.
func (h *home) take() error {
	path := filepath.Join(h.dir, "lock")
	f, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	h.lock = f
	return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), os.Rename(f.Name(), path))
}

func (h *home) remove() error {
	if h == nil {
		return nil
	}
	err := os.RemoveAll(h.dir)
	if h.lock != nil {
		err = errors.Join(err, h.lock.Close())
	}
	return err
}

// sweep removes the homes of processes that are gone. It is a courtesy: what it
// cannot remove it leaves.
func sweep(base string) {
	locks, _ := filepath.Glob(filepath.Join(base, homes+"*", "lock"))
	for _, path := range locks {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			os.RemoveAll(filepath.Dir(path))
		}
		f.Close()
	}
}
