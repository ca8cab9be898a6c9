package websocket

import (
	"errors"
	"time"

	"github.com/petpro/fabric/edge/access"
	"github.com/petpro/fabric/edge/auth"
	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/subjects"
)

// keysRetry is the wait told to a client whose token cannot be judged yet.
const keysRetry = 2 * time.Second

// errConnectFirst and errConnectTwice answer commands out of order.
var (
	errConnectFirst = &protocol.Error{Code: protocol.CodeBadRequest, Message: "connect first"}
	errConnectTwice = &protocol.Error{Code: protocol.CodeBadRequest, Message: "connected already; use refresh for a new token and join for more rooms"}
)

// frame does what one text frame says.
func (c *conn) frame(text []byte) {
	for cmd, err := range protocol.Decode(text) {
		after, ok := c.charge()
		switch {
		case c.isClosing():
			return
		case !ok && cmd.Verb == protocol.VerbPong && err == nil: // never answered
		case !ok:
			c.h.stats.Limited.Add(1)
			err = &protocol.Error{Code: protocol.CodeTooMany, Message: "too many requests", After: after}
		case err == nil:
			err = c.command(cmd)
		}
		if err != nil {
			c.Send(&protocol.Failed{ID: cmd.ID, Error: *err})
		}
	}
	c.Flush()
}

// charge counts a command against the rate. ok is false if it must not be
// carried out; a client that is a whole burst behind is closed.
func (c *conn) charge() (after time.Duration, ok bool) {
	c.h.stats.Commands.Add(1)
	after, flood := c.rate.take(c.h.clock(), c.h.cfg.CommandsPerSecond, c.h.cfg.Burst)
	if flood {
		end := protocol.CloseRate
		end.After = after
		c.Close(end)
	}
	return after, after == 0
}

// command carries one out; an error is its reply, else the hub answers.
func (c *conn) command(cmd protocol.Command) *protocol.Error {
	switch {
	case cmd.Verb == protocol.VerbPong:
		return nil
	case cmd.Verb == protocol.VerbConnect:
		return c.connect(cmd.ID, cmd.Connect)
	case !c.connected.Load():
		return errConnectFirst
	}
	switch cmd.Verb {
	case protocol.VerbJoin:
		return c.join(cmd.ID, cmd.Join)
	case protocol.VerbLeave:
		return c.leave(cmd.ID, cmd.Leave.Room)
	case protocol.VerbRefresh:
		return c.refresh(cmd.ID, cmd.Refresh.Token)
	case protocol.VerbHistory:
		return c.history(cmd.ID, cmd.History)
	case protocol.VerbPing:
		c.session.Probe(cmd.ID)
	}
	return nil
}

// connect authenticates and hands the session over to the hub. Without a good
// token the connection ends.
func (c *conn) connect(id int64, ask *protocol.Connect) *protocol.Error {
	if c.connected.Load() {
		return errConnectTwice
	}
	who, err := c.identify(ask.Token)
	if err != nil {
		refusal, end := refusal(err)
		c.h.log.Debug("token refused", "session", c.session.ID(), "client", ask.Client, "err", err)
		c.Send(&protocol.Failed{ID: id, Error: *refusal})
		c.Close(end)
		return nil
	}
	hubAsk, refused := c.connectAsk(ask)
	if refused != nil {
		return refused
	}
	c.who = nil
	c.connected.Store(true)
	c.await(0)
	c.h.log.Debug("connect", "session", c.session.ID(), "user", who.User, "client", ask.Client, "rooms", len(ask.Rooms))
	c.session.Connect(id, who, hubAsk)
	return nil
}

// identify believes the token of the connect, else the one of the handshake.
func (c *conn) identify(token string) (access.Identity, error) {
	switch {
	case token != "" || c.who == nil: // without any, Verify says what is missing
		return c.h.verifier.Verify(token)
	case !time.Now().Before(c.who.Expires):
		return access.Identity{}, auth.ErrExpired
	}
	return *c.who, nil
}

// refusal is what a client is told about its token, and how it is closed.
func refusal(err error) (*protocol.Error, protocol.Close) {
	e := &protocol.Error{Code: protocol.CodeUnauthorized, Message: auth.Text(err)}
	switch {
	case errors.Is(err, auth.ErrExpired):
		e.Code = protocol.CodeExpired
		return e, protocol.CloseExpired
	case errors.Is(err, auth.ErrKeys):
		e.Code, e.After = protocol.CodeInternal, keysRetry
		return e, protocol.Close{Code: protocol.CloseInternal.Code, Reason: e.Message, After: keysRetry}
	}
	return e, protocol.CloseToken
}

// connectAsk parses rooms and cursors. A room that is wrong is refused by
// itself, in the reply; a wrong cursor of the whole refuses the whole.
func (c *conn) connectAsk(ask *protocol.Connect) (hub.ConnectAsk, *protocol.Error) {
	var out hub.ConnectAsk
	cursor, refused := parseCursor(ask.Cursor)
	if refused != nil {
		return out, refused
	}
	out.Cursor = cursor
	for _, r := range ask.Rooms {
		if r.Room == protocol.Mine {
			out.Mine = true
			continue
		}
		one := hub.RoomAsk{Name: r.Room, Fresh: r.Cursor.Given && r.Cursor.Value == ""}
		one.Room, one.Err = c.room(r.Room)
		if one.Err == nil {
			one.Cursor, one.Err = parseCursor(r.Cursor.Value)
		}
		out.Rooms = append(out.Rooms, one)
	}
	return out, nil
}

func (c *conn) join(id int64, ref *protocol.RoomRef) *protocol.Error {
	if ref.Room == protocol.Mine {
		c.session.JoinMine(id)
		return nil
	}
	room, refused := c.room(ref.Room)
	if refused != nil {
		return refused
	}
	cursor, refused := parseCursor(ref.Cursor.Value)
	if refused != nil {
		return refused
	}
	c.session.Join(id, room, cursor)
	return nil
}

func (c *conn) leave(id int64, name string) *protocol.Error {
	room := subjects.Room(protocol.Mine)
	if name != protocol.Mine {
		var refused *protocol.Error
		if room, refused = c.room(name); refused != nil {
			return refused
		}
	}
	c.session.Leave(id, room)
	return nil
}

// refresh leaves the session as it is if the token is not believed: the old one
// is good until it ends.
func (c *conn) refresh(id int64, token string) *protocol.Error {
	who, err := c.h.verifier.Verify(token)
	if err != nil {
		c.h.log.Debug("refresh refused", "session", c.session.ID(), "err", err)
		e, _ := refusal(err)
		return e
	}
	c.session.Refresh(id, who)
	return nil
}

// history passes limits on as they are; the hub knows what the page holds at
// most.
func (c *conn) history(id int64, ask *protocol.HistoryAsk) *protocol.Error {
	room, refused := c.room(ask.Room)
	if refused != nil {
		return refused
	}
	if ask.Limit < 0 {
		return &protocol.Error{Code: protocol.CodeBadRequest, Message: "history.limit: must not be below 0"}
	}
	c.session.History(id, room, ask.Before, ask.Limit)
	return nil
}

func (c *conn) room(name string) (subjects.Room, *protocol.Error) {
	room, err := c.h.kinds.Room(name)
	if err != nil {
		return "", &protocol.Error{Code: protocol.CodeRoom, Message: err.Error()}
	}
	return room, nil
}

// parseCursor reads a cursor; "" is none.
func parseCursor(s string) (protocol.Cursor, *protocol.Error) {
	if s == "" {
		return protocol.Cursor{}, nil
	}
	cursor, err := protocol.ParseCursor(s)
	if err != nil {
		return protocol.Cursor{}, &protocol.Error{Code: protocol.CodeCursor, Message: err.Error()}
	}
	return cursor, nil
}
