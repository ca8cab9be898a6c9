package pgtest_test

import (
	"testing"
	"time"

	"github.com/petpro/fabric/test/pgtest"
)

func TestReplica(t *testing.T) {
	for version, opts := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			primary := pgtest.Run(t, opts...)
			db := primary.Database(t)
			db.Exec(t, `CREATE TABLE a (n int)`)
			standby := pgtest.Replica(t, primary)
			db.Exec(t, `INSERT INTO a VALUES (1)`)
			standby.Follow(t, primary)
			if n := value(t, standby.DSN(db.Name), `SELECT count(*)::text FROM a WHERE pg_is_in_recovery()`); n != "1" {
				t.Errorf("the standby has %s rows, want 1", n)
			}
			both := pgtest.MultiDSN(db.Name, standby, primary)
			if port := value(t, both, `SELECT inet_server_port()::text || pg_is_in_recovery()`); port[len(port)-5:] != "false" {
				t.Errorf("read-write leads to %s", port)
			}
			primary.Kill(t)
			standby.Promote(t)
			if n := value(t, both, `SELECT count(*)::text FROM a WHERE NOT pg_is_in_recovery()`); n != "1" {
				t.Errorf("the new primary has %s rows, want 1", n)
			}
		})
	}
}

// PostgreSQL 17 copies failover slots, so that they survive the primary.
func TestReplicaSlots(t *testing.T) {
	primary := pgtest.Run(t, pgtest.Version17)
	db := primary.Database(t)
	db.Exec(t, `SELECT pg_create_logical_replication_slot('kept', 'pgoutput', false, false, true)`)
	standby := pgtest.Replica(t, primary, pgtest.Setting("sync_replication_slots", "on"))
	const query = `SELECT count(*)::text FROM pg_replication_slots WHERE slot_name = 'kept' AND synced AND NOT temporary`
	deadline := time.Now().Add(30 * time.Second)
	for value(t, standby.DSN("postgres"), query) != "1" {
		if time.Now().After(deadline) {
			t.Fatal("the slot was not copied")
		}
		// A standby copies no slot that needs more than it has itself.
		db.Exec(t, `SELECT pg_log_standby_snapshot(); SELECT pg_replication_slot_advance('kept', pg_current_wal_lsn())`)
		time.Sleep(100 * time.Millisecond)
	}
	primary.Stop(t)
	standby.Promote(t)
	if n := value(t, standby.DSN("postgres"), query); n != "1" {
		t.Errorf("%s slots after the promotion, want 1", n)
	}
}
