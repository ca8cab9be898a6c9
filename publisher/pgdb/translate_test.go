package pgdb_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
	"github.com/petpro/fabric/test/pgtest"
)

// replicate opens a replication connection that ends with the test.
func replicate(t *testing.T, dsn string) *pgconn.PgConn {
	t.Helper()
	conn, err := replication(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// run says what comes of a command, translated.
func run(t *testing.T, conn *pgconn.PgConn, sql string) error {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql).ReadAll()
	return pgdb.Translate(err)
}

const startSlot = `START_REPLICATION SLOT "fabric_shop" LOGICAL 0/0 (proto_version '1', publication_names '"fabric_shop"')`

// Everything that keeps replication from working says what mends it.
func TestReplicationErrors(t *testing.T) {
	for version, opts := range versions {
		t.Run(version, func(t *testing.T) {
			pg := pgtest.Run(t, append(opts, pgtest.Setting("max_replication_slots", "1"), pgtest.Setting("max_slot_wal_keep_size", "1MB"))...)
			db, other := pg.Database(t), pg.Database(t)
			db.Exec(t, `CREATE TABLE bookings (id int PRIMARY KEY)`)
			repl := replicate(t, db.DSN)
			expect(t, run(t, repl, startSlot), "lost", "fabric_shop")
			expect(t, run(t, repl, `CREATE_REPLICATION_SLOT "fabric_shop" LOGICAL pgoutput`), "")
			expect(t, run(t, repl, `CREATE_REPLICATION_SLOT "another" LOGICAL pgoutput`), "problem", "max_replication_slots")
			expect(t, run(t, replicate(t, other.DSN), startSlot), "problem", "another database", "postgres.slot")

			plain := connect(t, db.Role(t, "").DSN, pgdb.Options{}).PgConn()
			expect(t, run(t, plain, `SELECT pg_create_logical_replication_slot('x', 'pgoutput')`), "problem", "REPLICATION")

			db.Exec(t, `INSERT INTO bookings VALUES (1)`)
			expect(t, run(t, repl, startSlot), "problem", `publication "fabric_shop"`, "setup --print-sql")

			streaming := replicate(t, db.DSN)
			db.Exec(t, `CREATE PUBLICATION fabric_shop FOR TABLE bookings`)
			expect(t, run(t, streaming, `DROP_REPLICATION_SLOT "fabric_shop"`), "")
			expect(t, run(t, streaming, `CREATE_REPLICATION_SLOT "fabric_shop" LOGICAL pgoutput`), "")
			streaming.Frontend().SendQuery(&pgproto3.Query{String: startSlot})
			if err := streaming.Frontend().Flush(); err != nil {
				t.Fatal(err)
			}
			if _, err := streaming.ReceiveMessage(t.Context()); err != nil { // CopyBothResponse: it streams
				t.Fatal(err)
			}
			expect(t, run(t, replicate(t, db.DSN), startSlot), "away", "another publisher")
			streaming.Close(t.Context())

			for range 3 {
				db.Exec(t, `SELECT pg_switch_wal(); INSERT INTO bookings SELECT i FROM generate_series((SELECT max(id) + 1 FROM bookings), (SELECT max(id) + 9 FROM bookings)) i`)
			}
			db.Exec(t, `CHECKPOINT`)
			expect(t, run(t, replicate(t, db.DSN), startSlot), "lost", "fabric_shop")
		})
	}
}

func TestWALLevel(t *testing.T) {
	for version, opts := range versions {
		t.Run(version, func(t *testing.T) {
			pg := pgtest.Run(t, append(opts, pgtest.Setting("wal_level", "replica"))...)
			err := run(t, replicate(t, pg.DSN("postgres")), `CREATE_REPLICATION_SLOT "fabric_shop" LOGICAL pgoutput`)
			expect(t, err, "problem", "ALTER SYSTEM SET wal_level = 'logical'", "restart", "outbox")
			if pgdb.State(err) != "55000" {
				t.Errorf("State = %q, want 55000", pgdb.State(err))
			}
		})
	}
}

// A standby is waited for: it may be promoted.
func TestStandby(t *testing.T) {
	primary := pgtest.Run(t)
	standby := pgtest.Replica(t, primary)
	err := run(t, replicate(t, standby.DSN("postgres")), `CREATE_REPLICATION_SLOT "fabric_shop" LOGICAL pgoutput`)
	expect(t, err, "away", "target_session_attrs=read-write")
	conn := connect(t, standby.DSN("postgres"), pgdb.Options{})
	expect(t, run(t, conn.PgConn(), `CREATE TABLE a ()`), "away", "target_session_attrs=read-write")
}

func TestSessionErrors(t *testing.T) {
	pg := pgtest.Run(t)
	db := pg.Database(t)
	db.Exec(t, `CREATE TABLE bookings (id int); CREATE SCHEMA sales; CREATE TABLE sales.rooms (id int);
		CREATE TABLE hidden (id int); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY`)
	role := db.Role(t, "", "SELECT ON hidden")
	conn := connect(t, role.DSN, pgdb.Options{}).PgConn()
	expect(t, run(t, conn, `SELECT * FROM bookings`), "problem", "bookings", "setup --print-sql")
	expect(t, run(t, conn, `SELECT * FROM sales.rooms`), "problem", "sales")
	expect(t, run(t, conn, `SELECT * FROM hidden`), "problem", `"hidden"`, "BYPASSRLS")
	expect(t, run(t, conn, `SELECT * FROM nowhere`), "unknown")
	expect(t, run(t, conn, `SET statement_timeout = 1; SELECT pg_sleep(1)`), "away", "time limit")
	expect(t, run(t, conn, `SET statement_timeout = 0`), "")

	holder := connect(t, db.DSN, pgdb.Options{})
	tx, err := holder.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `LOCK TABLE hidden`); err != nil {
		t.Fatal(err)
	}
	waiter := connect(t, db.DSN, pgdb.Options{}).PgConn()
	expect(t, run(t, waiter, `SET lock_timeout = 1; SELECT * FROM hidden`), "away", "pg_locks")
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}

	idle := connect(t, db.DSN, pgdb.Options{}).PgConn()
	expect(t, run(t, idle, `SET idle_session_timeout = 1`), "")
	expect(t, awaitEnd(t, idle), "away", "idle_session_timeout")

	killed := connect(t, db.DSN, pgdb.Options{}).PgConn()
	db.Exec(t, `SELECT pg_terminate_backend($1)`, killed.PID())
	expect(t, awaitEnd(t, killed), "away", "administrator")
	expect(t, run(t, killed, `SELECT 1`), "away")

	crashed := connect(t, db.DSN, pgdb.Options{}).PgConn()
	pg.Kill(t)
	expect(t, run(t, crashed, `SELECT 1`), "away")
}

// awaitEnd reads what the server says when it ends an idle connection.
func awaitEnd(t *testing.T, conn *pgconn.PgConn) error {
	t.Helper()
	for {
		if _, err := conn.ReceiveMessage(t.Context()); err != nil {
			return pgdb.Translate(err)
		}
	}
}

// A server that says it in another language, or that cannot be made to say it
// here.
func TestTranslate(t *testing.T) {
	server := func(code, routine, message, detail string) error {
		return fmt.Errorf("read the rows: %w", &pgconn.PgError{Severity: "ERROR", Code: code, Routine: routine, Message: message, Detail: detail})
	}
	for _, c := range []struct {
		name string
		err  error
		want string
		says string
	}{
		{"starting up", server("57P03", "ProcessStartupPacket", "the database system is starting up", ""), "away", "starting up"},
		{"crash of another session", server("57P02", "quickdie", "terminating connection", ""), "away", ""},
		{"disk full", server("53100", "mdextend", "could not extend file", ""), "away", ""},
		{"deadlock", server("40P01", "DeadLockReport", "deadlock detected", ""), "away", ""},
		{"walsenders", server("53300", "InitProcess", "die Anzahl", ""), "away", "max_wal_senders"},
		{"segment removed", server("58P01", "XLogRead", "requested WAL segment 000000010000000000000001 has already been removed", ""), "lost", ""},
		{"invalidated, 18", server("55000", "ReplicationSlotAcquire", `can no longer access replication slot "s"`, "This replication slot has been invalidated."), "lost", ""},
		{"wal_level in German", server("55000", "CheckLogicalDecodingRequirements", "logische Dekodierung erfordert wal_level >= logical", ""), "problem", "ALTER SYSTEM"},
		{"database dropped", server("57P04", "ProcessInterrupts", "terminating connection", ""), "problem", "no database"},
		{"cut off", fmt.Errorf("receive: %w", io.ErrUnexpectedEOF), "away", "receive"},
		{"division", server("22012", "int4div", "division by zero", ""), "unknown", "division by zero"},
		{"no error", nil, "", ""},
		{"ended context", fmt.Errorf("read: %w", context.DeadlineExceeded), "unknown", ""},
		{"lost before", fmt.Errorf("slot: %w", publisher.ErrLost), "lost", ""},
	} {
		err := pgdb.Translate(c.err)
		expect(t, err, c.want, c.says)
		if again := pgdb.Translate(err); again != err {
			t.Errorf("%s: translated twice: %v", c.name, again)
		}
		if c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("%s: %v does not wrap %v", c.name, err, c.err)
		}
		if err != nil && strings.Count(err.Error(), c.err.Error()) != 1 {
			t.Errorf("%s: %q does not say %q once", c.name, err, c.err)
		}
	}
}
