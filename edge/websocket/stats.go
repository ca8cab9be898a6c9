package websocket

import (
	"iter"
	"net/http"
	"sync/atomic"

	"github.com/petpro/fabric/edge/protocol"
)

// Stats are counters and gauges, read by whoever exports metrics.
type Stats struct {
	// Connections that are open, and Stuck ones among them: those whose socket
	// does not take what is queued.
	Connections, Stuck atomic.Int64
	// Upgrades that succeeded.
	Upgrades atomic.Uint64
	// Refusals before the upgrade, by HTTP status; Closes of ours, by code.
	Refusals, Closes Counts
	// Commands decoded, and Limited ones among them (error 111).
	Commands, Limited atomic.Uint64
	// Writes to sockets, and the Bytes they took. Writes per event tell how
	// much is coalesced.
	Writes, Bytes atomic.Uint64
}

// Counts counts by code. The codes are few and known, so that a metric may have
// them as a label.
type Counts struct {
	codes []int
	n     []atomic.Uint64
}

func newCounts(codes ...int) Counts {
	return Counts{codes: codes, n: make([]atomic.Uint64, len(codes))}
}

// add counts one; a code that is not known counts for the last.
func (c *Counts) add(code int) {
	for i, known := range c.codes {
		if known == code || i == len(c.codes)-1 {
			c.n[i].Add(1)
			return
		}
	}
}

// All yields every code with its count.
func (c *Counts) All() iter.Seq2[int, uint64] {
	return func(yield func(int, uint64) bool) {
		for i, code := range c.codes {
			if !yield(code, c.n[i].Load()) {
				return
			}
		}
	}
}

func newStats() *Stats {
	return &Stats{
		Refusals: newCounts(http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed,
			http.StatusUpgradeRequired, http.StatusServiceUnavailable, http.StatusInternalServerError),
		Closes: newCounts(protocol.CloseDrain.Code, protocol.CloseExpired.Code, protocol.CloseSlow.Code,
			protocol.CloseNoPong.Code, protocol.CloseRate.Code, protocol.CloseUnavailable.Code, protocol.CloseToken.Code,
			protocol.CloseBadRequest.Code, protocol.CloseNoConnect.Code, protocol.CloseLoggedOut.Code,
			protocol.CloseLimit.Code, protocol.CloseBlocked.Code, protocol.CloseInternal.Code),
	}
}
