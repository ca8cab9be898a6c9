package test

import (
	"bufio"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/gorilla/websocket"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/edge/auth"
)

// TestComposeRuns starts what the compose file starts, without containers: the
// broker on nats.conf, and the programs with the environment and configuration
// of their services. Then a row changes, and a service publishes.
func TestComposeRuns(t *testing.T) {
	h := newHost(t)
	h.start(t, "publisher")
	edges := []*process{h.start(t, "edge-1"), h.start(t, "edge-2")}

	var clients []*client
	for i, user := range []string{"u_7", "u_9"} { // customer and vendor of booking 42
		clients = append(clients, h.connect(t, edges[i].address(t), user))
	}
	if _, err := h.shop.ExecContext(t.Context(), `UPDATE bookings SET status = 'confirmed' WHERE id = '42'`); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(h.broker.conn(t, "service"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "ingest.booking.42.reminder", []byte(`{"text":"see you at ten"}`)); err != nil {
		t.Fatalf("publish as service: %v", err)
	}
	for _, c := range clients {
		c.await(t, "booking.42", "status", `"status":"confirmed"`)
		c.await(t, "booking.42", "reminder", "see you at ten")
	}
}

// host is a machine for the programs of the compose file.
type host struct {
	broker  broker
	project *types.Project
	// bin holds the programs, volumes a directory for each named volume.
	bin     string
	volumes string
	secret  []byte
	shop    *sql.DB
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{broker: startBroker(t), project: compose(t), bin: t.TempDir(), volumes: t.TempDir()}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", h.bin, "./cmd/edge", "./cmd/publisher")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", build, err, out)
	}
	for name := range h.project.Volumes {
		if err := os.Mkdir(filepath.Join(h.volumes, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// What the service "shop" does at first start.
	raw := make([]byte, 48)
	rand.Read(raw)
	h.secret = []byte(base64.StdEncoding.EncodeToString(raw))
	if err := os.WriteFile(filepath.Join(h.volumes, "keys", "jwt"), h.secret, 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if h.shop, err = sql.Open("sqlite", "file:"+filepath.Join(h.volumes, "shop", "shop.db")+"?_pragma=busy_timeout(10000)"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.shop.Close() })
	if _, err := h.shop.ExecContext(t.Context(), read(t, "deploy/shop.sql")); err != nil {
		t.Fatal(err)
	}
	return h
}

// process is a running program and what it logs.
type process struct {
	name string
	cmd  *exec.Cmd

	mu   sync.Mutex
	logs []string
	more chan struct{} // gets a token for each line
}

// start runs the program of a service and ends it, in good order, with the
// test.
func (h *host) start(t *testing.T, name string) *process {
	t.Helper()
	s := service(t, h.project, name)
	p := &process{name: name, more: make(chan struct{}, 1)}
	p.cmd = exec.Command(filepath.Join(h.bin, s.Build.Target))
	p.cmd.Env = append(os.Environ(),
		// Free ports, and a drain that does not keep a test waiting.
		"FABRIC_EDGE_LISTEN=127.0.0.1:0", "FABRIC_EDGE_ADMIN_LISTEN=127.0.0.1:0", "FABRIC_PUBLISHER_ADMIN_LISTEN=127.0.0.1:0",
		"FABRIC_DRAIN_DELAY=1ms", "FABRIC_DRAIN_WINDOW=10ms")
	for key, value := range env(t, s) {
		switch key {
		case "FABRIC_CONFIG":
			value = h.mount(t, s, onHost(t, s, value))
		case "FABRIC_NATS_URLS":
			value = h.broker.here(t, value)
		}
		p.cmd.Env = append(p.cmd.Env, key+"="+value)
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.listen(bufio.NewScanner(stderr))
	}()
	t.Cleanup(func() {
		p.cmd.Process.Signal(syscall.SIGTERM)
		<-read
		if err := p.cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("%s ended with %v; it said\n%s", name, err, strings.Join(p.logs, "\n"))
		}
	})
	return p
}

// mount writes a configuration with the volumes' paths on this machine.
func (h *host) mount(t *testing.T, s types.ServiceConfig, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range s.Volumes {
		if v.Type == types.VolumeTypeVolume {
			text = regexp.MustCompile(`(: )`+regexp.QuoteMeta(v.Target)+`\b`).ReplaceAll(text, []byte("${1}"+filepath.Join(h.volumes, v.Source)))
		}
	}
	out := filepath.Join(t.TempDir(), filepath.Base(path))
	if err := os.WriteFile(out, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return out
}

func (p *process) listen(lines *bufio.Scanner) {
	for lines.Scan() {
		p.mu.Lock()
		p.logs = append(p.logs, lines.Text())
		p.mu.Unlock()
		select {
		case p.more <- struct{}{}:
		default:
		}
	}
}

// said waits for a line that matches and returns its first group.
func (p *process) said(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for late := time.After(patience); ; {
		p.mu.Lock()
		all := strings.Join(p.logs, "\n")
		p.mu.Unlock()
		if m := re.FindStringSubmatch(all); m != nil {
			return m[1]
		}
		select {
		case <-p.more:
		case <-late:
			t.Fatalf("%s did not say %s within %s, but\n%s", p.name, pattern, patience, all)
		}
	}
}

// address of an edge that is ready.
func (p *process) address(t *testing.T) string {
	t.Helper()
	p.said(t, `(msg=ready )`)
	return p.said(t, `msg=listening .*addr=(\S+)`)
}

// client is a WebSocket connection.
type client struct {
	ws     *websocket.Conn
	frames []string
}

// connect opens a session that follows all bookings of the user.
func (h *host) connect(t *testing.T, addr, user string) *client {
	t.Helper()
	token, err := auth.Mint(h.secret, user, nil, nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	dialer := websocket.Dialer{Subprotocols: []string{"fabric.v1.json"}}
	ws, _, err := dialer.DialContext(ctx, "ws://"+addr+"/v1/ws", http.Header{})
	if err != nil {
		t.Fatalf("connect to %s: %v", addr, err)
	}
	t.Cleanup(func() { ws.Close() })
	connect := fmt.Sprintf(`{"id":1,"connect":{"token":%q,"rooms":["mine"]}}`, token)
	if err := ws.WriteMessage(websocket.TextMessage, []byte(connect)); err != nil {
		t.Fatal(err)
	}
	return &client{ws: ws}
}

// await reads on until an event of this room and type holds the text. Events
// of different sources come in any order, so those read before count too.
func (c *client) await(t *testing.T, room, typ, text string) {
	t.Helper()
	if err := c.ws.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	wanted := func(frame string) bool {
		var push struct {
			Event struct {
				Room, Type string
				Data       json.RawMessage
			}
		}
		if err := json.Unmarshal([]byte(frame), &push); err != nil {
			t.Fatalf("%s: %v", frame, err)
		}
		e := push.Event
		return e.Room == room && e.Type == typ && strings.Contains(string(e.Data), text)
	}
	for !slices.ContainsFunc(c.frames, wanted) {
		_, frame, err := c.ws.ReadMessage()
		if err != nil {
			t.Fatalf("wait for %s of %s with %s: %v; got\n%s", typ, room, text, err, strings.Join(c.frames, "\n"))
		}
		c.frames = append(c.frames, strings.Split(string(frame), "\n")...)
	}
}
