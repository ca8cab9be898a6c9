// Package postgres publishes the changes of a PostgreSQL database (13 or newer)
// from its write-ahead log, by logical replication.
//
// # The path of a change
//
//	shop: UPDATE bookings … COMMIT ─► log ─► walsender: publication, slot, pgoutput
//	                                             │ one transaction after the other, as committed
//	publisher: Run ─► pgoutput.Stream ─► walk (which transaction, which row)
//	                                             │
//	           tail ─► rowBuilder ─► emit        │ what the log lacks: queries
//	                                             │ acknowledged, safe
//	           Confirm ─► Stream ─► status: the slot forgets what lies before
//
// Setup tells what a database needs: wal_level logical, a role with REPLICATION,
// a publication, for some tables a replica identity. Snapshot makes the slot and
// reads the tables as of the moment at which it begins. Nothing here ever
// changes a table of the shop, and nothing but Snapshot makes or drops a slot.
//
// # Places
//
// See place. A transaction is sent again by the next Run if a place in it was
// the last to be confirmed: that it is there proves that the log is the one that
// was published; if it is not, Run returns publisher.ErrLost. So do a slot that
// is gone, invalidated or ahead of the place, another cluster, a timeline that
// forked before the place, a log that ends before it, a publication younger than
// the place, and TRUNCATE of a table of ours. A promoted standby that has a copy
// of the slot (PostgreSQL 17) and all that was published is read on.
//
// Not noticed: files of the cluster put back to an older state, by hand and so
// without a new timeline, if the log has grown beyond the place again before Run
// looks, and the place lies between transactions.
//
// # Old values
//
//	replica identity   old row of an update        of a delete   Change.Recall
//	FULL               complete                    complete      no
//	USING INDEX        the columns of the index    the same      if the mapping asks for more
//	DEFAULT            the primary key             the same      if it asks for anything
//
// With Recall the mapper compares with what was last published. What that does
// not tell has to be in the identity: Check says so. Large values that an update
// left as they were come from the old row, or from the table by its key; if the
// row is gone by then, Change.Unknown is set.
//
// # Followed tables
//
// They are loaded as they were at a place: read as they are, then the log is
// read once from the place to now, and the changes in it are undone. A change of
// a followed row makes Touches of the rows that point to it, read as they are
// then, ahead of the log; so they are compared with what was published, and for
// a while so are changes of the touched table. (Should the publisher end in
// between, with a backlog, a user who was removed from a row by both, a change
// of the followed row and one of the row itself, may keep an index record.)
//
// # When the shop alters its tables
//
// Tables are known by their OID, columns by name. Columns that are added are not
// looked at; a mapped one that is dropped or renamed ends Run with
// publisher.ErrHalt at the first row without it. With the mapping mended, rows
// that were logged under the old name are understood by the number of the column
// (relation.renamed).
//
// # Connections and goroutines
//
//	connection    used by                            lasts as long as
//	replication   Run, Snapshot                      the call
//	queries       Run, its watch; Check, Snapshot    the call; opened when needed
//	lock          hold                               the hold
//
//	goroutine             runs                        ends with
//	Stream.report         per stream: statuses        the stream
//	watch                 per Run: slot and metrics   Run
//	hold.watch            per hold: is it still ours  Release, or the session
//
// Run works in its caller's goroutine; back-pressure of emit reaches the server
// through the connection, and statuses go on meanwhile.
//
// # Caveats
//
// A role with REPLICATION can read everything in the log, whatever was granted
// to it. A slot keeps log while nobody reads it: set max_slot_wal_keep_size. With
// a column list (PostgreSQL 15), the columns in it can be dropped, or given
// another type, only while the table is out of the publication.
package postgres
