package websocket_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	gorilla "github.com/gorilla/websocket"

	"github.com/petpro/fabric/edge/auth"
	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/edge/websocket"
)

func expired(t testing.TB) string {
	t.Helper()
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "u_7", "exp": time.Now().Add(-time.Second).Unix()}).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Whatever is wrong before the upgrade is answered with a status that says
// whether to come back and a body that says what to do.
func TestRejected(t *testing.T) {
	const app = "https://app.petpro.example"
	e := start(t, options{
		config: func(c *websocket.Config) { c.Origins = []string{app} },
		auth:   func(c *auth.Config) { c.Cookie = "session" },
	})
	good := token(t, "u_7")
	tests := []struct {
		name   string
		method string
		header map[string]string // "" takes a header out
		status int
		code   protocol.Code
		says   string
	}{
		{"plain HTTP", "GET", map[string]string{"Upgrade": "", "Connection": ""}, 426, 107, "WebSocket endpoint"},
		{"no Upgrade in Connection", "GET", map[string]string{"Connection": "keep-alive"}, 426, 107, "proxy"},
		{"old version", "GET", map[string]string{"Sec-WebSocket-Version": "8"}, 426, 107, "version 13"},
		{"POST", "POST", nil, 405, 107, "GET"},
		{"no key", "GET", map[string]string{"Sec-WebSocket-Key": ""}, 400, 107, "Sec-WebSocket-Key"},
		{"forged token", "GET", map[string]string{"Authorization": "Bearer " + good + "x"}, 401, 101, "invalid token"},
		{"expired token", "GET", map[string]string{"Authorization": "Bearer " + expired(t)}, 401, 109, "token expired"},
		{"forged token as subprotocol", "GET", map[string]string{"Sec-WebSocket-Protocol": "fabric.v1.json, bearer." + good + "x"}, 401, 101, "invalid token"},
		{"empty token as subprotocol", "GET", map[string]string{"Sec-WebSocket-Protocol": "bearer."}, 101, 0, ""},
		{"foreign origin", "GET", map[string]string{"Origin": "https://evil.example"}, 403, 101, "edge.origins"},
		{"foreign origin, good token", "GET", map[string]string{"Origin": "https://evil.example", "Authorization": "Bearer " + good}, 403, 101, "edge.origins"},
		{"cookie without origin", "GET", map[string]string{"Cookie": "session=" + good}, 403, 101, "Origin"},
		{"cookie from elsewhere", "GET", map[string]string{"Cookie": "session=" + good, "Origin": "https://evil.example"}, 403, 101, "by name"},
		{"cookie with a bad token", "GET", map[string]string{"Cookie": "session=x", "Origin": app}, 401, 101, "invalid token"},

		{"nothing but the handshake", "GET", nil, 101, 0, ""},
		{"listed origin", "GET", map[string]string{"Origin": app}, 101, 0, ""},
		{"cookie", "GET", map[string]string{"Cookie": "session=" + good, "Origin": app}, 101, 0, ""},
		{"another scheme is not for us", "GET", map[string]string{"Authorization": "Basic YTpi"}, 101, 0, ""},
		{"foreign subprotocol", "GET", map[string]string{"Sec-WebSocket-Protocol": "graphql-ws"}, 101, 0, ""},
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequest(tt.method, e.server.URL+"/v1/ws", nil)
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range map[string]string{"Upgrade": "websocket", "Connection": "Upgrade",
				"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
				req.Header.Set(k, v)
			}
			for k, v := range tt.header {
				if req.Header.Set(k, v); v == "" {
					req.Header.Del(k)
				}
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != tt.status {
				t.Fatalf("status = %s, want %d", resp.Status, tt.status)
			}
			if tt.status == http.StatusSwitchingProtocols {
				return
			}
			raw, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			var body struct{ Error protocol.Error }
			if err := json.Unmarshal(raw, &body); err != nil || body.Error.Code != tt.code || !strings.Contains(body.Error.Message, tt.says) {
				t.Errorf("body = %s, want code %d with %q", raw, tt.code, tt.says)
			}
			if tt.status == 426 && (resp.Header.Get("Upgrade") != "websocket" || resp.Header.Get("Sec-Websocket-Version") != "13") {
				t.Errorf("426 without Upgrade and version: %v", resp.Header)
			}
			if tt.status == 401 && resp.Header.Get("WWW-Authenticate") == "" {
				t.Error("401 without WWW-Authenticate")
			}
		})
	}
}

func TestSubprotocol(t *testing.T) {
	e := start(t, options{})
	good := token(t, "u_7")
	tests := []struct {
		name    string
		offered []string
		want    string
	}{
		{"native", []string{"fabric.v1.json"}, "fabric.v1.json"},
		{"with a token", []string{"fabric.v1.json", "bearer." + good}, "fabric.v1.json"},
		{"token first", []string{"bearer." + good, "fabric.v1.json"}, "fabric.v1.json"},
		{"token alone", []string{"bearer." + good}, ""},
		{"none", nil, ""},
		{"another", []string{"mqtt"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ws, resp, err := (&gorilla.Dialer{Subprotocols: tt.offered}).Dial(e.url(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer ws.Close()
			if got := resp.Header.Get("Sec-Websocket-Protocol"); got != tt.want {
				t.Errorf("the 101 names %q, want %q", got, tt.want)
			}
		})
	}
}

// The token of the handshake makes one in connect unnecessary.
func TestTokenOfHandshake(t *testing.T) {
	e := start(t, options{})
	for n, header := range []http.Header{
		{"Authorization": {"Bearer " + token(t, "u_header")}},
		{"Sec-Websocket-Protocol": {"fabric.v1.json, bearer." + token(t, "u_protocol")}},
	} {
		ws, _, err := gorilla.DefaultDialer.Dial(e.url(), header)
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		c := &client{Conn: ws}
		c.say(t, `{"id":1,"connect":{}}`)
		if got := c.hear(t); !strings.Contains(got, `"user":"u_header"`) && !strings.Contains(got, `"user":"u_protocol"`) {
			t.Errorf("handshake %d: %s", n, got)
		}
	}
	// One in connect wins.
	ws, _, err := gorilla.DefaultDialer.Dial(e.url(), http.Header{"Authorization": {"Bearer " + token(t, "u_header")}})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	c := &client{Conn: ws}
	c.say(t, `{"id":1,"connect":{"token":"`+token(t, "u_connect")+`"}}`)
	if got := c.hear(t); !strings.Contains(got, `"user":"u_connect"`) {
		t.Errorf("with tokens in both: %s", got)
	}
}

func TestDrain(t *testing.T) {
	e := start(t, options{})
	waiting, connected := e.dial(t), e.connect(t)
	e.handler.Drain()
	waiting.expectClose(t, 3001)
	connected.say(t, `{"id":2,"ping":{}}`)
	connected.expect(t, `{"id":2,"ping":"e-1-1"}`)
	_, resp, err := gorilla.DefaultDialer.Dial(e.url(), nil)
	if err == nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("handshake while draining: %v, %+v", err, resp)
	}
}

// A handshake that is under way when the drain begins is not forgotten.
func TestDrainMeanwhile(t *testing.T) {
	e := start(t, options{})
	e.onOpen = e.handler.Drain
	e.dial(t).expectClose(t, 3001)
}

// Keys that are not loaded are the edge's problem, not the token's: come back.
func TestKeysNotLoaded(t *testing.T) {
	e := start(t, options{auth: func(c *auth.Config) {
		c.Keys = nil
		c.JWKS = auth.JWKS{URL: "http://127.0.0.1:1/jwks", Algorithms: []string{"RS256"}}
	}})
	rs256 := "eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.e30.AA"
	_, resp, err := gorilla.DefaultDialer.Dial(e.url(), http.Header{"Authorization": {"Bearer " + rs256}})
	if err == nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "2" {
		t.Errorf("before the upgrade: %v, %+v", err, resp)
	}
	c := e.dial(t)
	c.say(t, `{"id":1,"connect":{"token":"`+rs256+`"}}`)
	c.expect(t, `{"id":1,"error":{"code":100,"message":"the keys to verify the token are not loaded yet","temporary":true,"after":2000}}`)
	if _, reason := c.expectClose(t, 3004); reason != `{"after":2000}` {
		t.Errorf("close reason = %q", reason)
	}
}
