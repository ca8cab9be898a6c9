package pgtest

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// Role is a role of the test's own, dropped with its database.
type Role struct {
	Name string
	// DSN connects to the database as the role, without a password.
	DSN string
}

var roles atomic.Int64

// Role makes a role that may log in, with further options of CREATE ROLE
// ("REPLICATION"), and grants it what the grants say, without its name:
// "SELECT (id, status) ON bookings", "USAGE ON SCHEMA sales".
func (db *Database) Role(t testing.TB, options string, grants ...string) Role {
	t.Helper()
	name := "role_" + strconv.FormatInt(roles.Add(1), 10)
	db.Exec(t, "CREATE ROLE "+name+" LOGIN "+options)
	db.roles = append(db.roles, name)
	for _, g := range grants {
		db.Exec(t, "GRANT "+g+" TO "+name)
	}
	return Role{Name: name, DSN: strings.Replace(db.DSN, "postgres@", name+"@", 1)}
}
