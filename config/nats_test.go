package config_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/petpro/fabric/config"
	"github.com/petpro/fabric/test/natstest"
)

// A service that starts before its broker waits for it, and is told at once
// that nothing can be sent meanwhile.
func TestConnectWaitsForTheBroker(t *testing.T) {
	url := natstest.Run(t)
	url.Stop()
	c := config.NATS{URLs: []string{url.URL()}}
	nc, err := c.Connect("test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("Connect without a broker: %v", err)
	}
	defer nc.Close()
	if err := nc.Publish("x", nil); err == nil {
		t.Error("Publish without a broker succeeds")
	}
	url.Start(t)
	for end := time.Now().Add(10 * time.Second); !nc.IsConnected(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not connected 10 s after the broker came")
		}
	}
}

func TestConnectComplains(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(dir, "none")
	urls := []string{"nats://127.0.0.1:1"}
	tests := []struct {
		name string
		nats config.NATS
		want string
	}{
		{"no credentials", config.NATS{URLs: urls, Creds: none}, "nats.creds: "},
		{"no CA", config.NATS{URLs: urls, TLS: config.TLS{CA: none}}, "nats.tls.ca: "},
		{"an empty CA", config.NATS{URLs: urls, TLS: config.TLS{CA: empty}}, "holds no certificate in PEM"},
		{"no certificate", config.NATS{URLs: urls, TLS: config.TLS{Cert: none, Key: none}}, "nats.tls.cert: "},
		{"an address that is none", config.NATS{URLs: []string{"nats://shop:p4ssw0rd@:x"}}, "connect to NATS at (hidden)@:x: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			nc, err := tt.nats.Connect("test", slog.New(slog.DiscardHandler))
			if err == nil {
				nc.Close()
				t.Fatal("Connect succeeds")
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "p4ssw0rd") {
				t.Errorf("Connect = %v, want %q in it", err, tt.want)
			}
		})
	}
}
