package websocket

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/petpro/fabric/edge/auth"
	"github.com/petpro/fabric/edge/protocol"
	"github.com/petpro/fabric/subjects"
)

// Handler serves /v1/ws. Make it with New, run it with Run.
type Handler struct {
	cfg      Config
	open     Opener
	kinds    subjects.Kinds
	verifier *auth.Verifier
	log      *slog.Logger
	upgrader gorilla.Upgrader
	stats    *Stats
	started  time.Time

	conns    registry
	wg       sync.WaitGroup // every goroutine of every connection
	draining atomic.Bool
	// ping is the newest ping frame: sessions of one shard get the same cursor.
	ping atomic.Pointer[pingFrame]
}

// New makes a handler that opens sessions by open, for rooms of these kinds.
// The configuration must be valid.
func New(cfg Config, open Opener, kinds subjects.Kinds, verifier *auth.Verifier, log *slog.Logger) *Handler {
	h := &Handler{
		cfg: cfg, open: open, kinds: kinds, verifier: verifier, log: log,
		stats:   newStats(),
		started: time.Now(),
	}
	h.conns.slices = make([][]*conn, max(1, int(cfg.Ping/time.Second)))
	h.upgrader = gorilla.Upgrader{
		Subprotocols: []string{Subprotocol},
		// Buffers come from Hijack; the pool is for gorilla's own writes, of
		// which there are none after the upgrade.
		WriteBufferPool: new(sync.Pool),
		CheckOrigin:     allowed, // judged before, with an answer that says more
		Error:           h.upgradeFailed,
	}
	return h
}

// Stats count what the handler did.
func (h *Handler) Stats() *Stats { return h.stats }

// Run sweeps until ctx ends, then ends every connection that is left and
// returns when all their goroutines are gone. The hub must still take calls.
func (h *Handler) Run(ctx context.Context) error {
	h.sweep(ctx)
	h.draining.Store(true)
	for _, c := range h.conns.all(true) {
		c.Close(protocol.CloseDrain)
	}
	h.wg.Wait()
	return nil
}

// Drain answers new handshakes with 503 and sends those away that have not
// connected yet. Sessions are the hub's to drain.
func (h *Handler) Drain() {
	h.draining.Store(true)
	for _, c := range h.conns.all(false) {
		if !c.connected.Load() {
			c.Close(protocol.CloseDrain)
		}
	}
}

// clock is monotonic, from the start of the handler.
func (h *Handler) clock() time.Duration { return time.Since(h.started) }

// millis is the clock as connections keep it; it wraps after 49 days.
func (h *Handler) millis() uint32 { return uint32(h.clock() / time.Millisecond) }

// pingFrame is a ping with its frame.
type pingFrame struct {
	cursor string
	frame  []byte
}

// pingFrame frames a ping; the frame is shared as long as the cursor is the
// same.
func (h *Handler) pingFrame(p *protocol.Ping) []byte {
	if newest := h.ping.Load(); newest != nil && newest.cursor == p.Cursor {
		return newest.frame
	}
	f := outFrame(p)
	h.ping.Store(&pingFrame{p.Cursor, f})
	return f
}
