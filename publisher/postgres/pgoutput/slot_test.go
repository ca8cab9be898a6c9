package pgoutput_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher/postgres/pgoutput"
	"github.com/petpro/fabric/test/pgtest"
)

// The snapshot holds what committed before the slot's start, its stream the
// rest, and no time limit of the database ends it while it is needed.
func TestSnapshot(t *testing.T) {
	versions(t, func(t *testing.T, db *pgtest.Database) {
		db.Exec(t, `CREATE TABLE b (id int PRIMARY KEY); INSERT INTO b VALUES (1)`)
		db.Exec(t, `CREATE PUBLICATION p FOR TABLE b`)
		reader := db.Conn(t)
		writer := db.Conn(t)
		for _, limit := range []string{"idle_in_transaction_session_timeout", "idle_session_timeout", "statement_timeout", "transaction_timeout"} {
			if limit != "transaction_timeout" || version(t, db) >= 17 {
				db.Exec(t, `ALTER DATABASE `+db.Name+` SET `+limit+` = '50ms'`)
			}
		}
		conn := connect(t, db, pgoutput.Options{})
		slot, err := conn.CreateSlot(t.Context(), "of_"+db.Name, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Exec(t.Context(), `INSERT INTO b VALUES (2)`); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond) // longer than all limits

		tx, err := reader.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), `SET TRANSACTION SNAPSHOT '`+slot.Snapshot+`'`); err != nil {
			t.Fatal(err)
		}
		var ids []int
		if err := tx.QueryRow(t.Context(), `SELECT array_agg(id) FROM b`).Scan(&ids); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(ids, []int{1}) {
			t.Errorf("the snapshot has %v, want [1]", ids)
		}
		conn.Close()

		s, err := connect(t, db, pgoutput.Options{}).Start(t.Context(), slot.Name, "p", slot.Start)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		compare(t, tape{s, t}.transaction(), []string{"relation public.b d id*", "insert b (2)"})
	})
}

func version(t *testing.T, db *pgtest.Database) int {
	conn := connect(t, db, pgoutput.Options{})
	defer conn.Close()
	return conn.Version()
}

// CreateSlot waits for writers, the context ends that, and nothing is left of
// the slot.
func TestCreateSlotWaits(t *testing.T) {
	versions(t, func(t *testing.T, db *pgtest.Database) {
		db.Exec(t, `CREATE TABLE b (id int)`)
		tx, err := db.Conn(t).Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), `INSERT INTO b VALUES (1)`); err != nil {
			t.Fatal(err)
		}
		conn := connect(t, db, pgoutput.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if _, err := conn.CreateSlot(ctx, "of_"+db.Name, false); err != context.DeadlineExceeded {
			t.Errorf("CreateSlot beside an open transaction = %v, want %v", err, context.DeadlineExceeded)
		}
		conn.Close()
		eventually(t, db, `SELECT count(*) = 0 FROM pg_replication_slots WHERE slot_name = $1`, "of_"+db.Name)
	})
}

func TestFailover(t *testing.T) {
	versions(t, func(t *testing.T, db *pgtest.Database) {
		conn := connect(t, db, pgoutput.Options{})
		slot, err := conn.CreateSlot(t.Context(), "of_"+db.Name, true)
		if conn.Version() < 17 {
			if err == nil || !strings.Contains(err.Error(), "PostgreSQL 17") {
				t.Errorf("CreateSlot with failover = %v, want an error that names PostgreSQL 17", err)
			}
			return
		}
		if err != nil || slot.Snapshot == "" {
			t.Fatalf("CreateSlot with failover = %+v, %v", slot, err)
		}
		eventually(t, db, `SELECT failover FROM pg_replication_slots WHERE slot_name = $1`, slot.Name)
	})
}

func TestCreateSlotRefused(t *testing.T) {
	pg := pgtest.Run(t, pgtest.Setting("wal_level", "replica"))
	db := pg.Database(t)
	_, err := connect(t, db, pgoutput.Options{}).CreateSlot(t.Context(), "s", false)
	wantError(t, err, pgoutput.CreatingSlot, "55000")
}
