package pgtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Database is a database of the test's own.
type Database struct {
	Server *Server
	Name   string
	// DSN connects as superuser.
	DSN string

	conn  *pgx.Conn
	roles []string // made by Role
}

var shared = map[*once]*sharedServer{version15.made: {}, version17.made: {}}

type sharedServer struct {
	sync.Once
	server *Server
	err    error
}

var databases atomic.Int64

// New makes a database on the server that the tests of a package share. It is
// dropped with its replication slots when the test ends. Of the options only
// Version17 is heeded.
func New(t testing.TB, opts ...Option) *Database {
	t.Helper()
	probe := &Server{install: version15, settings: map[string]string{}}
	for _, opt := range opts {
		opt(probe)
	}
	s := shared[probe.install.made]
	s.Do(func() { s.server, s.err = start(func(srv *Server) { srv.install = probe.install }) })
	if s.err != nil {
		t.Fatalf("pgtest: %v", s.err)
	}
	return s.server.Database(t)
}

// Database makes a database on a server of the test's own.
func (s *Server) Database(t testing.TB) *Database {
	t.Helper()
	name := fmt.Sprintf("test_%d", databases.Add(1))
	db := &Database{Server: s, Name: name, DSN: s.DSN(name)}
	admin(t, s, `CREATE DATABASE `+name)
	t.Cleanup(func() { db.drop(t) })
	return db
}

// drop leaves the database to a server that is stopped: it goes with it.
func (db *Database) drop(t testing.TB) {
	if db.conn != nil {
		db.conn.Close(context.Background())
	}
	if !db.Server.serves() {
		return
	}
	admin(t, db.Server, `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = '`+db.Name+`' AND active`)
	deadline := time.Now().Add(ready)
	for {
		err := try(db.Server, `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '`+db.Name+`'`)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("pgtest: %v", err)
			return
		}
		time.Sleep(10 * time.Millisecond) // until the walsender has let go of it
	}
	admin(t, db.Server, `DROP DATABASE `+db.Name+` WITH (FORCE)`)
	for _, role := range db.roles {
		admin(t, db.Server, `DROP ROLE `+role)
	}
}

func admin(t testing.TB, s *Server, query string) {
	t.Helper()
	if err := try(s, query); err != nil {
		t.Errorf("pgtest: %s: %v", query, err)
	}
}

func try(s *Server, query string) error {
	ctx, cancel := context.WithTimeout(context.Background(), ready)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, query)
	return errors.Join(err, conn.Close(ctx))
}

// Conn opens a connection as superuser, closed with the test.
func (db *Database) Conn(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.DSN)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// Exec runs SQL, several statements if need be, on a connection of its own.
func (db *Database) Exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if db.conn == nil || db.conn.Ping(context.Background()) != nil { // the server may have been restarted
		conn, err := pgx.Connect(context.Background(), db.DSN)
		if err != nil {
			t.Fatalf("pgtest: %v", err)
		}
		db.conn = conn
	}
	if _, err := db.conn.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("pgtest: %s: %v", sql, err)
	}
}
