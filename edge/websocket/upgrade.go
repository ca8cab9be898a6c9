package websocket

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/petpro/fabric/edge/access"
	"github.com/petpro/fabric/edge/auth"
	"github.com/petpro/fabric/edge/protocol"
)

// Subprotocol names the native protocol. A client that offers it gets it named
// in the 101; one that offers none, or only others, is served without.
const Subprotocol = "fabric.v1.json"

// bearerProtocol starts a second subprotocol that carries a token, for browsers
// that cannot set headers. It is never named in the 101.
const bearerProtocol = "bearer."

// leaving answers handshakes while the edge drains: by the time the client
// comes back, the balancer has another one.
var leaving = protocol.Error{Code: protocol.CodeUnavailable, Message: "this edge is shutting down, connect again", After: 2 * time.Second}

// ServeHTTP upgrades a request, or says in JSON why not.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case h.draining.Load():
		h.reject(w, http.StatusServiceUnavailable, leaving)
		return
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		h.reject(w, http.StatusMethodNotAllowed, protocol.Error{Code: protocol.CodeBadRequest, Message: "a WebSocket handshake is a GET"})
		return
	case !gorilla.IsWebSocketUpgrade(r) || !slices.Contains(r.Header["Sec-Websocket-Version"], "13"):
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Sec-WebSocket-Version", "13")
		h.reject(w, http.StatusUpgradeRequired, protocol.Error{Code: protocol.CodeBadRequest,
			Message: "this is a WebSocket endpoint (version 13); if the client is one, a proxy on the way drops the Upgrade header"})
		return
	}
	who, ok := h.admit(w, r)
	if !ok {
		return
	}
	if !h.conns.enter(&h.wg) {
		h.reject(w, http.StatusServiceUnavailable, leaving)
		return
	}
	c := &conn{h: h, who: who}
	ws, err := h.upgrader.Upgrade(hijacker{w, c}, r, nil)
	if err != nil {
		h.log.Debug("upgrade failed", "remote", r.RemoteAddr, "err", err)
		h.wg.Done()
		return
	}
	h.start(c, ws)
}

// start hands an upgraded connection to its goroutine. Nothing of the request
// may be referred to from here on.
func (h *Handler) start(c *conn, ws *gorilla.Conn) {
	c.ws = ws
	ws.SetPingHandler(c.ping)
	ws.SetPongHandler(c.pong)
	ws.SetCloseHandler(func(int, string) error { return nil }) // readFailed answers
	c.seen.Store(h.millis())
	c.rate.last = h.clock()
	c.session = h.open(c)
	h.stats.Upgrades.Add(1)
	h.stats.Connections.Add(1)
	c.await(h.cfg.ConnectIn)
	if !h.conns.add(c) || h.draining.Load() {
		c.Close(protocol.CloseDrain) // Run and Drain may not have seen it
	}
	go func() {
		defer h.wg.Done()
		c.read()
	}()
}

// admit judges origin and token before the upgrade. The identity is nil if the
// request has no token: then connect must bring one.
func (h *Handler) admit(w http.ResponseWriter, r *http.Request) (*access.Identity, bool) {
	token, cookie := h.token(r)
	if err := auth.Origins(h.cfg.Origins).Check(r.Header.Get("Origin"), cookie); err != nil {
		h.log.Debug("origin refused", "origin", r.Header.Get("Origin"), "err", err)
		h.reject(w, http.StatusForbidden, protocol.Error{Code: protocol.CodeUnauthorized, Message: err.Error()})
		return nil, false
	}
	if token == "" {
		return nil, true
	}
	who, err := h.verifier.Verify(token)
	if err != nil {
		h.log.Debug("token refused before the upgrade", "remote", r.RemoteAddr, "err", err)
		e, _ := refusal(err)
		status := http.StatusUnauthorized
		if errors.Is(err, auth.ErrKeys) {
			status = http.StatusServiceUnavailable
		} else {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		}
		h.reject(w, status, *e)
		return nil, false
	}
	return &who, true
}

// token of the handshake: header, then subprotocol, then cookie.
func (h *Handler) token(r *http.Request) (token string, cookie bool) {
	token, cookie = h.verifier.FromRequest(r)
	if token != "" && !cookie {
		return token, false
	}
	for _, p := range gorilla.Subprotocols(r) {
		if bearer, ok := strings.CutPrefix(p, bearerProtocol); ok {
			return bearer, false
		}
	}
	return token, cookie
}

// reject answers before the upgrade: the same error object as on the wire.
func (h *Handler) reject(w http.ResponseWriter, status int, e protocol.Error) {
	h.stats.Refusals.add(status)
	if e.After > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((e.After+time.Second-1)/time.Second)))
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(append(protocol.Append(nil, &protocol.Failed{Error: e}), '\n'))
}

// upgradeFailed is what gorilla calls instead of answering by itself.
func (h *Handler) upgradeFailed(w http.ResponseWriter, _ *http.Request, status int, reason error) {
	h.reject(w, status, protocol.Error{Code: protocol.CodeBadRequest, Message: reason.Error()})
}

func allowed(*http.Request) bool { return true }
