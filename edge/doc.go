// Package edge is one stateless node: clients in front, the stream behind.
//
// # The way of a message
//
//	[stream] ─► feed/tail.go ─► hub/shard.go ─► websocket/queue.go ─► websocket/flush.go ─► client
//
// # The way of a connection
//
//	client ─► gate ─► websocket/upgrade.go ─► websocket/read.go ─► auth/token.go ─► hub/connect.go
//	       ─► hub/join.go ─► feed/ring.go or feed/history.go ─► hub/replay.go ─► live
//
// # Goroutines
//
// Run starts the feed, the hub, the WebSocket sweeper, the key refresher and
// the two HTTP servers, and returns only when all of them and every connection
// are gone.
//
// # Shutdown order
//
// Readiness turns false; after DrainDelay the listener closes; sessions are
// told to come back elsewhere one by one over DrainWindow; then connections
// that never connected are closed, the sweeper, the hub and the feed stop, and
// last the admin server.
package edge
