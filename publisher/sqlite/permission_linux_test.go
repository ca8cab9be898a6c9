package sqlite_test

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// asNobody runs f without root's right to open any file: on a thread of its
// own, which has another user for the file system and dies with the goroutine.
func asNobody(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0) // does nothing for who is not root
		f()
	}()
	<-done
}

func TestCheckPermission(t *testing.T) {
	tests := []struct {
		name      string
		file, dir os.FileMode
		want      []string
	}{
		{"file not readable", 0o000, 0o755, []string{"cannot be opened for writing", "read and write permission"}},
		{"file not writable", 0o444, 0o755, []string{"cannot be opened for writing", "read and write permission"}},
		{"directory not writable", 0o666, 0o555, []string{"cannot be opened for writing", "and on its directory"}},
		{"directory not to be entered", 0o666, 0o000, []string{"cannot be reached", "permission to enter"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := newDatabase(t, shopSchema)
			db.Close()
			dir := filepath.Dir(db.path)
			chmod(t, filepath.Dir(dir), 0o755)
			chmod(t, db.path, tt.file)
			chmod(t, dir, tt.dir)
			t.Cleanup(func() { chmod(t, dir, 0o755) })
			var err error
			asNobody(func() { err = checkErr(t, db.path, shopMapping()) })
			wantSentence(t, err, tt.want...)
		})
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
