// Package hub is the core of an edge: it decides which session sees which
// message, from where a session resumes, and when it may be told that nothing
// was lost. It knows no NATS, no HTTP and no socket: the stream comes in
// through Feed and History, clients are behind Client.
//
// # The way of a message
//
// The feed appends a message to its ring and wakes the shards. Each shard
// reads on from its own watermark (Feed.Read), takes one step per message
// (shard.step) and hands events to the live members of the room; when it has
// nothing more to read it flushes the clients it has written to. The ring is
// the only buffer: a shard that falls behind it resumes its sessions like
// clients that were away.
//
// # The way of a join
//
// Connect, join, the reverse index ("mine") and the repair after a hole all
// make a unit (unit.go): rooms on their way from a position to live, by join.go,
// decide.go and replay.go; again.go is what throws them back.
//
//	ask ──► ring covers it? ──────────────────────────► hand over ──► replay ──► live
//	 │          │ no                                        ▲  │          │
//	 │          └─► History, off the shard (fetch.go) ──────┘  │          │ the ring ran past
//	 └─ position ahead of us: ask the leader, wait             └─ again ◄─┘
//
// Whatever is in doubt at the hand-over is asked again or told as a gap.
// "Recovered" is never guessed.
//
// # Guarantees
//
// A session belongs to one shard, so it sees stream order over all its rooms
// and one cursor covers them. Entitlement is judged at the shard's watermark
// when something is delivered; an access record cuts members in its own step,
// before any later message. What a client takes for live is covered by the
// newest cursor it has been sent (Session.pump).
//
// # Goroutines
//
//	shard.run       one per shard; owns its sessions, rooms, units and grants
//	fetcher worker  up to HistoryConcurrency, while there is something to read
//	end question    at most one per shard, while a client is ahead of this edge
//	Hub.tick        one; posts a tick to every shard each second
//
// Everything reaches a shard through its inbox or by pulling from the feed.
// Lock order: fetcher.mu before inbox.mu; no lock is held while calling a
// Client, Feed or History.
package hub
