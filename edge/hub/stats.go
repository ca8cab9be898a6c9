package hub

import "sync/atomic"

// Stats are counters and gauges, read by whoever exports metrics.
type Stats struct {
	// Sessions that are connected, and Members over all rooms.
	Sessions, Members atomic.Int64
	// Parked units: waiting for the broker, the tail or a read.
	Parked atomic.Int64
	// Events handed to clients, Snapshots among them.
	Events, Snapshots atomic.Uint64
	// Resumes that replayed from the ring, and from history.
	FromRing, FromHistory atomic.Uint64
	// Recovered rooms and Gaps told.
	Recovered, Gaps atomic.Uint64
	// Revoked rooms, and Refused joins (103).
	Revoked, Refused atomic.Uint64
	// Fetches asked of History, and of these FetchErrors.
	Fetches, FetchErrors atomic.Uint64
	// Jumps: times a shard had to resume its sessions because the ring or the
	// stream ran past it. Resets: another history.
	Jumps, Resets atomic.Uint64
}
