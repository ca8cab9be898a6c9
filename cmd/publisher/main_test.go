package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"github.com/petpro/fabric/cmd/internal/daemon/daemontest"
	"github.com/petpro/fabric/test/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shop makes a database of these tables and returns its path.
func shop(t *testing.T, schema string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shop.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), schema); err != nil {
		t.Fatal(err)
	}
	return path
}

// tables of petpro-columns.yaml.
const tables = `
CREATE TABLE bookings (id TEXT PRIMARY KEY, customer_id TEXT, vendor_id TEXT, status TEXT, updated_at TEXT, deleted_at TEXT);
CREATE TABLE notifications (id TEXT PRIMARY KEY, user_id TEXT, type TEXT, title TEXT, message TEXT, data TEXT);
INSERT INTO bookings VALUES ('1', 'u_7', 'u_9', 'pending', '2026-11-22 10:30:00', NULL);`

// args of a publisher of this database.
func args(t *testing.T, srv *natstest.Server, path, admin string) []string {
	return []string{
		"--config", "../../config/petpro-columns.yaml", "--set", "nats.urls=" + srv.URL(), "--set", "publisher.admin_listen=" + admin,
		"--set", "publisher.state=" + t.TempDir(), "--set", `publisher.sources=[{"name":"petpro","kind":"sqlite","sqlite":{"path":"` + path + `"}}]`,
	}
}

func TestPublisherFromStartToSignal(t *testing.T) {
	srv := natstest.Run(t)
	srv.Stop()
	admin := fmt.Sprintf("127.0.0.1:%d", natstest.FreePort(t))
	ctx, signal := context.WithCancel(t.Context())
	var out daemontest.Output
	ended := make(chan int, 1)
	go func() { ended <- service.Run(ctx, args(t, srv, shop(t, tables), admin), &out) }()
	daemontest.Get(t, "http://"+admin+"/readyz", http.StatusServiceUnavailable)
	srv.Start(t)
	daemontest.Get(t, "http://"+admin+"/readyz", http.StatusOK)
	if text := daemontest.Get(t, "http://"+admin+"/metrics", http.StatusOK); !strings.Contains(text, "fabric_publisher_") || !strings.Contains(text, "go_goroutines") {
		t.Errorf("/metrics = %s", text)
	}
	signal()
	if code := <-ended; code != 0 {
		t.Errorf("exit code after a signal = %d, want 0; told\n%s", code, &out)
	}
}

// What only an operator can mend ends it, and says what to do.
func TestPublisherThatCannotGoOn(t *testing.T) {
	srv := natstest.Run(t)
	noDatabase := filepath.Join(t.TempDir(), "text.db")
	if err := os.WriteFile(noDatabase, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		path string
		want string
	}{
		{"no file", filepath.Join(t.TempDir(), "none.db"), "none.db"},
		{"no database", noDatabase, "text.db"},
		{"no such column", shop(t, strings.Replace(tables, "vendor_id", "provider", 1)), "vendor_id"},
		{"the real columns are listed", shop(t, strings.Replace(tables, "vendor_id", "provider", 1)), "provider"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out daemontest.Output
			code := service.Run(t.Context(), args(t, srv, tt.path, ""), &out)
			if code != 1 || !strings.Contains(out.String(), tt.want) {
				t.Errorf("exit code = %d, want 1; told %q, want %q in it", code, out.String(), tt.want)
			}
		})
	}
}

func TestPublisherWithoutSources(t *testing.T) {
	var out daemontest.Output
	if code := service.Run(t.Context(), []string{"--set", "publisher.ingest=false"}, &out); code != 2 || !strings.Contains(out.String(), "publisher.sources: is empty") {
		t.Errorf("exit code = %d, want 2; told %q", code, out.String())
	}
}
