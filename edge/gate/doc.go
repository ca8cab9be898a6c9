// Package gate bounds what handshakes cost an edge: a net.Listener for
// http.Server that hands a connection over only when its request has begun to
// arrive and a slot is free.
//
// A handshake in net/http takes some 23 KiB until it is over, and answering 503
// costs as much as serving. So back-pressure comes before HTTP: in a storm,
// connections wait in the gate, then in the kernel's backlog, both nearly free;
// and a socket that is silent costs one small goroutine, never a slot.
//
// # The way of a connection
//
//	accepted ──► silent ──first byte──► ready ──slot──► handed to http.Server
//	               │ 10 s, or pushed       its address      │ request read in 2 s?
//	               ▼ out by newer ones     has < 32         ▼ no
//	             closed                                   closed
//
// A slot is held until the connection is hijacked (a WebSocket), answered or
// closed, but 2 s at most; what is still being served then goes on without.
// When too many connections wait, the one that has been silent for longest
// makes room: who connects and sends its request is not in danger from who only
// connects. Addresses take turns, so that one with thousands of connections
// delays another by one.
//
// Install the hook, or every connection is taken for one that never sent its
// request:
//
//	g := gate.New(listener, gate.DefaultConfig())
//	server := &http.Server{ConnState: g.ConnState, ReadHeaderTimeout: …}
//	err := server.Serve(g)
//
// # Goroutines
//
//	Gate.accept   one, from New until Close
//	Gate.wait     one per silent connection
//
// Close, which http.Server calls, returns when they are gone.
package gate
