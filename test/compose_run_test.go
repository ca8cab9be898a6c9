package test

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/gorilla/websocket"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/edge/auth"
	"github.com/petpro/fabric/test/pgtest"
)

// TestComposeRuns starts what the compose file starts, without containers: the
// broker on nats.conf, PostgreSQL with its settings and scripts, and the
// programs with the environment and configuration of their services. Then a row
// changes, and a service publishes.
func TestComposeRuns(t *testing.T) {
	h := newHost(t)
	for range 2 { // as a second `docker compose up` does
		h.runOnce(t, "setup")
	}
	h.start(t, "publisher")
	edges := []*process{h.start(t, "edge-1"), h.start(t, "edge-2")}

	var clients []*client
	for i, user := range []string{"u_7", "u_9"} { // customer and vendor of booking 42
		clients = append(clients, h.connect(t, edges[i].address(t), user))
	}
	h.shop.Exec(t, `UPDATE bookings SET status = 'confirmed' WHERE id = '42'`)
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
	shop    *pgtest.Database
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{broker: startBroker(t), project: compose(t), bin: t.TempDir(), volumes: t.TempDir()}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", h.bin, "./cmd/edge", "./cmd/publisher", "./cmd/fabric")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", build, err, out)
	}
	for name := range h.project.Volumes {
		if err := os.Mkdir(filepath.Join(h.volumes, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// What the service "keys" does at first start.
	raw := make([]byte, 48)
	rand.Read(raw)
	h.secret = []byte(base64.StdEncoding.EncodeToString(raw))
	if err := os.WriteFile(filepath.Join(h.volumes, "keys", "jwt"), h.secret, 0o600); err != nil {
		t.Fatal(err)
	}
	h.shop = startShop(t, service(t, h.project, "postgres"))
	return h
}

// startShop runs PostgreSQL as the image does: the command's settings, the
// user, and the mounted scripts in the order of their names.
func startShop(t *testing.T, s types.ServiceConfig) *pgtest.Database {
	t.Helper()
	opts := []pgtest.Option{pgtest.Version17}
	for i, arg := range s.Command {
		if name, value, ok := strings.Cut(arg, "="); ok && s.Command[i-1] == "-c" {
			opts = append(opts, pgtest.Setting(name, value))
		}
	}
	server := pgtest.Run(t, opts...)
	vars := env(t, s)
	user, name := vars["POSTGRES_USER"], vars["POSTGRES_DB"]
	admin := &pgtest.Database{Server: server, Name: "postgres", DSN: server.DSN("postgres")}
	admin.Exec(t, fmt.Sprintf("CREATE ROLE %s SUPERUSER LOGIN PASSWORD '%s'", user, vars["POSTGRES_PASSWORD"]))
	admin.Exec(t, fmt.Sprintf("CREATE DATABASE %s OWNER %s", name, user))
	var scripts []types.ServiceVolumeConfig
	for _, v := range s.Volumes {
		if strings.HasPrefix(v.Target, "/docker-entrypoint-initdb.d/") {
			scripts = append(scripts, v)
		}
	}
	slices.SortFunc(scripts, func(a, b types.ServiceVolumeConfig) int { return strings.Compare(a.Target, b.Target) })
	for _, v := range scripts {
		psql := exec.CommandContext(t.Context(), "psql", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--host", "127.0.0.1", "--port", strconv.Itoa(server.Port),
			"--username", user, "--dbname", name, "--file", v.Source)
		psql.Env = os.Environ()
		for key, value := range vars {
			psql.Env = append(psql.Env, key+"="+value)
		}
		if out, err := psql.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", v.Source, err, out)
		}
	}
	return &pgtest.Database{Server: server, Name: name, DSN: server.DSN(name)}
}

// runOnce runs a service that ends by itself.
func (h *host) runOnce(t *testing.T, name string) {
	t.Helper()
	s := service(t, h.project, name)
	var args []string
	for _, arg := range s.Command {
		args = append(args, h.here(t, arg))
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(h.bin, s.Build.Target), args...)
	cmd.Env = h.environ(t, s)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// here turns addresses of the compose file into those of the running servers.
func (h *host) here(t *testing.T, text string) string {
	t.Helper()
	text = strings.ReplaceAll(text, "@postgres:5432/", "@127.0.0.1:"+strconv.Itoa(h.shop.Server.Port)+"/")
	if strings.HasPrefix(text, "nats://") {
		return h.broker.here(t, text)
	}
	return text
}

// environ is the environment of a service on this machine.
func (h *host) environ(t *testing.T, s types.ServiceConfig) []string {
	t.Helper()
	out := append(os.Environ(),
		// Free ports, and a drain that does not keep a test waiting.
		"FABRIC_EDGE_LISTEN=127.0.0.1:0", "FABRIC_EDGE_ADMIN_LISTEN=127.0.0.1:0", "FABRIC_PUBLISHER_ADMIN_LISTEN=127.0.0.1:0",
		"FABRIC_DRAIN_DELAY=1ms", "FABRIC_DRAIN_WINDOW=10ms")
	for key, value := range env(t, s) {
		if key == "FABRIC_CONFIG" {
			value = h.mount(t, s, onHost(t, s, value))
		}
		out = append(out, key+"="+h.here(t, value))
	}
	return out
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
	p.cmd.Env = h.environ(t, s)
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
