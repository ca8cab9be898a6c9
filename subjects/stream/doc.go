// Package stream holds what publisher and edge must agree on about the
// JetStream streams themselves: how they are defined, who they are (the epoch)
// and how one reads and appends without being deceived by a lagging replica or
// a second writer.
//
//	Ensure   creates or checks the streams and writes the first fabric.epoch; for
//	         the publisher and for provisioning
//	Preview  what Ensure would do and refuse, reading only; for operators
//	Check    the same questions, reading only; for edges
//	Leader   reads through the stream's leader, never by direct get, which any
//	         replica may answer with an old state
//	         also lists the records that nothing renewed since an epoch
//	Append   adds one message, or up to MaxBatch as one atomic batch, if the
//	         stream still ends where the caller believes it does
//
// FABRIC keeps one total order of everything clients may see, INGEST takes
// what services publish themselves until the publisher has carried it over.
//
// # Limits and epochs
//
// Edges decide "recovered" or "gap" from the number of messages kept per
// subject and from the retention. Both are announced in fabric.epoch, so they
// are ordered with the messages they govern. A change of either is a new
// epoch: written before the stream is made stricter, after it is made laxer.
// So at any moment the stream keeps at least what its newest epoch says.
//
// # Caveats
//
// Nats-Expected-Last-Msg-Id must never be sent to these streams: with three
// replicas (nats-server 2.15.2) a single refusal leaves the stream without a
// leader. Nobody but the publisher may have permission to publish on the
// subjects of FABRIC.
package stream
