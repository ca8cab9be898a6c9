package pgtest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/test/pgtest"
)

// In transaction mode two clients meet one server process, in session mode they
// do not.
func TestPooler(t *testing.T) {
	pg := pgtest.Run(t)
	db := pg.Database(t)
	for dsn, shared := range map[string]bool{
		db.Pooled(t): true,
		pg.Pooler(t, "pool_mode = session").DSN(db.Name): false,
	} {
		var pids [2]int
		for i := range pids {
			conn, err := pgx.Connect(t.Context(), dsn+"&default_query_exec_mode=exec")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			if err := conn.QueryRow(t.Context(), `SELECT pg_backend_pid()`).Scan(&pids[i]); err != nil {
				t.Fatal(err)
			}
		}
		if got := pids[0] == pids[1]; got != shared {
			t.Errorf("processes %v: shared %v, want %v", pids, got, shared)
		}
	}
}

// Roles of the server may use the pooler, and it can be restarted.
func TestPoolerRoles(t *testing.T) {
	db := pgtest.New(t)
	role := db.Role(t, "")
	pooler := db.Server.Pooler(t)
	dsn := pooler.DSN(db.Name) + "&user=" + role.Name
	for range 2 {
		if got := value(t, dsn+"&default_query_exec_mode=exec", `SELECT current_user`); got != role.Name {
			t.Errorf("role %s, want %s", got, role.Name)
		}
		pooler.Stop(t)
		if _, err := pgx.Connect(t.Context(), dsn); err == nil {
			t.Error("connected to a stopped pooler")
		}
		pooler.Start(t)
	}
}
