// Package pgdb is what everything that talks to a shop's PostgreSQL shares:
// connections whose text forms do not depend on the server's settings, what the
// server and its tables are, and errors that say what mends them.
//
//	conn, err := pgdb.Connect(ctx, dsn, pgdb.Options{Application: "fabric shop"})
//	server, err := pgdb.Identify(ctx, conn)
//	catalog, err := pgdb.ReadCatalog(ctx, conn, mapping)
//	for _, problem := range catalog.Problems(mapping) { … }
//
// # Connections
//
// Connect gives an ordinary session; with Options.Pooled one that works through
// pgbouncer in transaction mode, where nothing that is set for the session
// survives: there every transaction begins with Begin, which sets the text forms
// for it. Config is for whoever opens a connection for replication. No error ever
// shows a password.
//
// Times, intervals, floats, bytes and money come in one text form each (see
// Forms), whatever the database or role is set to; so the log, a snapshot and a
// trigger say the same of the same value. Booleans are the exception:
// PostgreSQL's own form is t and f, our sources give true and false (Text).
//
// A host that vanishes without a word is noticed within ten seconds, by us and
// by the server.
//
// # Errors
//
// Translate tells what is temporary (publisher.ErrAway), and turns what the
// operator must mend into a publisher.Problem with the SQL or setting that does.
// What it does not know it leaves as it is.
//
// The package starts no goroutine.
package pgdb
