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
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { readyz(w, pub.Health()) })
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

// readyz answers 200 while the publisher publishes, or stands by with nothing
// wrong; otherwise 503 and the reason.
func readyz(w http.ResponseWriter, health error) {
	body := struct {
		Ready  bool   `json:"ready"`
		Reason string `json:"reason,omitempty"`
	}{Ready: health == nil}
	if health != nil {
		body.Reason = health.Error()
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if health != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(body) // the asker has gone
}
