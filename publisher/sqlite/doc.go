// Package sqlite publishes the changes of a SQLite database file, whatever
// program writes it.
//
// # The path of a change
//
// Check creates a table, the change log, and triggers on the tables of the
// mapping. A trigger runs inside the writer's own transaction, so a change and
// its log entry are committed together or not at all:
//
//	shop: UPDATE bookings … ─► trigger ─► fabric_changes (one transaction)
//	                                          │ inotify, data_version
//	publisher: Run ─► page of ≤ 1000 entries ─► emit, one by one
//	                                          │ acknowledged, safe
//	publisher: Confirm ─► DELETE of entries before the place, in batches
//
// SQLite has one writer at a time, therefore the order of the ids is the order
// of the commits, and "id > last" is a complete and exact cursor. AUTOINCREMENT
// keeps ids from being used again after pruning.
//
// # The log
//
//	fabric_changes   id, tbl, op (i u d t x), key, cause, old, new, at
//	fabric_replaced  scratch: rows that the INSERT or UPDATE under way may replace
//	fabric_meta      the triggers installed, and the highest id pruned
//
// old and new hold the listed columns, and no other, as a list of SQL
// literals: "id"='b1',"status"='pending',"deleted_at"=NULL. The Value of a
// column is the text SQLite shows for it, a real in as few digits as identify
// it, a blob as lower-case hexadecimal digits; a text ends at its first NUL, as
// in the sqlite3 shell. The triggers run in whatever SQLite the shop's programs
// were built with, so they use nothing newer than 3.37 and only core functions
// (quote, typeof, strftime): JSON functions could be missing, and fail on blobs.
//
// # What becomes of
//
//   - an UPDATE that changes the key: a Delete and an Insert.
//   - an UPDATE that changes no listed column: nothing.
//   - INSERT OR REPLACE, UPDATE OR REPLACE: SQLite calls no delete trigger for a
//     row that is replaced (unless the writer set recursive_triggers). A BEFORE
//     trigger notes the rows in the way by every unique key of the table; the
//     row with the same key appears as an Update, others as Deletes. With
//     recursive_triggers it is Delete and Insert. Not seen are rows replaced
//     because of a unique index on an expression, of which Check warns, and by
//     UPDATE OR REPLACE … SET rowid.
//   - a trigger of the shop's own which writes to the same table: SQLite runs
//     the newest trigger first, so ours are made anew when they are not.
//
// # When the shop alters its tables
//
// SQLite refuses to drop a column that a trigger uses, and follows a RENAME in
// the triggers, so nothing is lost; Run looks at schema_version with every
// change and ends with an error that names the column and the real ones. A
// table that was dropped or rebuilt takes its triggers with it: they are made
// again, and because nobody knows what was written meanwhile the log gets an
// entry x, at which Run returns publisher.ErrLost. A trigger that no longer
// compiles (PRAGMA legacy_alter_table) is removed, for the shop must be able to
// write. A migration which rebuilds a table by DROP and RENAME is refused by
// SQLite with "error in trigger fabric_…: no such table" while another table's
// trigger names it (the touches of followed tables): set PRAGMA
// legacy_alter_table=ON for the migration, as SQLite's own procedure
// (https://www.sqlite.org/lang_altertable.html#otheralter) wants it.
//
// # Guarantees
//
// Every committed change of a listed column once, in commit order, from any
// place that was not confirmed; memory for one page. synchronous=FULL is set on
// our own connections; a shop that must not lose its last commits at a power
// cut sets it on its own too.
//
// # Goroutines
//
// Run works in its caller's goroutine. fsnotify and database/sql keep one each
// while Run, Snapshot, Check or Confirm runs; all are gone when it returns.
package sqlite
