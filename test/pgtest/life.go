package pgtest

import (
	"syscall"
	"testing"
)

// Start starts a stopped or killed server on the same port and data.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.launch(); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
}

// Stop stops the server as an operator would: connections end, all is flushed.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.mustEnd(t, syscall.SIGINT)
}

// Crash ends the server without letting it write anything (immediate
// shutdown): it recovers at the next start.
func (s *Server) Crash(t testing.TB) {
	t.Helper()
	s.mustEnd(t, syscall.SIGQUIT)
}

// Kill ends all of the server's processes at once, without a word to its
// clients or its disk (kill -9).
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.signalAll(t, syscall.SIGKILL)
	s.mustEnd(t, syscall.SIGKILL)
}

// Pause stops all of the server's processes where they are, as a machine that
// hangs: connections stay open, nothing answers.
func (s *Server) Pause(t testing.TB) {
	t.Helper()
	s.signalAll(t, syscall.SIGSTOP)
	s.setPaused(true)
}

// Resume lets a paused server go on.
func (s *Server) Resume(t testing.TB) {
	t.Helper()
	s.signalAll(t, syscall.SIGCONT)
	s.setPaused(false)
}

func (s *Server) setPaused(paused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = paused
}

// serves says whether the server can be expected to answer.
func (s *Server) serves() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process != nil && !s.paused
}

// Pid of the server's first process, 0 while it is stopped. It may be called
// from any goroutine.
func (s *Server) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return 0
	}
	return s.process.pid()
}

func (s *Server) signalAll(t testing.TB, sig syscall.Signal) {
	t.Helper()
	pid := s.Pid()
	if pid == 0 {
		t.Fatal("pgtest: the server is not running")
	}
	if err := signalTree(pid, sig); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
}

func (s *Server) mustEnd(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := s.end(sig); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
}

// end ends the server and waits for it.
func (s *Server) end(sig syscall.Signal) error {
	s.mu.Lock()
	p := s.process
	s.process, s.paused = nil, false
	s.mu.Unlock()
	if p == nil {
		return nil
	}
	return p.end(sig)
}
