package hubtest

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/edge/protocol"
)

var _ hub.Client = (*Client)(nil)

// Frame is one thing a client was sent: an event or a reply or push.
type Frame struct {
	Event    *hub.Message
	Snapshot bool
	Out      protocol.Out
	// Tag is what the client's Tag gave when the frame was queued.
	Tag any
}

// Client records what a session sends it. Its queue is bounded; it is read at
// every flush, or when the test says so (Stall, Take).
type Client struct {
	// Session is set by Open.
	Session *hub.Session
	// Tag, if set before the session is used, is called for each frame.
	Tag func() any

	mu            sync.Mutex
	frames, bytes int
	queue         []Frame
	used          int // bytes
	read          []Frame
	stalled       bool
	notify        bool
	closed        *protocol.Close
	gone          bool
}

// Open gives a client with a queue of so many frames and bytes a session.
func Open(h *hub.Hub, frames, bytes int) *Client {
	c := &Client{frames: frames, bytes: bytes}
	c.Session = h.Open(c)
	return c
}

// Event implements hub.Client.
func (c *Client) Event(m *hub.Message, snapshot bool) {
	c.put(Frame{Event: m, Snapshot: snapshot}, len(m.Data)+protocol.EventOverhead)
}

// Send implements hub.Client.
func (c *Client) Send(o protocol.Out) { c.put(Frame{Out: o}, replySize) }

// replySize stands for the size of a frame that is no event.
const replySize = 64

// put queues a frame. A client that is too slow is closed, as transports do.
func (c *Client) put(f Frame, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return
	}
	if c.Tag != nil {
		f.Tag = c.Tag()
	}
	c.queue = append(c.queue, f)
	c.used += size
	if len(c.queue) > c.frames || c.used > c.bytes {
		if _, ok := f.Out.(*protocol.Connected); !ok {
			slow := protocol.CloseSlow
			c.closed = &slow
			c.hangUp()
		}
	}
}

// Flush implements hub.Client.
func (c *Client) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stalled {
		c.take(len(c.queue))
	}
}

// Room implements hub.Client.
func (c *Client) Room() (frames, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(c.frames-len(c.queue), 0), max(c.bytes-c.used, 0)
}

// NotifyDrained implements hub.Client.
func (c *Client) NotifyDrained() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notify = true
	c.drained()
}

// Close implements hub.Client.
func (c *Client) Close(end protocol.Close) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return
	}
	c.closed = &end
	if !c.stalled {
		c.take(len(c.queue))
	}
	c.hangUp()
}

// hangUp loses what is queued. Called with mu held.
func (c *Client) hangUp() {
	c.gone, c.queue = true, nil
	c.Session.Closed()
}

// take reads n frames. Called with mu held.
func (c *Client) take(n int) {
	c.read = append(c.read, c.queue[:n]...)
	c.queue = slices.Delete(c.queue, 0, n)
	if len(c.queue) == 0 {
		c.used = 0
	}
	c.drained()
}

func (c *Client) drained() {
	if c.notify && len(c.queue) == 0 && !c.gone {
		c.notify = false
		c.Session.Drained()
	}
}

// Stall stops reading until Take; false reads everything at once again.
func (c *Client) Stall(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stalled = on
	if !on && !c.gone {
		c.take(len(c.queue))
	}
}

// Take reads up to n of the queued frames and reports how many there were.
func (c *Client) Take(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n = min(n, len(c.queue))
	c.take(n)
	return n
}

// Queued is the number of frames in the queue.
func (c *Client) Queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue)
}

// Hang ends the connection from the client's side; what is queued is lost.
func (c *Client) Hang() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.gone {
		c.hangUp()
	}
}

// Closed is how the edge closed the connection; nil while it is open or if the
// client hung up.
func (c *Client) Closed() *protocol.Close {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Gone reports whether the connection has ended.
func (c *Client) Gone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone
}

// Read returns what was read since the last call.
func (c *Client) Read() []Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	read := c.read
	c.read = nil
	return read
}

// Lines returns what was read since the last call, each frame as one line.
func (c *Client) Lines() []string {
	var lines []string
	for _, f := range c.Read() {
		lines = append(lines, f.String())
	}
	return lines
}

// String is a frame as tests write it: rooms without their kind, cursors as
// their sequence.
func (f Frame) String() string {
	switch o := f.Out.(type) {
	case nil:
		verb := "event"
		if f.Snapshot {
			verb = "snapshot"
		}
		return fmt.Sprintf("%s %s %s #%d", verb, f.Event.Name.Room, f.Event.Name.Type, f.Event.Seq)
	case *protocol.Connected:
		return fmt.Sprintf("connected %d recovered=%t%s", o.ID, o.Recovered, fates(o.Rooms))
	case *protocol.Joined:
		return fmt.Sprintf("joined %d %s%s%s", o.ID, o.Room, outcome(o.Resumed, o.Recovered), fates(o.Rooms))
	case *protocol.Left:
		return fmt.Sprintf("left %d %s", o.ID, o.Room)
	case *protocol.Refreshed:
		return fmt.Sprintf("refreshed %d", o.ID)
	case *protocol.HistoryReply:
		return fmt.Sprintf("history %d %s%s more=%t", o.ID, o.Room, sequences(o.Events), o.More)
	case *protocol.Failed:
		return fmt.Sprintf("failed %d %d", o.ID, o.Error.Code)
	case *protocol.Pong:
		return fmt.Sprintf("pong %d %s", o.ID, o.Cursor)
	case *protocol.Ping:
		return "ping " + o.Cursor
	case *protocol.Live:
		if o.Room == "" {
			return fmt.Sprintf("live #%d", o.Cursor.Seq)
		}
		return fmt.Sprintf("live %s #%d", o.Room, o.Cursor.Seq)
	case *protocol.Gap:
		return fmt.Sprintf("gap %s %s %d..%d %s", o.Room, o.Type, o.After, o.Before, o.Reason)
	case *protocol.RoomJoined:
		return "in " + o.Room
	case *protocol.RoomLeft:
		return "out " + o.Room + " " + o.Reason
	case *protocol.Revoked:
		return "revoked " + o.Room
	case *protocol.State:
		return fmt.Sprintf("stale=%t", o.Stale)
	default:
		return fmt.Sprintf("%T", o)
	}
}

// fates are in the order of rooms, so that tests need not care.
func fates(rooms []protocol.RoomFate) string {
	var parts []string
	for _, r := range rooms {
		s := " " + r.Room + outcome(r.Resumed, r.Recovered)
		if r.Error != nil {
			s = fmt.Sprintf(" %s!%d", r.Room, r.Error.Code)
		}
		parts = append(parts, s)
	}
	slices.Sort(parts)
	return strings.Join(parts, "")
}

// outcome: "+" recovered, "-" resumed with a gap, nothing for a fresh join.
func outcome(resumed, recovered bool) string {
	switch {
	case !resumed:
		return ""
	case recovered:
		return "+"
	}
	return "-"
}

func sequences(events []protocol.Event) string {
	s := ""
	for _, e := range events {
		s += fmt.Sprintf(" #%d", e.Seq)
	}
	return s
}
