package main

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/cmd/internal/daemon/daemontest"
	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/test/natstest"
)

func TestProvisionTellsWhatItDid(t *testing.T) {
	srv := natstest.Run(t)
	at := "--set=nats.urls=" + srv.URL()
	for _, step := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"stream FABRIC   created", "stream INGEST   created", `epoch  \w{10} new: new stream \(keep 128, retention 2160h0m0s\)`}},
		{nil, []string{"stream FABRIC   checked, as configured", "stream INGEST   checked", `epoch  \w{10} unchanged`}},
		{[]string{"--set", "publisher.keep=64"}, []string{`epoch  \w{10} new: limits changed \(keep 64`}},
	} {
		code, out, errOut := fabric(t, append([]string{"provision", at}, step.args...)...)
		if code != 0 {
			t.Fatalf("exit code %d: %s", code, errOut)
		}
		for _, want := range step.want {
			if !regexp.MustCompile(want).MatchString(out) {
				t.Errorf("fabric provision %v does not say %q:\n%s", step.args, want, out)
			}
		}
	}
}

func TestPublishIntoIngest(t *testing.T) {
	srv := natstest.Run(t)
	at := "--set=nats.urls=" + srv.URL()
	const subject, payload = "booking.42.reminder", `{"text":"see you at ten"}`
	if code, _, errOut := fabric(t, "publish", at, subject, payload); code != exitFailure || !strings.Contains(errOut, "fabric provision") {
		t.Errorf("publish without streams: exit code %d, %s", code, errOut)
	}
	if code, _, errOut := fabric(t, "provision", at); code != 0 {
		t.Fatal(errOut)
	}
	code, out, errOut := fabric(t, "publish", at, "--id", "once", subject, payload)
	if code != 0 || !strings.Contains(out, "INGEST sequence 1, id once") {
		t.Errorf("publish: exit code %d, %q, %s", code, out, errOut)
	}
	if _, out, _ := fabric(t, "publish", at, "--id", "once", subject, payload); !strings.Contains(out, "was published before") {
		t.Errorf("publish again: %q", out)
	}
	m, err := stored(t, srv.JS(t), "INGEST", 1)
	if err != nil || m.Subject != "ingest."+subject || string(m.Data) != payload || m.Header.Get(nats.MsgIdHdr) != "once" {
		t.Errorf("stored = %+v, %v", m, err)
	}
	if code, _, errOut := fabric(t, "publish", at, "user.u_7.control", `{"notBefore":1763800000}`); code != 0 {
		t.Errorf("a log-out: %s", errOut)
	}
}

func stored(t *testing.T, js jetstream.JetStream, stream string, seq uint64) (*jetstream.RawStreamMsg, error) {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.GetMsg(t.Context(), seq)
}

func TestPublishChecksFirst(t *testing.T) {
	tests := []struct{ subject, payload, want string }{
		{"booking.42", "{}", "fewer than three tokens"},
		{"ingest.booking.42.reminder", "{}", "leave the prefix"},
		{"order.42.reminder", "{}", `unknown kind "order"`},
		{"booking.4 2.reminder", "{}", "without blanks"},
		{"booking.42.access", "{}", "only the publisher writes these records"},
		{"user.u_7.booking.42", "{}", "only the publisher writes these records"},
		{"user.u_7.status", "{}", `users get "notification" and "control" only`},
		{"user.ann@example.com.notification", "{}", "not a valid id"},
		{"user.u_7.control", "{}", "notBefore"},
		{"booking.42.reminder", "{", "the payload is not JSON"},
		{"booking.42.reminder", `"` + strings.Repeat("x", 16<<10) + `"`, "the payload is too large"},
	}
	for _, tt := range tests {
		code, _, errOut := fabric(t, "publish", "--set=nats.urls=nats://127.0.0.1:1", tt.subject, tt.payload)
		if code != exitUsage || !strings.Contains(errOut, tt.want) {
			t.Errorf("publish %s %.20s: exit code %d, %q; want %q in it", tt.subject, tt.payload, code, errOut, tt.want)
		}
	}
}

func TestPayloadFromStandardInput(t *testing.T) {
	got, err := payloadOf("-", strings.NewReader(" {\"a\":1}\n"))
	if err != nil || string(got) != `{"a":1}` {
		t.Errorf("payloadOf(-) = %q, %v", got, err)
	}
}

// tailing runs `fabric tail` until the test ends.
func tailing(t *testing.T, args ...string) *daemontest.Output {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var out, errOut daemontest.Output
	var wg sync.WaitGroup
	var code int
	wg.Go(func() { code = run(ctx, append([]string{"tail"}, args...), &out, &errOut) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if code != 0 {
			t.Errorf("fabric tail %v: exit code %d: %s", args, code, errOut.String())
		}
	})
	return &out
}

// put appends a message to the stream as the publisher would.
func put(t *testing.T, nc *nats.Conn, subject, data string, lag time.Duration) {
	t.Helper()
	m := nats.NewMsg(subject)
	m.Data = []byte(data)
	m.Header.Set(subjects.TimeHeader, time.Now().Add(-lag).UTC().Format(time.RFC3339Nano))
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func TestTail(t *testing.T) {
	srv := natstest.Run(t)
	at := "--set=nats.urls=" + srv.URL()
	if code, _, errOut := fabric(t, "tail", at); code != exitFailure || !strings.Contains(errOut, "fabric provision") {
		t.Errorf("tail without a stream: exit code %d, %s", code, errOut)
	}
	if code, _, errOut := fabric(t, "provision", at); code != 0 {
		t.Fatal(errOut)
	}
	nc := srv.Conn(t)
	put(t, nc, "booking.42.access", `{"participants":{"u_9":"vendor","u_7":"customer"}}`, 0)
	put(t, nc, "booking.42.status", `{"status":"pending"}`, 0)
	put(t, nc, "booking.43.status", `{"status":"confirmed"}`, 0)

	all := tailing(t, at, "--since", "all")
	one := tailing(t, at, "--since", "1h", "booking.42")
	raw := tailing(t, at, "--since", "all", "--records")
	user := tailing(t, at, "--since", "all", "user.u_7")
	typed := tailing(t, at, "--since", "all", "--type", "status", "--json")
	// What follows proves that each of them is live.
	put(t, nc, "user.u_7.booking.42", `{"role":"customer","open":true}`, 0)
	put(t, nc, "user.u_7.notification", `{"title":"Hello","message":"there\u001b[31m"}`, 0)
	put(t, nc, "booking.42.status", `{"status":"cancelled"}`, 1500*time.Millisecond)
	put(t, nc, "user.u_7.notification", `{"title":"bye"}`, 0)

	wantLines(t, all, `^..:..:..\....  +\d+\.\d ms  booking.42 +status +pending$`, `booking.43 +status +confirmed$`,
		`user.u_7 +notification +Hello: there·\[31m$`, `15\d\d\.\d ms  booking.42 +status +cancelled$`, `bye$`)
	wantLines(t, one, `booking.42 +status +pending$`, `booking.42 +status +cancelled$`)
	wantLines(t, raw, ` epoch +\w{10} \(new stream\)$`, `booking.42 +access +u_7 customer, u_9 vendor$`, `pending$`, `confirmed$`,
		`user.u_7 +index +booking.42 \{"role":"customer","open":true\}$`, `Hello`, `cancelled$`, `bye$`)
	wantLines(t, user, `Hello`, `bye$`)
	wantLines(t, typed, `pending`, `confirmed`, `cancelled`)

	last := strings.Split(strings.TrimSpace(typed.String()), "\n")[2]
	var l line
	if err := json.Unmarshal([]byte(last), &l); err != nil {
		t.Fatalf("%s: %v", last, err)
	}
	if l.Room != "booking.42" || l.Type != "status" || l.Seq == 0 || l.LagMs == nil || *l.LagMs < 1500 || string(l.Data) != `{"status":"cancelled"}` {
		t.Errorf("--json = %s", last)
	}
}

// wantLines waits for as many lines as there are patterns and matches them in
// order.
func wantLines(t *testing.T, out *daemontest.Output, patterns ...string) {
	t.Helper()
	daemontest.Eventually(t, func() error {
		if n := strings.Count(out.String(), "\n"); n < len(patterns) {
			return fmt.Errorf("%d lines, want %d:\n%s", n, len(patterns), out)
		}
		return nil
	})
	lines := slices.Collect(strings.Lines(out.String()))
	if len(lines) != len(patterns) {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), len(patterns), out)
	}
	for i, p := range patterns {
		if !regexp.MustCompile(p).MatchString(strings.TrimSuffix(lines[i], "\n")) {
			t.Errorf("line %d is %q, want %s", i+1, lines[i], p)
		}
	}
}

// A tail outlives its broker.
func TestTailSurvivesARestart(t *testing.T) {
	srv := natstest.Run(t)
	at := "--set=nats.urls=" + srv.URL()
	if code, _, errOut := fabric(t, "provision", at); code != 0 {
		t.Fatal(errOut)
	}
	out := tailing(t, at, "--since", "all")
	nc := srv.Conn(t)
	put(t, nc, "booking.42.status", `{"status":"pending"}`, 0)
	wantLines(t, out, "pending$")
	srv.Restart(t)
	daemontest.Eventually(t, func() error { return nc.FlushTimeout(time.Second) })
	put(t, nc, "booking.42.status", `{"status":"confirmed"}`, 0)
	wantLines(t, out, "pending$", "confirmed$")
}

func TestBegin(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		since  string
		policy jetstream.DeliverPolicy
		at     time.Time
		ok     bool
	}{
		{"", jetstream.DeliverNewPolicy, time.Time{}, true},
		{"all", jetstream.DeliverAllPolicy, time.Time{}, true},
		{"90m", jetstream.DeliverByStartTimePolicy, now.Add(-90 * time.Minute), true},
		{"2026-11-22T10:30:00Z", jetstream.DeliverByStartTimePolicy, time.Date(2026, 11, 22, 10, 30, 0, 0, time.UTC), true},
		{"-5m", 0, time.Time{}, false},
		{"noon", 0, time.Time{}, false},
	}
	for _, tt := range tests {
		c := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverNewPolicy}
		err := tailOptions{since: tt.since}.begin(&c, now)
		if (err == nil) != tt.ok {
			t.Errorf("--since %q: %v", tt.since, err)
			continue
		}
		if tt.ok && (c.DeliverPolicy != tt.policy || (c.OptStartTime == nil) != tt.at.IsZero() || c.OptStartTime != nil && !c.OptStartTime.Equal(tt.at)) {
			t.Errorf("--since %q = %v from %v, want %v from %v", tt.since, c.DeliverPolicy, c.OptStartTime, tt.policy, tt.at)
		}
	}
}

// What others have written cannot drive the terminal.
func TestPrintable(t *testing.T) {
	if got := printable("a\x1b]0;x\x07b\nc\u202ed"); got != "a·]0;x·b·c·d" {
		t.Errorf("printable = %q", got)
	}
	if got := []rune(printable(strings.Repeat("ü", 200))); len(got) != maxSummary {
		t.Errorf("printable keeps %d characters, want %d", len(got), maxSummary)
	}
}
