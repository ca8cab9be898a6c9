package websocket

import (
	"github.com/petpro/fabric/edge/access"
	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/subjects"
)

// Session is what a connection asks of the hub: the methods of *hub.Session.
// They may be called from any goroutine and return at once; answers come
// through the hub.Client that the session was opened with. Connect comes first
// and once, Closed last.
type Session interface {
	ID() string
	Connect(id int64, who access.Identity, ask hub.ConnectAsk)
	Join(id int64, room subjects.Room, cursor protocol.Cursor)
	JoinMine(id int64)
	Leave(id int64, room subjects.Room)
	Refresh(id int64, who access.Identity)
	History(id int64, room subjects.Room, before uint64, limit int)
	Probe(id int64)
	Ping()
	Drained()
	Closed()
}

var _ Session = (*hub.Session)(nil)

// Opener gives a new connection its session. It may ask the client for its
// Room and calls nothing else of it.
type Opener func(hub.Client) Session

// Of opens sessions of a hub.
func Of(h *hub.Hub) Opener { return func(c hub.Client) Session { return h.Open(c) } }
