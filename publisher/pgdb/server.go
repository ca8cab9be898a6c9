package pgdb

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher"
)

// DB runs queries: a *pgx.Conn or pgx.Tx.
type DB interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

var (
	_ DB = (*pgx.Conn)(nil)
	_ DB = pgx.Tx(nil)
)

// minVersion is the oldest PostgreSQL that the sources work with.
const minVersion = 130000

// Server is what a connection leads to.
type Server struct {
	// Version as server_version_num: 150018 is 15.18.
	Version int
	// SystemID identifies the cluster and all physical copies of it, Timeline the
	// history that it writes now (0 in recovery). Both are 0 if the role may not
	// ask; IDENTIFY_SYSTEM on a replication connection always knows them.
	SystemID uint64
	Timeline uint32
	// InRecovery is true of a standby.
	InRecovery bool
	// LSN up to which the log is written or, in recovery, replayed.
	LSN LSN

	// Database and its encoding, "UTF8".
	Database, Encoding string
	Role               Role

	// WALLevel is "replica", "logical" or "minimal".
	WALLevel string
	// Slots and WALSenders are in use, of the whole cluster.
	MaxSlots, Slots           int
	MaxWALSenders, WALSenders int
	// MaxSlotWALKeep is how many bytes of log a slot may keep before it is
	// invalidated; -1 is any number: until the disk is full.
	MaxSlotWALKeep int64
	// WALSenderTimeout unless a connection sets its own.
	WALSenderTimeout time.Duration
	// SyncSlots is true if a standby copies failover slots (PostgreSQL 17,
	// sync_replication_slots).
	SyncSlots bool

	// Pooler is true if a pooler answers instead of the server. Its mode: Pooling.
	Pooler bool
}

// Role is the role of the connection.
type Role struct {
	Name                              string
	Superuser, Replication, BypassRLS bool
}

const identifyQuery = `
SELECT current_setting('server_version_num')::int,
       pg_is_in_recovery(),
       CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_replay_lsn(), '0/0') ELSE pg_current_wal_lsn() END::text,
       current_database()::text,
       current_setting('server_encoding'),
       r.rolname::text, r.rolsuper, r.rolreplication, r.rolbypassrls,
       current_setting('wal_level'),
       current_setting('max_replication_slots')::int, (SELECT count(*) FROM pg_replication_slots)::int,
       current_setting('max_wal_senders')::int, (SELECT count(*) FROM pg_stat_get_wal_senders())::int,
       coalesce((SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size'), -1),
       (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_sender_timeout'),
       coalesce(current_setting('sync_replication_slots', true), 'off') = 'on',
       pg_backend_pid()
FROM pg_roles r WHERE r.rolname = current_user`

// Identify says what conn leads to. Its errors are translated.
func Identify(ctx context.Context, conn *pgx.Conn) (Server, error) {
	var s Server
	var lsn string
	var keepMB, timeoutMS int64
	var pid uint32
	err := conn.QueryRow(ctx, identifyQuery).Scan(&s.Version, &s.InRecovery, &lsn, &s.Database, &s.Encoding,
		&s.Role.Name, &s.Role.Superuser, &s.Role.Replication, &s.Role.BypassRLS,
		&s.WALLevel, &s.MaxSlots, &s.Slots, &s.MaxWALSenders, &s.WALSenders, &keepMB, &timeoutMS, &s.SyncSlots, &pid)
	if err != nil {
		return Server{}, Translate(fmt.Errorf("identify the server: %w", err))
	}
	if s.LSN, err = ParseLSN(lsn); err != nil {
		return Server{}, fmt.Errorf("identify the server: %w", err)
	}
	s.MaxSlotWALKeep = keepMB
	if keepMB > 0 {
		s.MaxSlotWALKeep = keepMB << 20
	}
	s.WALSenderTimeout = time.Duration(timeoutMS) * time.Millisecond
	// Poolers make up the process id that cancels queries.
	s.Pooler = pid != conn.PgConn().PID()
	if err := s.readHistory(ctx, conn); err != nil {
		return Server{}, Translate(fmt.Errorf("identify the server: %w", err))
	}
	return s, nil
}

// The first eight digits of the name of a log file are its timeline.
const historyQuery = `
SELECT system_identifier, CASE WHEN pg_is_in_recovery() THEN '00000000' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END
FROM pg_control_system()`

// readHistory reads what hosted PostgreSQL may keep to itself, or not have.
func (s *Server) readHistory(ctx context.Context, conn *pgx.Conn) error {
	var id int64 // unsigned in the control file
	var timeline string
	err := conn.QueryRow(ctx, historyQuery).Scan(&id, &timeline)
	if slices.Contains([]string{"42501", "0A000", "42883"}, State(err)) { // not allowed, not supported, no such function
		return nil
	}
	if err != nil {
		return err
	}
	s.SystemID = uint64(id)
	if _, err := fmt.Sscanf(timeline, "%08X", &s.Timeline); err != nil {
		return fmt.Errorf("timeline %q: %w", timeline, err)
	}
	return nil
}

// Problems that any source has with the server.
func (s Server) Problems() []publisher.Problem {
	var found []publisher.Problem
	if s.Version < minVersion {
		found = append(found, publisher.Problem{
			What: fmt.Sprintf("the server is PostgreSQL %s, which is older than 13: upgrade it", s.VersionString()),
		})
	}
	if s.Encoding == "SQL_ASCII" {
		found = append(found, publisher.Problem{
			What:   fmt.Sprintf("database %q has the encoding SQL_ASCII, so that nobody knows what its bytes mean: what is not UTF-8 cannot be published", s.Database),
			Advice: true,
		})
	}
	return found
}

// VersionString is the version as people write it: "15.18".
func (s Server) VersionString() string { return fmt.Sprintf("%d.%d", s.Version/10000, s.Version%10000) }
