// Package publisher carries the changes of databases, and what services publish
// themselves, into the stream that all edges read: every committed change once,
// in the order of its source, whatever is killed when.
//
// # The path of a change
//
//	Source.Run ─► Mapper.Map ─► unroll ─► rows (chan) ─► sink ─► stream FABRIC
//	 one per        one at        a position   bounded     one unit    │ ack
//	 source         a time        per message              in flight   ▼
//	    ▲                                                          state, confirmer
//	    └──────────────── Confirm, confirm_delay later ◄───────────────┘
//
// A source emits entries in commit order; the mapper makes messages of each row:
// access record, opening index records, events, closing index records. Every
// message carries the header Fabric-Position, which says how far all sources
// are published once that message is in the stream. So the stream itself is the
// memory of the publisher, and a message and the note that it was published are
// stored in one step or not at all.
//
// # Crash-only
//
// The publisher is the stream's only writer, and at most one unit is in flight:
// a single message, or one atomic batch of all that waits (pace.go decides),
// which the stream takes only if it still ends where the sink believes
// (Nats-Expected-Last-Sequence). On any doubt (a refusal, no answer in time, a
// lost connection, an error of a source) the session ends, and the next one
// reads the position back from the stream's leader and runs the sources again
// from there. A retry of something that was stored after all, a second
// publisher and a foreign writer are refused in the same way and cost one more
// turn. Nothing is ever sent behind an unacknowledged unit: a foreign message
// would shift the sequences so that one unit is refused and the next accepted.
//
// A row of which only some messages are stored is emitted again; its events are
// counted and those done left out, its records are repeated. Where a log does
// not have a row as it was, the mapper asks what was last published (past.go):
// the answer leaves out the row's own messages, so that it counts the same.
//
// # One active, others stand by
//
// Sources that only one publisher may read are Exclusive. A publisher acquires
// them once the streams are there and its Checks have passed, before it reads
// the position back, and keeps them from session to session. The others wait in
// Acquire, look at the stream every few seconds, and are healthy as long as
// somebody publishes. Run ends by waiting for the unit in flight and then
// releasing the sources: a standby takes over at once, with nothing under way.
// A publisher gives its sources back by itself when it may have lost one, when
// it finds that another has published (it was cut off and does not know), and
// when it has not reached the stream for three intervals of fabric.position.
// None of this is needed for correctness: the stream refuses whoever does not
// know its end.
//
// # Initial publication, epochs
//
// A source that was never published is published from its present state
// (Source.Snapshot) under the place "init", closed by a fabric.position with the
// snapshot's place. Who reads "init" begins again under a new epoch, once nobody
// else has continued it for some seconds. A new
// epoch breaks all cursors of clients, so it is begun only when history cannot
// go on:
//
//	what is found                                  what is done
//	the stream is behind what it acknowledged      new epoch, replay from the position read back
//	an initial publication was interrupted         new epoch, again from the present state
//	a source lost what follows its position        halt, or (on_lost: epoch) new epoch and present state
//	keep or retention were changed                 new epoch (subjects/stream)
//
// The first is noticed by comparing the stream with the highest acknowledged
// position, sequence and time, kept in publisher.state.
//
// A source that is published anew under a new epoch may have lost rows that
// nobody tells of. So before the fabric.position that closes the epoch, access
// that the present state did not renew is taken away (gone.go). What led to the
// present state is not known; how much that is, a warning and metrics say.
//
// # Record first, confirm second
//
// A source may forget a change only after the stream holds it and
// confirm_delay later, because NATS acknowledges before it syncs to disk. What
// the stream loses to a power cut within that time is published again.
//
// # Goroutines
//
//	goroutine       runs                             ends with
//	Run             sessions, one after the other    its context, or an error for an operator
//	keepState       as long as Run                   Run
//	watch           per session: connection lost?    the session
//	guard           per session and exclusive source the session, or ends it when the source is lost
//	look            while standing by                Acquire
//	reader          per session and source           the session
//	pump            per session: the only writer     the session, behind the unit in flight; an error ends the session
//	confirm         per session: calls Confirm       the session
//
// A source runs in its reader's goroutine, Snapshot in one of its own beside the
// pump.
//
// Sources and pump meet in one channel of rowsWaiting rows; when it is full the
// sources wait, so memory is bounded whatever the backlog.
//
// # Caveats
//
// A single NATS node without sync_always whose host loses power together with
// the publisher's may lose what was confirmed before. Nobody else may have
// permission to publish on the stream's subjects.
package publisher
