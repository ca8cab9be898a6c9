// Package feed is the edge's only JetStream code: it follows the stream once
// for all clients of the edge, and reads from it what is older. It implements
// hub.Feed and hub.History.
//
// # The way of a message
//
//	stream ──► tail ──► decoder ──► window (ring + view) ──► hub's shards pull
//	             ▲                     │
//	           verify ◄── leader ◄─────┘ the same history?
//
// The tail reads the whole stream through one push consumer after another and
// takes whatever has arrived at once: one lock and one wake for all of it. The
// window appends it to the ring of newest messages and moves the watermark.
// Rooms are told apart in memory; the server keeps nothing per client or room.
//
// # Where it begins
//
// The ring is warmed from storage, from about as far back as fits into it, but
// never from before the current epoch. Below the leader's last sequence of that
// moment skipped sequences are what keep has dropped long ago; above it, from
// View.ExactFrom on, each one is a hole: the stream dropped messages before
// this edge read them. A hole holds back the watermark until the tail is at the
// end of the stream (a second at most), then ExactFrom is behind that end.
//
// # Whether it is the same history
//
// A consumer on a stream that was deleted and created anew, or that lost its
// end, waits for ever at its old place. So after each creation of a consumer,
// before a message is accepted, and every second the leader is asked: is
// fabric.epoch unchanged, is the last sequence not below ours, has the newest
// message of the ring that is still stored our time? If not, for three
// questions in a row (a deposed leader may answer with an old state for a
// moment), the generation grows and the feed begins again. A new fabric.epoch
// on the tail makes a new generation too.
//
// # What history promises
//
// Direct gets are answered by any replica, which may lag or be ahead of the
// tail. An answer is a prefix: too short, never holed. Only multi_last tells
// its end (UpTo), so it is asked first, together with fabric.epoch; what is
// read by next_by_subj must reach what multi_last told of, else it is asked for
// again. See ADR-31 and nats-server's getDirectRequest for the protocol.
//
// # What it may do on NATS
//
//	publish    $JS.API.STREAM.INFO.<stream>, $JS.API.STREAM.MSG.GET.<stream>,
//	           $JS.API.DIRECT.GET.<stream>, $JS.API.CONSUMER.CREATE.<stream>.>,
//	           $JS.FC.<stream>.> (answers to flow control)
//	subscribe  _INBOX.> (or the connection's own inbox prefix)
//
// # Goroutines
//
//	Run (follow)   finds the stream, then is the tail: creates consumers, takes
//	               messages, wakes the shards; the only writer of the window
//	direct.run     routes answers of direct gets to those who wait
//	check          asks the leader every second
//	watch          judges whether the data is stale, four times a second
//	readMissed     up to 8 for each Fetch while it runs; it waits for them
//
// Run returns when the first four are gone; calls of History end with their
// own contexts.
//
// Locks: window.mu, pulse.mu, direct.mu, question.mu and decoder.mu are never
// held together, nor while anything is called; Feed.waking is held while the
// shards are woken.
package feed
