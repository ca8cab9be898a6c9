package e2e_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"github.com/petpro/fabric/edge"
	"github.com/petpro/fabric/edge/auth"
)

// Every bad command gets its code, and the session lives on.
func TestBadCommands(t *testing.T) {
	t.Parallel()
	s := start(t, 1)
	c := dial(t, s.edges[0].url)
	c.connect(token(t, "carl"), "", room(0))
	long := strings.Repeat("x", 300)
	for _, tt := range []struct {
		name, verb string
		body       any
		code       int
	}{
		{"unknown verb", "dance", map[string]any{}, 104},
		{"id with a dot", "join", map[string]any{"room": "booking.a.b"}, 102},
		{"wildcard", "join", map[string]any{"room": "booking.*"}, 102},
		{"full wildcard", "join", map[string]any{"room": "booking.>"}, 102},
		{"blank", "join", map[string]any{"room": "booking.a b"}, 102},
		{"empty id", "join", map[string]any{"room": "booking."}, 102},
		{"empty room", "join", map[string]any{"room": ""}, 102},
		{"300 bytes", "join", map[string]any{"room": "booking." + long}, 102},
		{"unknown kind", "join", map[string]any{"room": "fabric.epoch"}, 102},
		{"foreign room", "join", map[string]any{"room": "booking.other"}, 103},
		{"another user's room", "join", map[string]any{"room": "user.vera"}, 103},
		{"garbage cursor", "join", map[string]any{"room": room(0), "cursor": "garbage"}, 112},
		{"long cursor", "join", map[string]any{"room": room(0), "cursor": long}, 112},
		{"number as room", "join", map[string]any{"room": 7}, 107},
		{"no token", "refresh", map[string]any{}, 101},
		{"second connect", "connect", map[string]any{"token": "x"}, 107},
	} {
		f := c.reply(c.send(tt.verb, tt.body))
		if f.Error == nil || f.Error.Code != tt.code || f.Error.Message == "" {
			t.Errorf("%s: %+v, want error %d with a message", tt.name, f.Error, tt.code)
		}
	}
	c.raw(`{"id":900,`)
	c.wait("error 107 for broken JSON", func(f frame) bool { return f.Error != nil && f.Error.Code == 107 })
	if f := c.reply(c.send("ping", map[string]any{})); f.Error != nil {
		t.Errorf("the session has not survived: %+v", f)
	}
}

// A cursor that does not parse refuses the connect, which may be sent again;
// one of another epoch or of the future is a gap.
func TestBadCursors(t *testing.T) {
	t.Parallel()
	s := start(t, 1)
	c := dial(t, s.edges[0].url)
	f := c.reply(c.send("connect", map[string]any{"token": token(t, "carl"), "cursor": "nonsense", "rooms": []any{room(0)}}))
	if f.Error == nil || f.Error.Code != 112 {
		t.Fatalf("garbage cursor: %+v, want error 112", f)
	}
	f = c.reply(c.send("connect", map[string]any{"token": token(t, "carl"), "rooms": []any{
		room(0), map[string]any{"room": "booking.b_9", "cursor": "no-cursor"}}}))
	if f.Connect == nil || f.Connect.Rooms["booking.b_9"].Error == nil || f.Connect.Rooms["booking.b_9"].Error.Code != 112 {
		t.Fatalf("connect again: %+v", f)
	}
	c.wait("live", func(f frame) bool { return f.Live != nil })
	good := c.position()
	epoch, rest, _ := strings.Cut(good, "-")
	_, stamp, _ := strings.Cut(rest, "-")
	for name, cursor := range map[string]string{
		"another epoch":    "aaaaaaaaaa-" + rest,
		"from the future":  epoch + "-99999999-" + stamp,
		"of another time":  epoch + "-3-1",
		"the largest ever": epoch + "-18446744073709551615-" + stamp,
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, s.edges[1].url)
			r := c.connect(token(t, "carl"), cursor, room(0))
			if g := c.gaps(); r.Recovered || len(g) == 0 || g[0].Reason != "epoch" {
				t.Errorf("reply %+v, gaps %+v; want a gap with reason epoch", r, g)
			}
			if got := c.events(room(0)); len(got) != 1 || !got[0].Snapshot {
				t.Errorf("events %+v, want the last value", got)
			}
		})
	}
}

// Tokens that are not what they say are refused: 101 and close 3500.
func TestBadTokens(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	s := start(t, 1, withEdge(func(c *edge.Config) {
		c.Auth.Keys = append(c.Auth.Keys, auth.Key{ID: "web", Algorithms: []string{"RS256"}, Public: string(public)})
	}))
	hs := jwt.SigningMethodHS256
	web := func(tok *jwt.Token, key any) string {
		tok.Header["kid"] = "web"
		out, err := tok.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	claims := jwt.MapClaims{"sub": "carl", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	for name, tok := range map[string]string{
		"forged":           sign(t, hs, []byte("another secret of the same length !!!"), nil),
		"alg none":         sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"other algorithm":  sign(t, jwt.SigningMethodHS512, []byte(secret), nil),
		"confused key":     web(jwt.NewWithClaims(hs, claims), public),
		"e-mail as user":   sign(t, hs, []byte(secret), jwt.MapClaims{"sub": "carl@example.com"}),
		"wildcard as user": sign(t, hs, []byte(secret), jwt.MapClaims{"sub": ">"}),
		"no user":          sign(t, hs, []byte(secret), jwt.MapClaims{"sub": nil}),
		"no exp":           sign(t, hs, []byte(secret), jwt.MapClaims{"exp": nil}),
		"user room":        sign(t, hs, []byte(secret), jwt.MapClaims{"rooms": []string{"user.vera"}}),
		"garbage":          "not.a.token",
		"empty":            "",
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, s.edges[0].url)
			f := c.reply(c.send("connect", map[string]any{"token": tok, "rooms": []any{room(0)}}))
			if f.Error == nil || f.Error.Code != 101 {
				t.Errorf("%+v, want error 101", f)
			}
			if code := c.ended(); code != 3500 {
				t.Errorf("closed with %d, want 3500", code)
			}
		})
	}
	c := dial(t, s.edges[0].url)
	c.connect(web(jwt.NewWithClaims(jwt.SigningMethodRS256, claims), rsaKey), "", room(0))
}

// Frames that are no frames end their connection only.
func TestBadFrames(t *testing.T) {
	t.Parallel()
	s := start(t, 1)
	good := dial(t, s.edges[0].url)
	good.connect(token(t, "carl"), "", room(0))
	for name, send := range map[string]func(*client){
		"oversized":         func(c *client) { c.raw(strings.Repeat("x", 70<<10)) },
		"oversized connect": func(c *client) { c.raw(`{"id":1,"connect":{"token":"` + strings.Repeat("x", 70<<10) + `"}}`) },
		"binary":            func(c *client) { c.conn.WriteMessage(websocket.BinaryMessage, []byte{1, 2, 3}) },
		"bytes of no frame": func(c *client) { c.conn.NetConn().Write([]byte(strings.Repeat("\xff\xfe", 100))) },
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, s.edges[0].url)
			send(c)
			if code := c.ended(); code == 1000 {
				t.Errorf("closed with %d", code)
			}
		})
	}
	s.set(0, "confirmed")
	good.wait("the event", func(f frame) bool { return f.Event != nil && !f.Event.Snapshot })
}

// Silent, slow and half-open handshakes do not keep others out.
func TestHandshakesThatNeverEnd(t *testing.T) {
	t.Parallel()
	s := start(t, 1)
	addr := strings.TrimPrefix(s.edges[0].url, "http://")
	for i := range 80 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		switch i % 4 {
		case 1:
			c.Write([]byte("G"))
		case 2:
			c.Write([]byte("GET /v1/ws HTTP/1.1\r\nHost: x\r\n"))
		case 3:
			c.Write([]byte("garbage\r\n\r\n"))
		}
	}
	c := dial(t, s.edges[0].url)
	c.connect(token(t, "carl"), "", room(0))
	if code, body := s.edges[0].readyz(t); code != http.StatusOK {
		t.Errorf("/readyz: %d %s", code, body)
	}
}
