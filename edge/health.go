package edge

import (
	"encoding/json"
	"net/http"
	"time"
)

// health is the body of /readyz.
type health struct {
	Ready    bool   `json:"ready"`
	Draining bool   `json:"draining"`
	Broker   string `json:"broker"` // "connected" or "away"
	// Stale: the data may lag, since Since.
	Stale bool       `json:"stale"`
	Since *time.Time `json:"since,omitempty"`
	Epoch string     `json:"epoch,omitempty"`
	// Seq is the watermark: the stream sequence read so far.
	Seq      uint64 `json:"seq"`
	Sessions int64  `json:"sessions"`
}

// readyz answers 200 once the ring has been warmed and until the drain begins.
// A broker that is away does not make it red: then every edge would be
// dropped by its balancer while sessions could still be kept; it shows in the
// body, in the metrics and to clients as state.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	v := s.feed.View()
	h := health{
		Draining: s.draining.Load(), Broker: "connected",
		Stale: v.Stale, Epoch: v.Epoch, Seq: v.Last,
		Sessions: s.hub.Stats().Sessions.Load(),
	}
	select {
	case <-s.ready:
		h.Ready = !h.Draining
	default:
	}
	if v.Away {
		h.Broker = "away"
	}
	if v.Stale {
		h.Since = &v.Since
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !h.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	json.NewEncoder(w).Encode(h)
}
