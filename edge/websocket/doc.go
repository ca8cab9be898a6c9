// Package websocket is the native transport: /v1/ws, subprotocol
// fabric.v1.json. gorilla/websocket does the upgrade and reads frames; writing
// is done here, because it decides what a connection and a delivery cost.
//
// # The way in
//
//	ServeHTTP (upgrade.go) ── Hijack ──► conn.read (read.go) ── Decode ──►
//	conn.command (command.go) ──► Session, the hub's, which answers by Client
//
// The HTTP handler returns as soon as the connection is upgraded, so that its
// stack and buffers are freed; nothing of the request is kept.
//
// # The way out
//
//	hub's shard ──► conn.Event, conn.Send ──► queue ──► conn.Flush ──► socket
//
// Events are framed once per message and shared by all connections
// (hub.Message.Frame). A flush is one non-blocking write of what is queued.
// What the socket does not take is left to a flusher goroutine, which waits
// until the socket can be written and exists only as long. gorilla's own writes
// (the 101, protocol errors) go through the same queue: Hijack gives it a
// net.Conn that queues (socket.go), so that its frames cannot land inside one
// of ours and its deadlines cannot fail them.
//
// # Limits
//
// The queue holds 64 KiB or 256 frames; beyond, or when the socket takes
// nothing for 10 s, the connection is closed with 3008 and the client resumes.
// No single message is ever dropped. SO_SNDBUF bounds what the kernel holds. A
// client that says nothing for two ping intervals gets 3012; one that exceeds
// its rate gets error 111, and 3013 once it is a whole burst behind.
//
// # Closing
//
// Every close of ours is a disconnect push and a close frame behind what is
// queued. The socket is closed when the client has answered, but no later than
// a second after. Frames that this protocol has no use for (binary, not UTF-8,
// too large) are closed with 3501; violations of RFC 6455 with that document's
// 1002, which is all gorilla sends.
//
// # Goroutines
//
//	conn.read     one per connection, from the upgrade to the end; owns ending it
//	conn.unstick  one per connection while its socket does not take what is queued
//	Drained       momentary: carries the call to the session
//	Handler.Run   one: the sweeper, which pings and ends the silent
//
// Run returns when all of them are gone. conn.mu and the registry's mutex are
// never held together, and neither while calling the Session or closing a
// socket.
package websocket
