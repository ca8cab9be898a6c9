package websocket_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/edge/websocket"
)

func TestCommands(t *testing.T) {
	e := start(t, options{})
	c := e.connect(t)
	tests := []struct{ name, say, want string }{
		{"join", `{"id":2,"join":{"room":"booking.42"}}`, `{"id":2,"join":{"room":"booking.42"}}`},
		{"join from a cursor", `{"id":3,"join":{"room":"booking.42","cursor":"e-1-1"}}`, `{"id":3,"join":{"room":"booking.42","recovered":false}}`},
		{"join mine", `{"id":4,"join":{"room":"mine"}}`, `{"id":4,"join":{"rooms":{}}}`},
		{"join own", `{"id":5,"join":{"room":"user.u_7"}}`, `{"id":5,"join":{"room":"user.u_7"}}`},
		{"leave", `{"id":6,"leave":{"room":"booking.42"}}`, `{"id":6,"leave":{"room":"booking.42"}}`},
		{"leave mine", `{"id":7,"leave":{"room":"mine"}}`, `{"id":7,"leave":{"room":"mine"}}`},
		{"history", `{"id":8,"history":{"room":"booking.42","limit":5,"before":9}}`, `{"id":8,"history":{"room":"booking.42","events":[],"more":false}}`},
		{"ping", `{"id":9,"ping":{}}`, `{"id":9,"ping":"e-1-1"}`},
		{"unknown verb", `{"id":10,"publish":{}}`, `{"id":10,"error":{"code":104,"message":"unknown verb \"publish\"","temporary":false}}`},
		{"second connect", `{"id":11,"connect":{}}`, `{"id":11,"error":{"code":107,"message":"connected already; use refresh for a new token and join for more rooms","temporary":false}}`},
		{"no room", `{"id":12,"join":{}}`, `{"id":12,"error":{"code":102,"message":"not a valid id: \"\" is no room; a room is <kind>.<id>, for example booking.42","temporary":false}}`},
		{"bad cursor", `{"id":13,"join":{"room":"booking.42","cursor":"e-01-1"}}`, `{"id":13,"error":{"code":112,"message":"cursor not understood","temporary":false}}`},
		{"negative limit", `{"id":14,"history":{"room":"booking.42","limit":-1}}`, `{"id":14,"error":{"code":107,"message":"history.limit: must not be below 0","temporary":false}}`},
		{"refresh with nonsense", `{"id":15,"refresh":{"token":"x"}}`, `{"id":15,"error":{"code":101,"message":"invalid token","temporary":false}}`},
		{"refresh with an old token", `{"id":16,"refresh":{"token":"` + expired(t) + `"}}`, `{"id":16,"error":{"code":109,"message":"token expired","temporary":false}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c.say(t, tt.say)
			c.expect(t, tt.want)
		})
	}
	c.say(t, `{"id":20,"refresh":{"token":"`+token(t, "u_7")+`"}}`)
	if got := c.hear(t); !strings.HasPrefix(got, `{"id":20,"refresh":{"expires":35`) {
		t.Errorf("refresh is answered with %s", got)
	}
	s := e.session(t, 0)
	for _, call := range []string{"join booking.42 true", "join booking.42 false", "leave mine", "history booking.42 9 5"} {
		if !s.called(call) {
			t.Errorf("the session was not asked %s", call)
		}
	}
}

// Bad room names get 102, in join, leave and history, and never reach the hub.
func TestBadRooms(t *testing.T) {
	e := start(t, options{})
	c := e.connect(t)
	id := 1
	for _, room := range []string{"booking", ".", "booking.", ".42", "booking.4.2", "booking.*", "booking.>", "booking.a b", "order.1",
		"fabric.epoch", "$JS.API", "booking.ü", "booking." + strings.Repeat("x", 300), "Mine", "booking.42.status"} {
		for _, verb := range []string{"join", "leave", "history"} {
			id++
			c.say(t, fmt.Sprintf(`{"id":%d,%q:{"room":%q}}`, id, verb, room))
			if got := c.hear(t); !strings.HasPrefix(got, fmt.Sprintf(`{"id":%d,"error":{"code":102,`, id)) || len(got) > 600 {
				t.Errorf("%s %.40q is answered with %s", verb, room, got)
			}
		}
	}
	if calls := e.session(t, 0).asked(); len(calls) != 1 {
		t.Errorf("the hub was asked %q, want connect alone", calls)
	}
}

func TestConnectAsk(t *testing.T) {
	e := start(t, options{})
	c := e.dial(t)
	c.say(t, `{"id":1,"connect":{"token":"`+token(t, "u_7")+`","cursor":"e-5-5","rooms":["booking.1","mine",
		{"room":"booking.2","cursor":"e-3-3"},{"room":"booking.3","cursor":null},{"room":"booking.4","cursor":""},
		{"room":"booking.5","cursor":"nonsense"},"no room","order.1"],"client":"test"}}`)
	// A frame is one object a line; the command above is spread over three.
	for range 3 {
		if got := c.hear(t); !strings.HasPrefix(got, `{"error":{"code":107,"message":"not JSON: line `) {
			t.Errorf("a command over several lines is answered with %s", got)
		}
	}
	c.say(t, `{"id":1,"connect":{"token":"`+token(t, "u_7")+`","cursor":"e-5-5","rooms":["booking.1","mine",`+
		`{"room":"booking.2","cursor":"e-3-3"},{"room":"booking.3","cursor":null},{"room":"booking.4","cursor":""},`+
		`{"room":"booking.5","cursor":"nonsense"},"no room","order.1"],"client":"test"}}`)
	reply := c.hear(t)
	for _, part := range []string{`"booking.5":{"error":{"code":112,`, `"no room":{"error":{"code":102,`, `"order.1":{"error":{"code":102,`} {
		if !strings.Contains(reply, part) {
			t.Errorf("no %s in %s", part, reply)
		}
	}
	got := e.session(t, 0).ask
	cursor := func(n uint64) protocol.Cursor { return protocol.Cursor{Epoch: "e", Seq: n, Time: int64(n)} }
	for i := range got.Rooms {
		got.Rooms[i].Err = nil // compared above
	}
	want := hub.ConnectAsk{Cursor: cursor(5), Mine: true, Rooms: []hub.RoomAsk{
		{Name: "booking.1", Room: "booking.1"},
		{Name: "booking.2", Room: "booking.2", Cursor: cursor(3)},
		{Name: "booking.3", Room: "booking.3", Fresh: true},
		{Name: "booking.4", Room: "booking.4", Fresh: true},
		{Name: "booking.5", Room: "booking.5"},
		{Name: "no room"}, {Name: "order.1"},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the hub is asked\n got %+v\nwant %+v", got, want)
	}
}

// Nothing goes before connect; a connect whose cursor is wrong may be repeated.
func TestConnectFirst(t *testing.T) {
	e := start(t, options{})
	c := e.dial(t)
	for _, verb := range []string{`"join":{"room":"booking.1"}`, `"leave":{"room":"booking.1"}`, `"ping":{}`,
		`"history":{"room":"booking.1"}`, `"refresh":{"token":"x"}`} {
		c.say(t, `{"id":1,`+verb+`}`)
		c.expect(t, `{"id":1,"error":{"code":107,"message":"connect first","temporary":false}}`)
	}
	c.say(t, `{}`) // never answered
	c.say(t, `{"id":2,"connect":{"token":"`+token(t, "u_7")+`","cursor":"nonsense"}}`)
	c.expect(t, `{"id":2,"error":{"code":112,"message":"cursor not understood","temporary":false}}`)
	c.say(t, `{"id":3,"connect":{"token":"`+token(t, "u_7")+`"}}`)
	if got := c.hear(t); !strings.HasPrefix(got, `{"id":3,"connect":`) {
		t.Errorf("second try: %s", got)
	}
}

func TestConnectRefused(t *testing.T) {
	e := start(t, options{})
	tests := []struct {
		name, token, reply string
		close              int
	}{
		{"no token", "", `{"id":1,"error":{"code":101,"message":"invalid token: there is none; send it in connect","temporary":false}}`, 3500},
		{"nonsense", "x", `{"id":1,"error":{"code":101,"message":"invalid token","temporary":false}}`, 3500},
		{"alg none", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1XzciLCJleHAiOjk5OTk5OTk5OTl9.", `{"id":1,"error":{"code":101,"message":"invalid token","temporary":false}}`, 3500},
		{"expired", expired(t), `{"id":1,"error":{"code":109,"message":"token expired","temporary":false}}`, 3005},
	}
	for n, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := e.dial(t)
			c.say(t, fmt.Sprintf(`{"id":1,"connect":{"token":%q}}`, tt.token))
			c.expect(t, tt.reply)
			lines, reason := c.expectClose(t, tt.close)
			if want := fmt.Sprintf(`{"disconnect":{"code":%d,`, tt.close); len(lines) != 1 || !strings.HasPrefix(lines[0], want) || reason != "" {
				t.Errorf("announced by %q, reason %q", lines, reason)
			}
			e.session(t, n).await(t, "closed")
			if s := e.session(t, n); s.called("connect u_7") {
				t.Error("the hub was asked to connect")
			}
		})
	}
}

func TestNoConnect(t *testing.T) {
	e := start(t, options{config: func(c *websocket.Config) { c.ConnectIn = 50 * time.Millisecond }})
	c := e.dial(t)
	c.say(t, "{}") // a sign of life is no connect
	c.expectClose(t, 3502)
	e.session(t, 0).await(t, "closed")

	// Connected in time, the clock is stopped.
	c = e.connect(t)
	time.Sleep(100 * time.Millisecond) // beyond ConnectIn: nothing must happen
	c.say(t, `{"id":2,"ping":{}}`)
	c.expect(t, `{"id":2,"ping":"e-1-1"}`)
}

func TestRate(t *testing.T) {
	e := start(t, options{config: func(c *websocket.Config) { c.CommandsPerSecond, c.Burst = 1, 5 }})
	c := e.connect(t) // the first command
	for i := range 4 {
		c.say(t, fmt.Sprintf(`{"id":%d,"ping":{}}`, i+2))
		c.expect(t, fmt.Sprintf(`{"id":%d,"ping":"e-1-1"}`, i+2))
	}
	c.say(t, `{"id":6,"ping":{}}`)
	if got := c.hear(t); !strings.HasPrefix(got, `{"id":6,"error":{"code":111,"message":"too many requests","temporary":true,"after":`) {
		t.Fatalf("beyond the burst: %s", got)
	}
	// A client that goes on regardless is sent away for a while.
	c.say(t, strings.Repeat("{\"id\":7,\"ping\":{}}\n", 1000))
	lines, reason := c.expectClose(t, 3013)
	if len(lines) > 10 || !strings.HasPrefix(reason, `{"after":`) {
		t.Errorf("1 000 commands are answered by %d frames, reason %q", len(lines), reason)
	}
	if n := e.handler.Stats().Commands.Load(); n > 20 {
		t.Errorf("%d commands of a flood were decoded", n)
	}
}

// Pongs and ping frames are charged too, though not answered with errors.
func TestRateOfPongs(t *testing.T) {
	for _, flood := range []func(*client) error{
		func(c *client) error { return c.WriteMessage(1, []byte("{}")) },
		func(c *client) error { return c.WriteControl(9, []byte("x"), time.Now().Add(patient)) },
		func(c *client) error { return c.WriteControl(10, nil, time.Now().Add(patient)) },
	} {
		e := start(t, options{config: func(c *websocket.Config) { c.CommandsPerSecond, c.Burst = 1, 5 }})
		c := e.connect(t)
		for range 30 {
			if flood(c) != nil {
				break // closed already
			}
		}
		if lines, _ := c.expectClose(t, 3013); len(lines) != 1 {
			t.Errorf("a flood of pongs is answered with %q", lines)
		}
	}
}
