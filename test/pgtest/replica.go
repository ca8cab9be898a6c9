package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Replica starts a standby that follows primary by streaming replication, made
// of a base backup. It has a physical slot on the primary, so that it may be
// stopped for any time, and the primary's version whatever opts say.
//
// With Setting("sync_replication_slots", "on") one of PostgreSQL 17 copies the
// failover slots of the primary.
func Replica(t testing.TB, primary *Server, opts ...Option) *Server {
	t.Helper()
	s := newServer(opts...)
	s.install = primary.install
	s.endWith(t)
	err := s.prepare(func(s *Server) error { return s.backup(t.Context(), primary) })
	if err == nil {
		err = s.launch()
	}
	if err == nil {
		err = s.caughtUp(primary)
	}
	if err != nil {
		t.Fatalf("pgtest: replica: %v", err)
	}
	return s
}

// backup copies the running primary as
// https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP
// describes it. (PostgreSQL 17 comes without pg_basebackup here.)
func (s *Server) backup(ctx context.Context, primary *Server) error {
	conn, err := pgx.Connect(ctx, primary.DSN("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	slot := fmt.Sprintf("standby_%d", s.Port)
	if _, err := conn.Exec(ctx, "SELECT pg_create_physical_replication_slot($1, true)", slot); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "SELECT pg_backup_start($1, true)", slot); err != nil {
		return err
	}
	if err := copyTree(primary.Dir, s.Dir, notOfBackup); err != nil {
		return err
	}
	var label string
	if err := conn.QueryRow(ctx, "SELECT labelfile FROM pg_backup_stop(false)").Scan(&label); err != nil {
		return err
	}
	s.settings["primary_conninfo"] = fmt.Sprintf("host=127.0.0.1 port=%d user=postgres dbname=postgres", primary.Port)
	s.settings["primary_slot_name"] = slot
	s.settings["hot_standby_feedback"] = "on"
	return errors.Join(s.write("backup_label", label), s.write("standby.signal", ""))
}

// notOfBackup is what belongs to the primary's process, and not to its data. Its
// log comes by streaming.
func notOfBackup(path string) bool {
	if slices.Contains([]string{"postmaster.pid", "postmaster.opts", "standby.signal", "backup_label"}, path) {
		return true
	}
	dir, _, below := strings.Cut(path, string(filepath.Separator))
	return below && slices.Contains([]string{"pg_wal", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial",
		"pg_snapshots", "pg_stat_tmp", "pg_subtrans"}, dir)
}

// write makes a file in the data directory.
func (s *Server) write(name, text string) error {
	path := filepath.Join(s.Dir, name)
	return errors.Join(os.WriteFile(path, []byte(text), 0o600), give(path))
}

// caughtUp waits until the standby has what the primary has now.
func (s *Server) caughtUp(primary *Server) error {
	lsn, err := queryText(primary, "SELECT pg_current_wal_lsn()::text")
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(ready); ; time.Sleep(10 * time.Millisecond) {
		done, err := queryText(s, "SELECT (pg_last_wal_replay_lsn() >= '"+lsn+"')::text")
		if err == nil && done == "true" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the standby did not reach %s within %s: %w\n%s", lsn, ready, err, s.output.String())
		}
	}
}

func queryText(s *Server, query string) (text string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), ready)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	return text, conn.QueryRow(ctx, query).Scan(&text)
}

// Follow waits until the standby has replayed what primary has written so far.
func (s *Server) Follow(t testing.TB, primary *Server) {
	t.Helper()
	if err := s.caughtUp(primary); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
}

// Promote makes a standby a primary, with a new timeline.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	promoted, err := queryText(s, fmt.Sprintf("SELECT pg_promote(true, %d)::text", int(ready.Seconds())))
	if err != nil || promoted != "true" {
		t.Fatalf("pgtest: promote: %s, %v\n%s", promoted, err, s.output.String())
	}
}
