// Package pgoutput receives the changes of a PostgreSQL database from its
// write-ahead log: the client's side of the streaming replication protocol, and
// a decoder of what the server's plugin pgoutput writes, in protocol version 1,
// which all servers from 10 on speak. It knows tables and rows; what they mean is
// the caller's affair. Sections cited are those of PostgreSQL 15's documentation,
// where both are in §55.4, §55.5 and §55.9
// (https://www.postgresql.org/docs/15/protocol-replication.html).
//
//	conn, err := pgoutput.Connect(ctx, config, pgoutput.Options{})
//	slot, err := conn.CreateSlot(ctx, "fabric_shop", false) // once
//	stream, err := conn.Start(ctx, "fabric_shop", "fabric_shop", from)
//	defer stream.Close()
//	for {
//		m, err := stream.Receive()
//		switch m := m.(type) {
//		case *pgoutput.Begin:
//		case *pgoutput.Update:
//			m.Relation.Columns, m.Old, m.New
//		case *pgoutput.Commit:
//			stream.Confirm(m.LSN) // once it is safe
//		case *pgoutput.Keepalive:
//		}
//	}
//
// # The path of a change
//
//	walsender ─► 64 KiB buffer ─► pgproto3: one CopyData ─► Decoder ─► Receive
//	                                                                      │
//	walsender ◄── status every Timeout/10 ◄── report ◄── Confirm ◄── caller
//
// A Tuple points into the buffer: nothing is copied but what the caller makes a
// string of, and nothing is allocated per row. Transactions come whole, after
// their commit, however large they are: the server keeps them, on its disk if
// need be, and memory here holds one message. A message is a row: a value of
// 100 MB in a published table passes through memory, needed or not, unless the
// publication's column list (PostgreSQL 15) leaves its column out.
//
// # Alive or not
//
// Every status asks the server for a keepalive, so whoever calls Receive hears
// something every Timeout/10, on an idle database too. The server gives us up
// when it heard nothing for Timeout; statuses are sent by a goroutine of their
// own, so that a caller may take its time with a message. We give up a host
// which acknowledges nothing for Timeout (TCP_USER_TIMEOUT, on Linux), and a
// process that says nothing for Silence.
//
// While the caller takes its time nothing is read. As with any subscriber, a
// server that is shut down meanwhile waits until all is received, and one that
// invalidates the slot, a minute.
//
// # Text
//
// Values are what the types' output functions print for the settings made by
// Connect: DateStyle ISO, TimeZone UTC, IntervalStyle postgres, shortest floats,
// bytea in hex, money without a locale, all in UTF-8. Booleans are t and f.
//
// # Goroutines
//
//	Receive, Close   the caller's goroutine; reads, decodes, ends the copy
//	report           from Start to Close; writes statuses, ends reads with ctx
//	Confirm          any goroutine; leaves an LSN for report
//
// pgconn keeps a goroutine while a context cancels a command; Conn.Close waits
// for it.
package pgoutput
