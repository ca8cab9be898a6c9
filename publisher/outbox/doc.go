// Package outbox publishes the changes of a PostgreSQL database (13 or newer,
// any wal_level, directly or through a pooler of any mode) that triggers write
// into a table, the outbox.
//
// # The path of a change
//
// Setup lists the SQL that an operator runs once: a schema with our tables, and
// a trigger on each table of the mapping. The trigger runs inside the shop's own
// transaction, so a change and its row in the outbox are committed together or
// not at all:
//
//	shop: UPDATE bookings … ─► trigger ─► fabric.outbox (one transaction)
//	                                          │ NOTIFY if the publisher sleeps, or a poll
//	publisher: Run ─► one statement moves ≤ 1000 rows, or 512 KiB, as a batch
//	                  ─► fabric.batches ─► emit, one by one
//	                                          │ acknowledged, safe
//	publisher: Confirm ─► DELETE of the batches before the place
//
// # Order
//
// A row of the outbox draws its id while the shop's transaction holds the lock
// of the changed row, so for one row the order of the ids is that of its
// changes. Nothing else may be concluded from an id: transactions commit in
// another order, and a cursor "id > last" would lose what is committed late. So
// there is no cursor. The reader moves whatever is visible, lowest ids first,
// into the batch log in one statement; what is committed late is found by a
// later one. From then on the batch log is the order: batch n, entry i. A
// transaction that stays open, here or in another database, holds nothing up.
//
// A batch has a random tag and knows the tag of the one before. Run compares
// them, so that a database restored from a backup, or an outbox made anew, is
// publisher.ErrLost and not silently another history. Two readers at once, one
// of which does not know that its lease has ended, cannot both make batch n: its
// primary key refuses the second, which then reads the first one's.
//
// # The tables
//
//	outbox    id, layout, op (i u d x), at, size, named, old, new
//	batches   n, tag, prior_tag, prior_rows, …, ahead, seen, and the rows as arrays
//	layouts   what the records old and new of a trigger consist of
//	lease     which publisher reads
//	meta      the version of these tables
//
// old and new hold the listed columns, and no other, as ROW(…)::text: the form
// that PostgreSQL's own output functions give, which is also that of a snapshot
// and of logical replication. The trigger function sets the settings that the
// types of its columns depend on (DateStyle, TimeZone, …), so the shop's do not
// matter; booleans become true and false when they are read.
//
// # What becomes of
//
//   - an UPDATE that changes no listed column: nothing. This is decided in the
//     function and not in a WHEN clause of the trigger, because PostgreSQL
//     refuses to drop or to change the type of a column that one names: the
//     shop's migrations would fail.
//   - an UPDATE that changes the key: one Update with both rows.
//   - a followed table: see below.
//   - TRUNCATE: a Delete for each row. TRUNCATE, DROP and DETACH of a single
//     partition fire no trigger of the table and are not seen.
//   - a trigger of the shop's own that updates the same row: ours have names
//     that sort first, so the change at hand is logged before it.
//   - COPY, MERGE, ON CONFLICT, cascades of foreign keys: like any change.
//   - session_replication_role = replica: triggers do not fire, and nothing is
//     seen, unless they are enabled always (Check says how, where a subscription
//     writes to a mapped table).
//
// # Followed tables
//
// The lookups of a mapping are not made by the trigger. Of two transactions at
// the same time, one that gives a service another provider and one that books
// it, neither sees the other's change; whichever of the two looked up, the
// booking would keep the former provider for ever, unless every booking locked
// its service. So the changes of a followed table go through the same log, and
// the mapper looks up in the order of the log. At the start Run emits the
// followed tables as they were at its place: as they are, with the logged
// changes undone. Behind a followed row's change the reader writes the touches
// of the mapped rows that point to it, in the transaction that moves it, and so
// costs the shop nothing. Those rows are read as they are, which may be ahead of
// the log: so touches, and the changes that were in the outbox by then, are
// compared with what was published (Change.Recall).
//
// # When the shop alters its tables
//
// It can, and it goes on writing. A column that was renamed or dropped makes
// the trigger take its slow path: it asks the catalog what the columns that it
// knows by number are called now, logs what is there, whole, and with these
// names. Run ends with an error that names the column and the real ones. When
// the mapping has been corrected and setup has run again, it goes on from where
// it was; nothing is lost. Where triggers were removed or disabled, and made
// again by setup, the log has an entry x, at which Run returns
// publisher.ErrLost, because nobody knows what was written meanwhile.
//
// # Cost
//
// Measured on PostgreSQL 15: a changed row costs the shop 15 to 20 µs of CPU
// more, one without a change of a listed column 5 to 8 µs. NOTIFY makes
// all commits of a cluster queue, so the trigger notifies only a reader that
// sleeps (see waiter): under load nobody does. A report that runs for hours
// keeps VACUUM from the outbox; the reader does not pass over what it has moved
// again and again (see horizon). Where max_prepared_transactions is not 0 there
// is no NOTIFY, which a transaction in two phases may not do, and the reader
// polls.
//
// # Guarantees
//
// Every committed change of a listed column once, in the order of the changes
// of its row, from any place that was not confirmed; memory for one batch.
//
// # Goroutines
//
// Run, Snapshot, Check and Confirm work in their callers' goroutines. A lease
// keeps one, from Acquire to Release, that renews it.
package outbox
