// Package ingest publishes what services publish themselves: events that come
// from no row, such as reminders, and log-outs.
//
//	service ─► ingest.booking.42.reminder ─► stream INGEST ─► Source ─► publisher ─► booking.42.reminder in FABRIC
//
// Services use any NATS client. INGEST acknowledges them, dedupes by Nats-Msg-Id
// and keeps their messages for a week while the publisher is away. The source
// carries them over in the order of INGEST, each once: its place is INGEST's
// sequence, so the position in FABRIC says what has been carried, whatever was
// restarted. Nothing but the publisher writes to FABRIC, so validation and one
// total order hold for these messages too.
//
// # What is taken
//
//	ingest.<kind>.<id>.<type>         any public event of a configured kind
//	ingest.user.<id>.notification     a user's notification
//	ingest.user.<id>.control          {"notBefore":<unix seconds>}: tokens issued
//	                                  before are dead (log out everywhere)
//
// The payload is JSON of at most Config.MaxPayload bytes. It is carried without
// insignificant blanks, which frames of clients could not hold. Everything else
// (access and index records, fabric.>, unknown kinds) is the publisher's own.
//
// # What is refused
//
// A message that breaks these rules is counted
// (fabric_publisher_ingest_refused_total), logged with its reason and passed
// over: the service has its acknowledgement already, and nothing else waits for
// a repair that nobody makes. Call Parse before publishing to know beforehand.
//
// # Caveats
//
// The source reads from one ephemeral consumer and gives up at the first doubt
// (a sequence missing, a heartbeat, a deleted consumer): the publisher runs it
// again from its position. Messages that INGEST dropped before they were carried
// (its age limit, or a stream made anew) end Run with publisher.ErrLost.
//
// Run works in its caller's goroutine; nats.go keeps some of its own until Run
// returns.
package ingest
