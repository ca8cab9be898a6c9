package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/petpro/fabric/cmd/internal/daemon/daemontest"
	"github.com/petpro/fabric/config"
)

// running is a Dev in this process.
type runningDev struct {
	Ready
	stop func() // ends it and checks how it ended; may be called again
}

// startDev runs a Dev on dir until the test ends, on a database of ours if one is
// given.
func startDev(t *testing.T, dir string, own ...PostgresOptions) runningDev {
	t.Helper()
	c, origins, err := config.Load(config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o := DevOptions{Data: dir, Config: c, Origins: origins, Log: slog.New(slog.DiscardHandler)}
	for _, postgres := range own {
		o.Postgres = postgres
	}
	d, err := NewDev(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan Ready, 1)
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, func(r Ready) error { told <- r; return nil }) }()
	stop := sync.OnceFunc(func() {
		began := time.Now()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v, want nil after its context ended", err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("ending took %s", took)
		}
	})
	t.Cleanup(stop)
	select {
	case r := <-told:
		return runningDev{r, stop}
	case err := <-ended:
		ended <- nil
		t.Fatalf("the dev ended before it was ready: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("the dev is not ready after 30 s")
	}
	panic("not reached")
}

// frame is what the tests look at of a frame of the edge.
type frame struct {
	ID      int64
	Connect *struct {
		User      string
		Recovered bool
		Rooms     map[string]struct {
			Recovered *bool
			Error     *struct{ Code int }
		}
	}
	Event *struct {
		Room, Type, Cursor string
		Snapshot           bool
		Data               struct{ BookingID, Status, Title string }
	}
	Live *struct{ Room, Cursor string }
}

// client speaks the native protocol.
type client struct {
	t    *testing.T
	conn *websocket.Conn
	in   []frame
	// cursor of the newest live.
	cursor string
}

// dial connects and waits for the connect reply.
func dial(t *testing.T, edge, token, cursor string, rooms ...string) (*client, frame) {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{"fabric.v1.json"}, HandshakeTimeout: 5 * time.Second}
	conn, res, err := d.DialContext(t.Context(), webSocket(edge)+"/v1/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	c := &client{t: t, conn: conn}
	t.Cleanup(c.close)
	connect := map[string]any{"token": token, "rooms": rooms}
	if cursor != "" {
		connect["cursor"] = cursor
	}
	if err := conn.WriteJSON(map[string]any{"id": 1, "connect": connect}); err != nil {
		t.Fatal(err)
	}
	return c, c.until(func(f frame) bool { return f.Connect != nil })
}

func (c *client) close() { _ = c.conn.Close() }

// until returns the first frame that f accepts.
func (c *client) until(f func(frame) bool) frame {
	c.t.Helper()
	if err := c.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	for {
		for len(c.in) > 0 {
			next := c.in[0]
			c.in = c.in[1:]
			if next.Live != nil {
				c.cursor = next.Live.Cursor
			}
			if f(next) {
				return next
			}
		}
		_, text, err := c.conn.ReadMessage()
		if err != nil {
			c.t.Fatalf("waiting for a frame: %v", err)
		}
		for part := range bytes.SplitSeq(text, []byte("\n")) {
			var next frame
			if err := json.Unmarshal(part, &next); err != nil {
				c.t.Fatalf("frame %s: %v", part, err)
			}
			c.in = append(c.in, next)
		}
	}
}

func (c *client) live() {
	c.t.Helper()
	c.until(func(f frame) bool { return f.Live != nil && f.Live.Room == "" })
}

// status waits for the booking to have it.
func (c *client) status(booking, status string) {
	c.t.Helper()
	c.until(func(f frame) bool {
		return f.Event != nil && !f.Event.Snapshot && f.Event.Room == "booking."+booking && f.Event.Type == "status" && f.Event.Data.Status == status
	})
}

// outside writes to the shop as any program would.
func outside(t *testing.T, path, stmt string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "PRAGMA busy_timeout = 5000; "+stmt); err != nil {
		t.Fatal(err)
	}
}

func TestDevFromRowToBothClients(t *testing.T) {
	d := startDev(t, t.TempDir())
	if len(d.Edges) != 2 || d.Edges[0] == d.Edges[1] || len(d.Bookings) < 6 || !filepath.IsAbs(d.Database) {
		t.Fatalf("ready = %+v", d.Ready)
	}
	booking := d.Bookings[0]
	vendor, reply := dial(t, d.Edges[0], d.Tokens.Vendor, "", "mine")
	if _, ok := reply.Connect.Rooms["booking."+booking]; !ok || reply.Connect.User != vendorID {
		t.Errorf("the vendor's rooms = %v", reply.Connect.Rooms)
	}
	vendor.live()
	customer, _ := dial(t, d.Edges[1], d.Tokens.Customer, "", "mine")
	customer.live()
	_, reply = dial(t, d.Edges[1], d.Tokens.Stranger, "", "booking."+booking)
	if e := reply.Connect.Rooms["booking."+booking].Error; e == nil || e.Code != 103 {
		t.Errorf("the stranger's rooms = %+v, want error 103", reply.Connect.Rooms)
	}

	outside(t, d.Database, "UPDATE bookings SET status = 'confirmed' WHERE id = '"+booking+"'")
	vendor.status(booking, "confirmed")
	customer.status(booking, "confirmed")
	customer.until(func(f frame) bool { return f.Event != nil && f.Event.Type == "notification" })

	// The page's button, and a booking made while both are connected.
	own := []string{"Content-Type", "application/json", "Origin", d.Page}
	defer http.DefaultClient.CloseIdleConnections()
	if code, _, text := ask(t, "POST", d.Page+"/api/bookings/"+booking, `{"status":"cancelled","by":"u_customer"}`, own...); code != http.StatusOK {
		t.Fatalf("POST = %d %s", code, text)
	}
	vendor.status(booking, "cancelled")
	if code, _, text := ask(t, "POST", d.Page+"/api/bookings", `{}`, own...); code != http.StatusCreated {
		t.Fatalf("POST = %d %s", code, text)
	}
	isNew := func(f frame) bool {
		return f.Event != nil && f.Event.Room == "booking.bk-1013" && f.Event.Data.Status == "pending"
	}
	vendor.until(isNew)
	customer.until(isNew)
}

func TestDevResumesWhereItEnded(t *testing.T) {
	dir := t.TempDir()
	first := startDev(t, dir)
	booking := first.Bookings[1]
	c, _ := dial(t, first.Edges[0], first.Tokens.Vendor, "", "booking."+booking)
	c.live()
	cursor := c.cursor
	c.close()
	outside(t, first.Database, "UPDATE bookings SET status = 'confirmed' WHERE id = '"+booking+"'")
	first.stop()
	// While it is down, too.
	outside(t, first.Database, "UPDATE bookings SET status = 'in_progress' WHERE id = '"+booking+"'")

	second := startDev(t, dir)
	if strings.Join(second.Bookings, " ") != strings.Join(first.Bookings, " ") || second.Database != first.Database {
		t.Errorf("the second start has %v in %s, the first had %v in %s", second.Bookings, second.Database, first.Bookings, first.Database)
	}
	// The old token and the old cursor are both still good, at the other edge.
	c, reply := dial(t, second.Edges[1], first.Tokens.Vendor, cursor, "booking."+booking)
	if !reply.Connect.Recovered {
		t.Errorf("connect with the cursor of the first run = %+v, want recovered", reply.Connect)
	}
	c.status(booking, "confirmed")
	c.status(booking, "in_progress")
}

// The other commands find a running dev by its data directory.
func TestCommandsFindTheDev(t *testing.T) {
	dir := t.TempDir()
	d := startDev(t, dir)
	out := tailing(t, "--data", dir, "--since", "all", "--type", "reminder")
	if code, _, errOut := fabric(t, "publish", "--data", dir, "booking."+d.Bookings[0]+".reminder", `{"text":"ten"}`); code != 0 {
		t.Fatal(errOut)
	}
	wantLines(t, out, `reminder +\{"text":"ten"\}$`)
	code, token, errOut := fabric(t, "token", "--data", dir, "--user", customerID)
	if code != 0 {
		t.Fatal(errOut)
	}
	_, reply := dial(t, d.Edges[0], strings.TrimSpace(token), "", "booking."+d.Bookings[0])
	if reply.Connect.User != customerID {
		t.Errorf("connect = %+v", reply.Connect)
	}
	// Log out everywhere, by the command that --help shows.
	if code, _, errOut := fabric(t, "publish", "--data", dir, "user."+customerID+".control", fmt.Sprintf(`{"notBefore":%d}`, time.Now().Unix()+1)); code != 0 {
		t.Fatal(errOut)
	}
}

func TestDevOnAPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	if port < 4 {
		t.Fatalf("port %d leaves no room below it", port)
	}
	for what, first := range map[string]int{"page": port, "edge 1": port - 1, "edge 2": port - 2, "NATS server": port - 3} {
		code, _, errOut := fabric(t, "dev", "--data", t.TempDir(), "--port", fmt.Sprint(first))
		if want := fmt.Sprintf("port %d, for the %s, cannot be had", port, what); code != exitFailure || !strings.Contains(errOut, want) || !strings.Contains(errOut, "--port") {
			t.Errorf("dev --port %d: exit code %d, %q; want %q in it", first, code, errOut, want)
		}
	}
}

func TestDevTwiceOnOneDirectory(t *testing.T) {
	dir := t.TempDir()
	startDev(t, dir)
	code, out, errOut := fabric(t, "dev", "--json", "--data", dir)
	if code != exitFailure || out != "" || !strings.Contains(errOut, "another `fabric dev` uses "+dir) {
		t.Errorf("a second dev: exit code %d, %q, %q", code, out, errOut)
	}
}

// asMain makes this test binary the fabric command.
const asMain = "FABRIC_TEST_AS_MAIN"

func TestDevAsAProcess(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "dev", "--json", "--data", dir)
	cmd.Env = append(os.Environ(), asMain+"=1")
	var out, errOut daemontest.Output
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	daemontest.Eventually(t, func() error {
		if !strings.HasSuffix(out.String(), "\n") {
			return errors.New("no line on standard output; standard error:\n" + errOut.String())
		}
		return nil
	})
	var r map[string]json.RawMessage
	if err := json.Unmarshal([]byte(out.String()), &r); err != nil {
		t.Fatalf("standard output %q: %v", out.String(), err)
	}
	for _, key := range []string{"edges", "page", "nats", "database", "tokens", "bookings"} {
		if r[key] == nil {
			t.Errorf("the line has no %q: %s", key, out.String())
		}
		delete(r, key)
	}
	if len(r) > 0 {
		t.Errorf("the line has further keys: %v", r)
	}
	began := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, errOut.String())
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("SIGTERM took %s", took)
	}
	if n := strings.Count(out.String(), "\n"); n != 1 {
		t.Errorf("%d lines on standard output, want exactly 1:\n%s", n, out.String())
	}
	if _, ok := running(dir); ok {
		t.Error("the announcement is still there")
	}
}
