package gate_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/petpro/fabric/edge/gate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipes is a listener without sockets, so that time in a bubble stands still
// until everybody waits.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// from is a server's end that claims to come from an address.
type from struct {
	net.Conn
	ip string
}

func (f from) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(f.ip), Port: 1} }

// client is the other end; what the server sends is read all the time.
type client struct {
	net.Conn
	answer chan string // the first line, "" if there was none
}

func (p *pipes) dial(ip string) *client {
	ours, theirs := net.Pipe()
	p.conns <- from{theirs, ip}
	c := &client{Conn: ours, answer: make(chan string, 1)}
	go func() {
		line, _ := bufio.NewReader(ours).ReadString('\n')
		c.answer <- strings.TrimSpace(line)
		io.Copy(io.Discard, ours)
	}()
	return c
}

const request = "GET / HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n"

func (c *client) send(s string) *client {
	io.WriteString(c, s) // the server may hang up; answer tells
	return c
}

// answered reports the first line if the server has answered or hung up by now.
func (c *client) answered() string {
	synctest.Wait()
	select {
	case line := <-c.answer:
		if line == "" {
			return "closed"
		}
		return line
	default:
		return "open"
	}
}

const ok = "HTTP/1.1 200 OK"

// serve runs an http.Server behind a gate in a bubble.
func serve(t *testing.T, change func(*gate.Config), handler http.HandlerFunc, test func(*testing.T, *pipes, *gate.Gate)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg := gate.DefaultConfig()
		if change != nil {
			change(&cfg)
		}
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		if handler == nil {
			handler = func(http.ResponseWriter, *http.Request) {}
		}
		p := newPipes()
		g := gate.New(p, cfg)
		server := &http.Server{Handler: handler, ConnState: g.ConnState}
		done := make(chan error)
		go func() { done <- server.Serve(g) }()
		test(t, p, g)
		server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
		if silent, ready, _ := g.Waiting(); silent+ready != 0 {
			t.Errorf("after Close %d are silent, %d ready", silent, ready)
		}
	})
}

func TestSilentTakesNoSlot(t *testing.T) {
	serve(t, func(c *gate.Config) { c.Slots = 1 }, nil, func(t *testing.T, p *pipes, g *gate.Gate) {
		var silent []*client
		for range 100 {
			silent = append(silent, p.dial("10.0.0.1"))
		}
		if got := p.dial("10.0.0.1").send(request).answered(); got != ok {
			t.Errorf("behind 100 silent connections: %s", got)
		}
		time.Sleep(9 * time.Second)
		if got := silent[0].answered(); got != "open" {
			t.Errorf("silent for 9 s: %s", got)
		}
		time.Sleep(time.Second)
		for i, c := range silent {
			if got := c.answered(); got != "closed" {
				t.Fatalf("silent connection %d after 10 s: %s", i, got)
			}
		}
		if n := g.Stats().Silent.Load(); n != 100 {
			t.Errorf("Silent = %d, want 100", n)
		}
	})
}

// A client that dribbles its request holds a slot for 2 s and is closed.
func TestSlowRequest(t *testing.T) {
	serve(t, func(c *gate.Config) { c.Slots = 1 }, nil, func(t *testing.T, p *pipes, g *gate.Gate) {
		slow := p.dial("10.0.0.1").send("G")
		next := p.dial("10.0.0.2").send(request[:1])
		go next.send(request[1:])
		if got := next.answered(); got != "open" {
			t.Fatalf("with the slot taken: %s", got)
		}
		time.Sleep(2 * time.Second)
		if got := slow.answered(); got != "closed" {
			t.Errorf("one byte, then nothing for 2 s: %s", got)
		}
		if got := next.answered(); got != ok {
			t.Errorf("after the slot was freed: %s", got)
		}
		if n := g.Stats().Slow.Load(); n != 1 {
			t.Errorf("Slow = %d, want 1", n)
		}
	})
}

// Once its request is read, a connection may take its time: only the slot is
// taken back.
func TestSlowAnswer(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			time.Sleep(time.Minute)
		}
	}
	serve(t, func(c *gate.Config) { c.Slots = 1 }, handler, func(t *testing.T, p *pipes, _ *gate.Gate) {
		slow := p.dial("10.0.0.1").send(strings.Replace(request, "/", "/slow", 1))
		next := p.dial("10.0.0.1").send(request[:1])
		go next.send(request[1:])
		if got := next.answered(); got != "open" {
			t.Errorf("with the slot taken: %s", got)
		}
		time.Sleep(2 * time.Second)
		if got := next.answered(); got != ok {
			t.Errorf("2 s later: %s", got)
		}
		time.Sleep(time.Minute)
		if got := slow.answered(); got != ok {
			t.Errorf("a slow answer: %s", got)
		}
	})
}

func TestPerAddress(t *testing.T) {
	serve(t, func(c *gate.Config) { c.PerAddress = 2 }, nil, func(t *testing.T, p *pipes, g *gate.Gate) {
		for i := range 50 {
			// One /64 is one address.
			p.dial(fmt.Sprintf("2001:db8::%x", i)).send("G")
		}
		synctest.Wait()
		if _, ready, slots := g.Waiting(); slots != 2 || ready != 48 {
			t.Errorf("one address holds %d slots, %d wait, want 2 and 48", slots, ready)
		}
		if got := p.dial("10.0.0.1").send(request).answered(); got != ok {
			t.Errorf("another address: %s", got)
		}
	})
}

// Addresses take turns: behind many of one, another's first is served second.
func TestTurns(t *testing.T) {
	serve(t, func(c *gate.Config) { c.Slots = 1 }, nil, func(t *testing.T, p *pipes, _ *gate.Gate) {
		for range 6 {
			p.dial("10.0.0.1").send("G")
		}
		other := p.dial("10.0.0.2").send(request[:1])
		go other.send(request[1:])
		time.Sleep(4*time.Second + time.Millisecond) // two slow ones
		if got := other.answered(); got != ok {
			t.Errorf("after two turns of the other address: %s", got)
		}
	})
}

func TestCrowded(t *testing.T) {
	serve(t, func(c *gate.Config) { c.Pending = 4 }, nil, func(t *testing.T, p *pipes, g *gate.Gate) {
		var silent []*client
		for range 4 {
			silent = append(silent, p.dial("10.0.0.1"))
			time.Sleep(time.Millisecond)
		}
		next := p.dial("10.0.0.2")
		go next.send(request)
		if got := next.answered(); got != "open" {
			t.Errorf("before anybody was silent for long: %s", got)
		}
		time.Sleep(100 * time.Millisecond)
		if got := next.answered(); got != ok {
			t.Errorf("with the gate full of silent connections: %s", got)
		}
		if got := silent[0].answered(); got != "closed" {
			t.Errorf("the longest silent: %s", got)
		}
		if got := silent[3].answered(); got != "open" {
			t.Errorf("the newest silent: %s", got)
		}
		if n := g.Stats().Crowded.Load(); n == 0 {
			t.Error("Crowded = 0")
		}
	})
}

// When all who wait have begun their requests nobody is pushed out: the kernel
// keeps the others.
func TestBackPressure(t *testing.T) {
	serve(t, func(c *gate.Config) { c.Pending, c.Slots = 2, 1 }, nil, func(t *testing.T, p *pipes, g *gate.Gate) {
		var slow []*client
		for range 3 { // one in the slot, two ready
			slow = append(slow, p.dial("10.0.0.1").send("G"))
			synctest.Wait()
		}
		late := p.dial("10.0.0.2") // taken from the kernel, but that is all
		go late.send(request)
		more := make(chan *client)
		go func() { more <- p.dial("10.0.0.3") }()
		synctest.Wait()
		select {
		case <-more:
			t.Fatal("the gate goes on accepting although everybody who waits is ready")
		default:
		}
		time.Sleep(6 * time.Second) // the three slow ones
		if got := late.answered(); got != ok {
			t.Errorf("the late one: %s", got)
		}
		if got := (<-more).answered(); got != "open" {
			t.Errorf("the one behind it, which is silent: %s", got)
		}
		for i, c := range slow {
			if got := c.answered(); got != "closed" {
				t.Errorf("slow one %d: %s", i, got)
			}
		}
	})
}

// What has waited for a slot for too long is closed, not served for nobody.
func TestWaitedTooLong(t *testing.T) {
	serve(t, func(c *gate.Config) { c.Slots = 1 }, nil, func(t *testing.T, p *pipes, _ *gate.Gate) {
		for range 8 {
			p.dial("10.0.0.1").send("G")
		}
		last := p.dial("10.0.0.1").send("G")
		time.Sleep(12 * time.Second)
		if got := last.answered(); got != "closed" {
			t.Errorf("after 10 s in the line: %s", got)
		}
	})
}

// Over sockets and TLS, where the hook sees another connection than the gate.
func TestOverTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
	cfg := gate.DefaultConfig()
	cfg.Slots = 1
	g := gate.New(server.Listener, cfg)
	server.Listener = g
	server.Config.ConnState = g.ConnState
	server.StartTLS()
	defer server.Close()
	for i := range 5 { // a slot that is not given back would take 2 s each
		client := server.Client()
		client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}}
		client.Timeout = time.Second
		resp, err := client.Get(server.URL)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		defer client.CloseIdleConnections()
	}
}

// A listener that fails for a moment is the server's affair; one that is closed
// ends it.
func TestListenerFails(t *testing.T) {
	inner := &failing{pipes: newPipes(), errs: []error{errors.New("too many open files")}}
	g := gate.New(inner, gate.DefaultConfig())
	if _, err := g.Accept(); err == nil || err.Error() != "too many open files" {
		t.Errorf("Accept = %v, want the listener's error", err)
	}
	inner.Close()
	for range 2 {
		if _, err := g.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after the listener was closed = %v", err)
		}
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	if err := g.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

type failing struct {
	*pipes
	errs []error
}

func (f *failing) Accept() (net.Conn, error) {
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		return nil, err
	}
	return f.pipes.Accept()
}
