package hub

import "github.com/petpro/fabric/edge/protocol"

// Client is a connection as the hub sees it; each transport implements it.
// The hub calls it from the goroutine of the session's shard only. No method
// may block or call back into the session synchronously.
type Client interface {
	// Event queues one event; snapshot marks a last value.
	Event(m *Message, snapshot bool)
	// Send queues a reply or a push.
	Send(o protocol.Out)
	// Flush writes what is queued. The hub calls it once it has queued all it
	// has for now.
	Flush()
	// Room is how much the queue can take before the session is too slow.
	// Replay stays below half of the whole; see Drained.
	Room() (frames, bytes int)
	// NotifyDrained asks for one call of Session.Drained once the queue is
	// empty; at once if it already is. That call may come from any goroutine.
	NotifyDrained()
	// Close ends the connection after what is queued, as far as the peer takes
	// it. The transport then calls Session.Closed.
	Close(c protocol.Close)
}
