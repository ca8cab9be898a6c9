package check_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/cmd/internal/check"
	"github.com/petpro/fabric/config"
	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
	"github.com/petpro/fabric/test/natstest"
)

func TestMain(m *testing.M) { natstest.Main(m) }

var streams = stream.Config{Name: "FABRIC", Ingest: "INGEST", Kinds: subjects.Kinds{"booking"}, Keep: 128, Retention: time.Hour, Replicas: 1}

// accounts runs a server with the accounts of deploy/nats.conf after edit, in
// which the publisher's password is "secret".
func accounts(t *testing.T, edit func(conf string) string) *natstest.Server {
	t.Helper()
	conf, err := os.ReadFile("../../../deploy/nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"PUBLISHER", "EDGE", "VIEWER", "SERVICE"} {
		t.Setenv("NATS_"+name+"_PASSWORD", "secret")
	}
	path := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(path, []byte(edit(string(conf))), 0o600); err != nil {
		t.Fatal(err)
	}
	opts, err := server.ProcessConfigFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return natstest.Run(t, func(o *server.Options) { o.Accounts, o.Users = opts.Accounts, opts.Users })
}

func asItIs(conf string) string { return conf }

// login is how the publisher of deploy/nats.conf connects.
func login(s *natstest.Server, password string) config.NATS {
	return config.NATS{URLs: []string{strings.Replace(s.URL(), "://", "://publisher:"+password+"@", 1)}}
}

func askNATS(t *testing.T, c config.NATS, want stream.Config) check.Part {
	t.Helper()
	p, nc := check.NATS(t.Context(), c, want)
	if nc != nil {
		nc.Close()
	}
	return p
}

// TestNATSOfTheDeployment: the publisher may do all that it has to, and to find
// that out stores nothing.
func TestNATSOfTheDeployment(t *testing.T) {
	srv := accounts(t, asItIs)
	p := askNATS(t, login(srv, "secret"), streams)
	if len(p.Problems) > 0 || !slices.ContainsFunc(p.Fine, func(s string) bool { return strings.Contains(s, "its first start will create stream INGEST") }) {
		t.Fatalf("before the first start: %q, fine %q", p.Problems, p.Fine)
	}
	nc, err := nats.Connect(login(srv, "secret").URLs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := stream.Ensure(t.Context(), nc, streams); err != nil {
		t.Fatal(err)
	}
	before, err := stream.NewLeader(nc, "FABRIC").State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p = askNATS(t, login(srv, "secret"), streams)
	if len(p.Problems) > 0 || len(p.Fine) != 2 || !strings.Contains(p.Fine[1], "as configured, epoch ") {
		t.Errorf("after the first start: %q, fine %q", p.Problems, p.Fine)
	}
	after, err := stream.NewLeader(nc, "FABRIC").State(t.Context())
	if err != nil || after.Last != before.Last || after.Messages != before.Messages {
		t.Errorf("asking changed the stream from %+v to %+v, %v", before, after, err)
	}
}

func TestNATSProblems(t *testing.T) {
	without := func(subjects ...string) func(string) string {
		return func(conf string) string {
			for _, s := range subjects {
				conf = strings.Replace(conf, `"`+s+`"`, "", 1)
			}
			return conf
		}
	}
	tests := []struct {
		name       string
		edit       func(string) string
		password   string
		alter      func(*stream.Config)
		what, mend []string
	}{
		{name: "a wrong password", password: "guess", what: []string{"Authorization Violation", "publisher:(hidden)@"}, mend: []string{"nats.creds"}},
		{name: "rights to publish", edit: without("booking.>", "fabric.>", "$JS.API.CONSUMER.MSG.NEXT.INGEST.>"),
			what: []string{"refuses what the publisher has to do"}, mend: []string{`"booking.>"`, `"fabric.>"`, `"$JS.API.CONSUMER.MSG.NEXT.INGEST.>"`}},
		{name: "a kind of its own", alter: func(c *stream.Config) { c.Kinds = append(slices.Clone(c.Kinds), "order") },
			what: []string{"refuses"}, mend: []string{`add to the user's permissions { publish: […] } in nats-server's configuration: "order.>"`}},
		{name: "rights to ask", edit: without("$JS.API.STREAM.INFO.FABRIC"), what: []string{"refuses"}, mend: []string{`"$JS.API.STREAM.INFO.FABRIC"`}},
		{name: "rights to create", edit: without("$JS.API.STREAM.CREATE.FABRIC"),
			what: []string{"would have to create stream INGEST, create stream FABRIC, and may not"}, mend: []string{"fabric provision", `"$JS.API.STREAM.CREATE.FABRIC"`}},
		{name: "an impossible number", alter: func(c *stream.Config) { c.Replicas = 2 }, what: []string{"publisher.replicas: is 2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.edit == nil {
				tt.edit = asItIs
			}
			if tt.password == "" {
				tt.password = "secret"
			}
			want := streams
			if tt.alter != nil {
				tt.alter(&want)
			}
			p := askNATS(t, login(accounts(t, tt.edit), tt.password), want)
			if len(p.Problems) != 1 || p.Problems[0].Advice {
				t.Fatalf("problems = %q, want one", p.Problems)
			}
			for _, s := range tt.what {
				if !strings.Contains(p.Problems[0].What, s) {
					t.Errorf("problem %q, want %q in it", p.Problems[0].What, s)
				}
			}
			for _, s := range tt.mend {
				if !strings.Contains(p.Problems[0].Mend, s) {
					t.Errorf("mend %q, want %q in it", p.Problems[0].Mend, s)
				}
			}
			if strings.Contains(p.Problems[0].Error(), tt.password) {
				t.Errorf("problem %q shows the password", p.Problems[0])
			}
		})
	}
}

func TestNATSAway(t *testing.T) {
	srv := natstest.Run(t)
	c := config.NATS{URLs: []string{srv.URL()}}
	srv.Stop()
	if p := askNATS(t, c, streams); len(p.Problems) != 1 || !strings.Contains(p.Problems[0].Mend, "start nats-server") {
		t.Errorf("problems = %q", p.Problems)
	}
	bare := natstest.Run(t, natstest.WithoutJetStream())
	if p := askNATS(t, config.NATS{URLs: []string{bare.URL()}}, streams); len(p.Problems) == 0 || !strings.Contains(p.Problems[0].What, "start nats-server with JetStream enabled") {
		t.Errorf("without JetStream: %q", p.Problems)
	}
}

// A stream that was made by hand is refused with each setting that differs, and
// messages of somebody else are told as advice.
func TestNATSStreams(t *testing.T) {
	srv := natstest.Run(t)
	c := config.NATS{URLs: []string{srv.URL()}}
	js := srv.JS(t)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "FABRIC", Subjects: []string{"booking.>"}, MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if p := askNATS(t, c, streams); len(p.Problems) != 1 || !strings.Contains(p.Problems[0].What, "max_age is 1h0m0s, must be 0s") {
		t.Errorf("a stream of somebody else: %q", p.Problems)
	}
	if err := js.DeleteStream(t.Context(), "FABRIC"); err != nil {
		t.Fatal(err)
	}
	e, err := stream.Ensure(t.Context(), srv.Conn(t), streams)
	if err != nil {
		t.Fatal(err)
	}
	position := nats.NewMsg(subjects.PositionSubject)
	position.Header.Set(subjects.PositionHeader, publisher.Positions{Map: "x"}.String())
	last, err := stream.Append(t.Context(), srv.Conn(t), "FABRIC", e.Seq, position)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Append(t.Context(), srv.Conn(t), "FABRIC", last, nats.NewMsg("booking.1.status"), nats.NewMsg("booking.2.status")); err != nil {
		t.Fatal(err)
	}
	p := askNATS(t, c, streams)
	if len(p.Problems) != 1 || !p.Problems[0].Advice || !strings.Contains(p.Problems[0].What, "somebody else has published 2 messages to FABRIC") {
		t.Errorf("foreign messages: %q", p.Problems)
	}
}
