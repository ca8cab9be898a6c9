package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/petpro/fabric/publisher"
)

// adminTimeout bounds a request to the admin address.
const adminTimeout = 10 * time.Second

// listen opens the admin address; nil if it is empty, which turns it off.
func listen(addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("publisher.admin_listen: %w; choose another address, or \"\" for none", err)
	}
	return l, nil
}

// serveAdmin answers /readyz and /metrics on l until ctx ends. A nil l serves
// nothing.
func serveAdmin(ctx context.Context, l net.Listener, pub *publisher.Publisher, reg *prometheus.Registry, log *slog.Logger) error {
	if l == nil {
		return nil
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { readyz(w, pub.Status()) })
	srv := &http.Server{
		Handler: mux, ReadTimeout: adminTimeout, WriteTimeout: adminTimeout,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() }) // whoever still asks is answered by the refused connection
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}

// health is the body of /readyz. Times are in seconds.
type health struct {
	Ready bool `json:"ready"`
	// Reason why it is not ready.
	Reason string `json:"reason,omitempty"`
	// Role is "active", "standby" or "starting"; Standby says who is active.
	Role    publisher.Role `json:"role"`
	Standby string         `json:"standby,omitempty"`
	// Position and Seq of the newest message known, Age since its
	// acknowledgement; of a standby, as the stream shows it.
	Position string  `json:"position,omitempty"`
	Seq      uint64  `json:"seq"`
	Age      float64 `json:"age"`
	// Waiting is how long the oldest change under way has been.
	Waiting float64 `json:"waiting"`
	// Silence of each source.
	Silence map[string]float64 `json:"silence,omitempty"`
}

// readyz answers 200 while the publisher publishes, or stands by while another
// does; otherwise 503 and the reason.
func readyz(w http.ResponseWriter, s publisher.Status) {
	h := health{
		Ready: s.Err == nil, Role: s.Role, Standby: s.Standby,
		Position: s.Position, Seq: s.Sequence, Age: seconds(s.Age), Waiting: seconds(s.Waiting),
		Silence: map[string]float64{},
	}
	for source, silence := range s.Silence {
		h.Silence[source] = seconds(silence)
	}
	if s.Err != nil {
		h.Reason = s.Err.Error()
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !h.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(h) // the asker has gone
}

// seconds to the millisecond.
func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond).Milliseconds()) / 1000
}
