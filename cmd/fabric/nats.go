package main

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// What JetStream may use. Without limits it reserves three quarters of the
// machine's memory and disk.
const (
	jetstreamMemory = 64 << 20
	jetstreamStore  = 4 << 30
)

// natsStart is how long the embedded server may take; it needs milliseconds.
const natsStart = 10 * time.Second

// startNATS runs a NATS server on loopback that keeps its streams in dir and
// syncs each message to disk before it acknowledges it. Port 0 picks a free
// one.
func startNATS(dir string, port int, log *slog.Logger) (*server.Server, error) {
	if port == 0 {
		port = server.RANDOM_PORT
	}
	s, err := server.NewServer(&server.Options{
		ServerName:         "fabric-dev",
		Host:               loopback,
		Port:               port,
		JetStream:          true,
		StoreDir:           filepath.Join(dir, "nats"),
		SyncAlways:         true,
		JetStreamMaxMemory: jetstreamMemory,
		JetStreamMaxStore:  jetstreamStore,
		NoSigs:             true,
	})
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	s.SetLogger(natsLog{log}, false, false)
	go s.Start() // returns once the listener is open; WaitForShutdown waits for its goroutines
	if !s.ReadyForConnections(natsStart) {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, fmt.Errorf("embedded NATS was not ready within %s; its store is %s, see the log above", natsStart, filepath.Join(dir, "nats"))
	}
	return s, nil
}

// natsLog hands the server's own log on: what it warns of, and the rest for
// debugging.
type natsLog struct{ log *slog.Logger }

func (l natsLog) Noticef(format string, v ...any) {
	l.log.Debug("nats-server", "text", fmt.Sprintf(format, v...))
}
func (l natsLog) Warnf(format string, v ...any) {
	l.log.Warn("nats-server", "text", fmt.Sprintf(format, v...))
}
func (l natsLog) Errorf(format string, v ...any) {
	l.log.Error("nats-server", "text", fmt.Sprintf(format, v...))
}
func (l natsLog) Fatalf(format string, v ...any) {
	l.log.Error("nats-server", "text", fmt.Sprintf(format, v...))
}
func (l natsLog) Debugf(string, ...any) {}
func (l natsLog) Tracef(string, ...any) {}
