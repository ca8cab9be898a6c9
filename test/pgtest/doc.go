// Package pgtest runs a real PostgreSQL inside a test: a data directory of its
// own, a listener on a free port of 127.0.0.1, everything gone when the test
// ends.
//
//	db := pgtest.New(t)                          // a fresh database on a server shared by the package's tests
//	pg := pgtest.Run(t)                          // a server of the test's own, to be stopped, killed, paused, restored
//	pg := pgtest.Run(t, pgtest.Version17)
//	standby := pgtest.Replica(t, pg)             // to be promoted
//	dsn := db.Pooled(t)                          // the database through pgbouncer in transaction mode
//	role := db.Role(t, "", "SELECT ON bookings") // somebody who may do less
//
// PostgreSQL refuses to run as root; then it is run as the user postgres, whom
// Debian's package creates. A test whose PostgreSQL is missing fails and says
// what installs it.
//
// A package that uses pgtest ends with pgtest.Main, which stops the shared
// servers. A test process that is killed takes its servers with it (on Linux);
// the directories it leaves behind are removed by the next one.
//
// Nothing here is for production: everybody may log in, nothing is synced.
package pgtest
