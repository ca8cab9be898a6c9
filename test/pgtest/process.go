package pgtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a program that runs as the server's user.
type process struct {
	cmd    *exec.Cmd
	output *tail
	// ended is closed once the process has.
	ended chan struct{}
}

// begin starts a program. On Linux it is sent the signal last when this process
// ends, however it ends.
func begin(output *tail, last syscall.Signal, path string, args ...string) (*process, error) {
	cmd := exec.Command(path, args...)
	cmd.SysProcAttr = lastSignal(processAs(), last)
	cmd.Dir = os.TempDir()
	cmd.Stdout, cmd.Stderr = output, output
	p := &process{cmd: cmd, output: output, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		defer close(p.ended)
		// What Linux watches for the last signal is not this process but the
		// thread that started the other (prctl(2), PR_SET_PDEATHSIG): it has to
		// stay.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its output
		}
	}()
	if err := <-started; err != nil {
		<-p.ended
		return nil, err
	}
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// end sends a signal and waits for the end of the process.
func (p *process) end(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	// What is paused cannot end.
	if err := signalTree(p.pid(), syscall.SIGCONT); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(ready):
		_ = signalTree(p.pid(), syscall.SIGKILL)
		<-p.ended
		return fmt.Errorf("%s did not end within %s after %s:\n%s", filepath.Base(p.cmd.Path), ready, sig, p.output.String())
	}
}

// signalTree signals a process and then its children; those of PostgreSQL have
// none of their own.
func signalTree(pid int, sig syscall.Signal) error {
	for _, pid := range append([]int{pid}, children(pid)...) {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("signal process %d: %w", pid, err)
		}
	}
	return nil
}

// tail keeps the last few KiB of a server's output, for errors.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (o *tail) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf = append(o.buf, b...)
	if n := len(o.buf) - 8<<10; n > 0 {
		o.buf = o.buf[n:]
	}
	return len(b), nil
}

func (o *tail) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.TrimSpace(string(o.buf))
}
