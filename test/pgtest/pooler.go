package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pooler is a pgbouncer in front of a server. It lets everybody in who has a
// role there.
type Pooler struct {
	// Port where it listens on 127.0.0.1.
	Port int

	home    *home
	config  string
	output  tail
	process *process // nil while stopped
}

// Pooler runs pgbouncer in front of the server, in transaction mode unless the
// settings, lines of pgbouncer.ini, say otherwise ("pool_mode = session"). It
// ends with the test.
func (s *Server) Pooler(t testing.TB, settings ...string) *Pooler {
	t.Helper()
	p := &Pooler{}
	t.Cleanup(func() {
		if err := p.close(); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	if err := p.prepare(s, settings); err != nil {
		t.Fatalf("pgtest: pooler: %v", err)
	}
	p.Start(t)
	return p
}

// Pooled is the DSN of the database through a pgbouncer of its own in
// transaction mode.
func (db *Database) Pooled(t testing.TB) string {
	t.Helper()
	return db.Server.Pooler(t).DSN(db.Name)
}

func (p *Pooler) prepare(s *Server, settings []string) (err error) {
	if p.home, err = newHome(); err != nil {
		return err
	}
	if p.Port, err = freePort(); err != nil {
		return err
	}
	lines := slices.Concat([]string{
		"[databases]",
		fmt.Sprintf("* = host=127.0.0.1 port=%d auth_user=postgres", s.Port),
		"[pgbouncer]",
		"listen_addr = 127.0.0.1",
		fmt.Sprintf("listen_port = %d", p.Port),
		"unix_socket_dir =",
		"auth_type = trust",
		"auth_file = " + filepath.Join(p.home.dir, "users"),
		"auth_query = SELECT usename, passwd FROM pg_shadow WHERE usename = $1",
		"admin_users = postgres",
		"pool_mode = transaction",
		"server_login_retry = 1", // seconds until a server that was away is tried again
	}, settings, []string{""})
	p.config = filepath.Join(p.home.dir, "pgbouncer.ini")
	return errors.Join(
		os.WriteFile(filepath.Join(p.home.dir, "users"), []byte(`"postgres" ""`+"\n"), 0o644),
		os.WriteFile(p.config, []byte(strings.Join(lines, "\n")), 0o644))
}

// Start starts a stopped pooler on the same port.
func (p *Pooler) Start(t testing.TB) {
	t.Helper()
	program, err := pgbouncer()
	if err == nil {
		p.process, err = begin(&p.output, syscall.SIGKILL, program, p.config)
	}
	if err != nil {
		t.Fatalf("pgtest: pooler: %v", err)
	}
	for deadline := time.Now().Add(ready); p.ping() != nil; time.Sleep(10 * time.Millisecond) {
		select {
		case <-p.process.ended:
			t.Fatalf("pgtest: pgbouncer ended:\n%s", p.output.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("pgtest: pgbouncer does not answer within %s:\n%s", ready, p.output.String())
		}
	}
}

// ping asks for its own console, which needs no server.
func (p *Pooler) ping() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.DSN("pgbouncer"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// Stop ends the pooler at once: its clients are cut.
func (p *Pooler) Stop(t testing.TB) {
	t.Helper()
	if err := p.end(); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
}

// DSN of a database through the pooler, as superuser. The database pgbouncer is
// its console.
func (p *Pooler) DSN(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", p.Port, database)
}

func (p *Pooler) end() error {
	if p.process == nil {
		return nil
	}
	process := p.process
	p.process = nil
	return process.end(syscall.SIGTERM)
}

func (p *Pooler) close() error { return errors.Join(p.end(), p.home.remove()) }

// pgbouncer finds the program, which Debian puts where not everybody's PATH is.
func pgbouncer() (string, error) {
	if path, err := exec.LookPath("pgbouncer"); err == nil {
		return path, nil
	}
	const debian = "/usr/sbin/pgbouncer"
	if _, err := os.Stat(debian); err != nil {
		return "", errors.New("no pgbouncer: run `make tools`, or install Debian's pgbouncer")
	}
	return debian, nil
}
