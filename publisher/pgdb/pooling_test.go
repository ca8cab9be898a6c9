package pgdb_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
	"github.com/petpro/fabric/test/pgtest"
)

func TestPooling(t *testing.T) {
	db := pgtest.New(t)
	turns := db.Server.Pooler(t, "server_round_robin = 1", "default_pool_size = 2").DSN(db.Name)
	var open []pgx.Tx
	for range 2 { // transactions at the same time need a server connection each
		tx, err := pgdb.Begin(t.Context(), connect(t, turns, pgdb.Options{Pooled: true}), pgx.TxOptions{})
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, tx)
	}
	for _, tx := range open {
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		dsn  string
		want pgdb.PoolMode
	}{
		{"direct", db.DSN, pgdb.Direct},
		{"session", db.Server.Pooler(t, "pool_mode = session").DSN(db.Name), pgdb.PoolSession},
		{"a session only", db.Server.Pooler(t, "pool_mode = session", "default_pool_size = 1").DSN(db.Name), pgdb.PoolSession},
		{"transaction", db.Server.Pooler(t).DSN(db.Name), pgdb.PoolTransaction},
		{"transaction, servers by turns", turns, pgdb.PoolTransaction},
		{"statement", db.Server.Pooler(t, "pool_mode = statement").DSN(db.Name), pgdb.PoolTransaction},
	} {
		got, err := pgdb.Pooling(t.Context(), c.dsn)
		if err != nil || got != c.want {
			t.Errorf("%s: Pooling = %s, %v, want %s", c.name, got, err, c.want)
		}
	}
	_, err := pgdb.Pooling(t.Context(), "postgres://fabric@127.0.0.1:1/shop")
	expect(t, err, "away")
}

// Through a pooler in transaction mode everything works that needs no session:
// text forms in every transaction, identification, the catalog.
func TestPooled(t *testing.T) {
	db := pgtest.New(t)
	spoil(t, db)
	db.Exec(t, `CREATE TABLE bookings (id text PRIMARY KEY)`)
	dsn := db.Pooled(t)
	var conns []*pgx.Conn
	for range 3 { // they share one server connection
		conns = append(conns, connect(t, dsn, pgdb.Options{Application: "fabric shop", Pooled: true}))
	}
	for range 3 {
		for _, conn := range conns {
			tx, err := pgdb.Begin(t.Context(), conn, pgx.TxOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got := value(t, tx, forms); got != wantForms {
				t.Errorf("forms\n%s, want\n%s", got, wantForms)
			}
			if got := value(t, tx, `SELECT concat_ws(' ', current_setting('statement_timeout'), current_setting('transaction_isolation'),
				current_setting('row_security'), current_setting('application_name'), $1::text)`, "x"); got != "0 read committed off fabric shop x" {
				t.Errorf("settings %s", got)
			}
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	server, err := pgdb.Identify(t.Context(), conns[0])
	if err != nil || !server.Pooler {
		t.Errorf("Identify = %+v, %v, want a pooler", server, err)
	}
	catalog, err := pgdb.ReadCatalog(t.Context(), conns[0], publisher.Mapping{Tables: map[string]publisher.Table{"bookings": {Key: "id"}}})
	if err != nil || catalog.Tables["bookings"] == nil {
		t.Errorf("ReadCatalog = %+v, %v", catalog, err)
	}
}

// Begin works on direct connections, and leaves what was asked for.
func TestBegin(t *testing.T) {
	conn := connect(t, pgtest.New(t).DSN, pgdb.Options{})
	for want, opts := range map[string]pgx.TxOptions{
		"read committed off":  {},
		"repeatable read on":  {IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly},
		"serializable off":    {IsoLevel: pgx.Serializable, DeferrableMode: pgx.Deferrable},
		"read uncommitted on": {BeginQuery: "BEGIN ISOLATION LEVEL READ UNCOMMITTED READ ONLY"},
	} {
		tx, err := pgdb.Begin(t.Context(), conn, opts)
		if err != nil {
			t.Fatal(err)
		}
		if got := value(t, tx, `SELECT current_setting('transaction_isolation') || ' ' || current_setting('transaction_read_only')`); got != want {
			t.Errorf("%+v: %s, want %s", opts, got, want)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// What needs a session says so behind a pooler; what the pooler does not know is
// named.
func TestPoolerErrors(t *testing.T) {
	db := pgtest.New(t)
	pooler := db.Server.Pooler(t)
	_, err := pgdb.Connect(t.Context(), pooler.DSN(db.Name), pgdb.Options{})
	expect(t, err, "problem", "pooler", "the address of PostgreSQL itself")
	_, err = replication(t.Context(), pooler.DSN(db.Name))
	expect(t, err, "problem", "pooler")
	_, err = pgdb.Connect(t.Context(), pooler.DSN("nowhere"), pgdb.Options{Pooled: true})
	expect(t, err, "problem", `no database "nowhere"`)
	_, err = pgdb.Connect(t.Context(), pooler.DSN(db.Name)+"&user=nobody", pgdb.Options{Pooled: true})
	expect(t, err, "problem", `role "nobody"`, "auth_file")

	strict := db.Server.Pooler(t, "auth_type = scram-sha-256")
	_, err = pgdb.Connect(t.Context(), strict.DSN(db.Name)+"&password=s3cret", pgdb.Options{Pooled: true})
	expect(t, err, "problem", `the password of role "postgres" is refused`)

	full := db.Server.Pooler(t, "max_client_conn = 2")
	for err = nil; err == nil; {
		var conn *pgx.Conn
		if conn, err = pgdb.Connect(t.Context(), full.DSN(db.Name), pgdb.Options{Pooled: true}); err == nil {
			defer conn.Close(context.Background())
		}
	}
	expect(t, err, "away", "no more connections")

	statement := db.Server.Pooler(t, "pool_mode = statement")
	_, err = pgdb.Begin(t.Context(), connect(t, statement.DSN(db.Name), pgdb.Options{Pooled: true}), pgx.TxOptions{})
	expect(t, err, "problem", "pool_mode = transaction")

	pooler.Stop(t)
	_, err = pgdb.Connect(t.Context(), pooler.DSN(db.Name), pgdb.Options{Pooled: true})
	expect(t, err, "away", "connection refused")
}

// A connection that is prepared for a session, in a pool that gives none, finds
// foreign or no statements.
func TestPreparedThroughPooler(t *testing.T) {
	dsn := pgtest.New(t).Pooled(t)
	first := connect(t, dsn, pgdb.Options{Pooled: true})
	second := connect(t, dsn, pgdb.Options{Pooled: true})
	if _, err := first.Prepare(t.Context(), "same", "SELECT 1"); err != nil {
		t.Fatal(err)
	}
	_, err := second.PgConn().Prepare(t.Context(), "same", "SELECT 2", nil)
	expect(t, pgdb.Translate(err), "problem", "pooler")
	_, err = second.PgConn().ExecPrepared(context.WithoutCancel(t.Context()), "other", nil, nil, nil).Close()
	expect(t, pgdb.Translate(err), "problem", "pooler")
}
