package pgtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// ready is how long a server may take to start or to stop: under -race on a
// busy machine, after a crash, seconds.
const ready = 60 * time.Second

// Server is a PostgreSQL server. Its methods are called from the goroutine of
// the test, but for Pid.
type Server struct {
	// Dir is the data directory, Port where it listens on 127.0.0.1.
	Dir  string
	Port int

	home     *home // holds Dir
	install  installation
	settings map[string]string
	hba      []string
	tls      *authority
	saved    int  // copies made by Save
	known    bool // has run: clients may know its port
	output   tail

	mu      sync.Mutex
	process *process // guarded by mu; nil while stopped
	paused  bool     // guarded by mu
}

// Option changes how a server is run.
type Option func(*Server)

// Setting sets a parameter of postgresql.conf.
func Setting(name, value string) Option { return func(s *Server) { s.settings[name] = value } }

// Version17 runs PostgreSQL 17 instead of the distribution's 15.
func Version17(s *Server) { s.install = version17 }

// Access replaces pg_hba.conf, which lets everybody in, by these lines; the
// superuser postgres stays trusted.
func Access(lines ...string) Option { return func(s *Server) { s.hba = lines } }

// Run starts a server of the test's own, with wal_level logical, and ends it
// with the test.
func Run(t testing.TB, opts ...Option) *Server {
	t.Helper()
	s, err := start(opts...)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	s.endWith(t)
	return s
}

func (s *Server) endWith(t testing.TB) {
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
}

func newServer(opts ...Option) *Server {
	s := &Server{install: version15, settings: map[string]string{
		"wal_level":             "logical",
		"max_replication_slots": "60",
		"max_wal_senders":       "60",
		"max_connections":       "200",
		"shared_buffers":        "64MB",
		"wal_sender_timeout":    "10s",
		// A crash of the process loses nothing without it; one of the machine is
		// not tested.
		"fsync":                   "off",
		"listen_addresses":        "127.0.0.1",
		"unix_socket_directories": "", // their paths may be no longer than 107 bytes
		"logging_collector":       "off",
		"log_min_messages":        "warning",
	}}
	for _, opt := range opts {
		opt(s)
	}
	return s
}

func start(opts ...Option) (*Server, error) {
	s := newServer(opts...)
	err := s.prepare((*Server).initialise)
	if err == nil {
		err = s.launch()
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// prepare makes the data directory, which fill fills.
func (s *Server) prepare(fill func(*Server) error) (err error) {
	if s.home, err = newHome(); err != nil {
		return err
	}
	s.Dir = filepath.Join(s.home.dir, "data")
	if s.Port, err = freePort(); err != nil {
		return err
	}
	if err := fill(s); err != nil {
		return err
	}
	if err := s.writeHBA(); err != nil {
		return err
	}
	return s.writeTLS()
}

// initialise copies what initdb made.
func (s *Server) initialise() error {
	template, err := s.install.template()
	if err != nil {
		return err
	}
	return copyTree(template, s.Dir, nil)
}

func (s *Server) writeHBA() error {
	if s.hba == nil {
		return nil
	}
	lines := slices.Concat([]string{"host all postgres 127.0.0.1/32 trust"}, s.hba, []string{""})
	return os.WriteFile(filepath.Join(s.Dir, "pg_hba.conf"), []byte(strings.Join(lines, "\n")), 0o600)
}

// launch starts the process and waits until it answers.
func (s *Server) launch() error {
	postgres, err := s.install.program("postgres")
	if err != nil {
		return err
	}
	deadline := time.Now().Add(ready)
	for {
		p, err := begin(&s.output, syscall.SIGQUIT, postgres, s.args()...)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.process = p
		s.mu.Unlock()
		if s.answers(p, deadline) {
			s.known = true
			return nil
		}
		select {
		case <-p.ended:
		default:
			return fmt.Errorf("PostgreSQL does not answer within %s:\n%s", ready, s.output.String())
		}
		if time.Now().After(deadline) || !s.tryAgain() {
			return fmt.Errorf("PostgreSQL does not start:\n%s", s.output.String())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// tryAgain says whether the server may start at the next attempt: what is left of
// a killed one still has its memory, or somebody its port. A server that nobody
// knows yet takes another port.
func (s *Server) tryAgain() bool {
	said := s.output.String()
	bound := strings.Contains(said, "could not bind")
	if bound && !s.known {
		port, err := freePort()
		if err != nil {
			return false
		}
		s.Port = port
	}
	return bound || strings.Contains(said, "shared memory")
}

func (s *Server) args() []string {
	args := []string{"-D", s.Dir, "-p", strconv.Itoa(s.Port)}
	for _, name := range slices.Sorted(maps.Keys(s.settings)) {
		args = append(args, "-c", name+"="+s.settings[name])
	}
	return args
}

func (s *Server) answers(p *process, deadline time.Time) bool {
	for time.Now().Before(deadline) {
		if s.ping() == nil {
			return true
		}
		select {
		case <-p.ended:
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
	return false
}

func (s *Server) ping() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var dir string
	if err := conn.QueryRow(ctx, "SHOW data_directory").Scan(&dir); err != nil {
		return err
	}
	if dir != s.Dir {
		return fmt.Errorf("port %d is that of the server in %s", s.Port, dir)
	}
	return nil
}

// DSN of a database, as superuser.
func (s *Server) DSN(database string) string { return MultiDSN(database, s) }

// MultiDSN is the DSN of a database that is on whichever of the servers accepts
// writes, as superuser.
func MultiDSN(database string, servers ...*Server) string {
	hosts := make([]string, len(servers))
	for i, s := range servers {
		hosts[i] = "127.0.0.1:" + strconv.Itoa(s.Port)
	}
	dsn := "postgres://postgres@" + strings.Join(hosts, ",") + "/" + database + "?sslmode=disable"
	if len(servers) > 1 {
		dsn += "&target_session_attrs=read-write"
	}
	return dsn
}

// Set changes a parameter for the next start.
func (s *Server) Set(name, value string) { s.settings[name] = value }

// close ends the server and removes all of it.
func (s *Server) close() error {
	return errors.Join(s.end(syscall.SIGQUIT), s.home.remove())
}
