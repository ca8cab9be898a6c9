package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a child whose memory and CPU are measured.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string // file; empty if it goes to stderr
}

// build makes the binaries in dir.
func build(ctx context.Context, dir string, commands ...string) error {
	for _, c := range commands {
		progress("building cmd/%s", c)
		cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, c), "github.com/petpro/fabric/cmd/"+c)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("build cmd/%s: %w", c, err)
		}
	}
	return nil
}

// spawn starts a program; its log goes to a file in dir.
func spawn(dir, path string, args ...string) (*process, error) {
	log, err := os.Create(filepath.Join(dir, filepath.Base(path)+"-"+strconv.Itoa(int(time.Now().UnixNano()%1e6))+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	return &process{name: filepath.Base(path), cmd: cmd, log: log.Name()}, nil
}

// said is the end of the process's log.
func (p *process) said() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// spawnTalking starts a program and returns the first line it prints.
func spawnTalking(ctx context.Context, dir, path string, args ...string) (*process, string, error) {
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", fmt.Errorf("start %s: %w", path, err)
	}
	p := &process{name: filepath.Base(path), cmd: cmd}
	line := make(chan string, 1)
	go func() {
		s, _ := bufio.NewReader(out).ReadString('\n')
		line <- s
	}()
	select {
	case s := <-line:
		if s == "" {
			p.stop()
			return nil, "", fmt.Errorf("%s ended before it was ready", p.name)
		}
		return p, strings.TrimSpace(s), nil
	case <-ctx.Done():
		p.stop()
		return nil, "", ctx.Err()
	}
}

// stop ends the process and waits for it.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan struct{})
	go func() { p.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		p.cmd.Process.Kill()
		<-done
	}
}

// kill ends the process with SIGKILL and waits for it.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// cpu is the time the process has used, user and system.
func (p *process) cpu() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	// The command's name may hold blanks; fields are counted behind it.
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+2:]))
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	const ticksPerSecond = 100 // USER_HZ, on every Linux that Go runs on
	return time.Duration(user+system) * time.Second / ticksPerSecond
}

// rss is the resident memory in bytes, peak its highest so far.
func (p *process) rss() (now, peak int64) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kib, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "VmRSS:":
			now = kib << 10
		case "VmHWM:":
			peak = kib << 10
		}
	}
	return now, peak
}
