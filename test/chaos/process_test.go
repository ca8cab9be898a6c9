package chaos_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binaries are built once, without the race detector: what runs in production.
// They stay in bin/chaos, so that the next run has them.
var binaries = sync.OnceValues(func() (map[string]string, error) {
	out := map[string]string{}
	for name, pkg := range map[string]string{
		"publisher":   "github.com/petpro/fabric/cmd/publisher",
		"nats-server": "github.com/nats-io/nats-server/v2",
	} {
		path, err := filepath.Abs(filepath.Join("..", "..", "bin", "chaos", name))
		if err != nil {
			return nil, err
		}
		if msg, err := exec.Command("go", "build", "-o", path, pkg).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w\n%s", pkg, err, msg)
		}
		out[name] = path
	}
	return out, nil
})

// process is a program that runs until it is ended.
type process struct {
	t     testing.TB
	name  string
	cmd   *exec.Cmd
	out   *os.File // stdout and stderr
	ended chan struct{}
	err   error // of Wait; after ended
}

// launch starts a program. What it printed is shown if the test fails; it is
// killed when the test ends.
func launch(t testing.TB, name string, args ...string) *process {
	t.Helper()
	programs, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.CreateTemp(t.TempDir(), name)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, name: name, cmd: exec.Command(programs[name], args...), out: out, ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("the end of what %s (process %d) said:\n%s", name, p.cmd.Process.Pid, p.log(2<<10))
		}
		out.Close()
	})
	return p
}

// kill ends the process with SIGKILL. One that had ended by itself is a failure.
func (p *process) kill() {
	p.t.Helper()
	select {
	case <-p.ended:
		p.t.Errorf("%s had ended by itself (%v):\n%s", p.name, p.err, p.log(4<<10))
	default:
	}
	p.cmd.Process.Kill()
	<-p.ended
}

// stop ends the process in good order.
func (p *process) stop() {
	p.t.Helper()
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		if p.err != nil {
			p.t.Errorf("%s: %v:\n%s", p.name, p.err, p.log(4<<10))
		}
	case <-time.After(within):
		p.t.Fatalf("%s does not end within %s", p.name, within)
	}
}

// pause and resume are what a stalled machine does to a process.
func (p *process) pause()  { p.cmd.Process.Signal(syscall.SIGSTOP) }
func (p *process) resume() { p.cmd.Process.Signal(syscall.SIGCONT) }

// halted waits until the process has ended by itself and returns what it said.
func (p *process) halted() string {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(within):
		p.t.Fatalf("%s has not ended within %s:\n%s", p.name, within, p.log(4<<10))
	}
	if p.cmd.ProcessState.ExitCode() != 1 {
		p.t.Errorf("%s ended with %v, want exit code 1", p.name, p.err)
	}
	return p.log(1 << 20)
}

// running reports whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// log is the end of what the process printed.
func (p *process) log(n int) string {
	text, err := os.ReadFile(p.out.Name())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-n):])
}
