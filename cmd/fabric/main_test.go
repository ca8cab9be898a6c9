package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/petpro/fabric/test/pgtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main() // exits
	}
	pgtest.Main(m)
}

// fabric runs a command line in this process.
func fabric(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var o, e bytes.Buffer
	code = run(ctx, args, &o, &e)
	return code, o.String(), e.String()
}

func TestHelpTeaches(t *testing.T) {
	code, out, _ := fabric(t, "--help")
	if code != 0 {
		t.Fatalf("exit code = %d, want 0", code)
	}
	for _, name := range []string{"dev", "provision", "token", "publish", "tail", "publisher", "config", "version", "completion"} {
		if !strings.Contains(out, "\n  "+name) {
			t.Errorf("fabric --help does not list %s:\n%s", name, out)
		}
		if name == "completion" {
			continue // cobra's own
		}
		code, out, _ := fabric(t, name, "--help")
		if code != 0 || !strings.Contains(out, "Examples:\n  ") {
			t.Errorf("fabric %s --help: exit code %d, no examples in\n%s", name, code, out)
		}
	}
}

func TestExitCodes(t *testing.T) {
	t.Chdir(t.TempDir())
	tests := []struct {
		args []string
		code int
		want string
	}{
		{[]string{}, 0, ""},
		{[]string{"version"}, 0, ""},
		{[]string{"bogus"}, 2, `fabric: unknown command "bogus"`},
		{[]string{"tail", "--nope"}, 2, "unknown flag: --nope"},
		{[]string{"version", "x"}, 2, `unexpected "x"`},
		{[]string{"publish"}, 2, "missing <subject>"},
		{[]string{"publish", "booking.42.reminder"}, 2, "missing <json>"},
		{[]string{"tail", "a", "b"}, 2, "follow one room, or everything"},
		{[]string{"tail", "booking"}, 2, "a room is <kind>.<id>"},
		{[]string{"tail", "order.1"}, 2, `unknown kind "order"`},
		{[]string{"tail", "--since", "yesterday"}, 2, `--since "yesterday" is no duration`},
		{[]string{"tail", "--type", "a.b"}, 2, "--type: not a valid id"},
		{[]string{"token"}, 2, "missing --user"},
		{[]string{"token", "--user", "u_7"}, 1, "no secret to sign with"},
		{[]string{"dev", "--port", "70000"}, 2, "--port 70000: must be 1 to 65532"},
		{[]string{"config", "--set", "edge.lsten=:1"}, 2, "did you mean edge.listen?"},
		{[]string{"config", "--file", "none.yaml"}, 2, "none.yaml: no such file"},
		{[]string{"tail", "--set", "nats.urls=nats://127.0.0.1:1"}, 1, "connect to NATS at nats://127.0.0.1:1: nats: no servers available for connection; start it, or `fabric dev`"},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			code, _, errOut := fabric(t, tt.args...)
			if code != tt.code || !strings.Contains(errOut, tt.want) {
				t.Errorf("exit code = %d, want %d; standard error %q, want %q in it", code, tt.code, errOut, tt.want)
			}
			if code == 0 && errOut != "" {
				t.Errorf("standard error = %q", errOut)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	if _, out, _ := fabric(t, "version"); !strings.HasPrefix(out, "fabric ") || !strings.Contains(out, "go1.") {
		t.Errorf("fabric version = %q", out)
	}
}

func TestCompletion(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"ta"}, "tail\t"},
		{[]string{"config", "--set", ""}, "edge.listen="},
		{[]string{"token", "--ttl", ""}, "24h"},
		{[]string{"tail", "boo"}, "booking."},
		{[]string{"tail", "--since", ""}, "all"},
	}
	for _, tt := range tests {
		if _, out, _ := fabric(t, append([]string{"__complete"}, tt.args...)...); !strings.Contains(out, tt.want) {
			t.Errorf("completion of %q = %q, want %q in it", tt.args, out, tt.want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if code, out, _ := fabric(t, "completion", shell); code != 0 || out == "" {
			t.Errorf("fabric completion %s: exit code %d, %d bytes", shell, code, len(out))
		}
	}
}

func TestConfigHidesSecrets(t *testing.T) {
	const secret = "correct-horse-battery-staple-0123456"
	t.Setenv("FABRIC_AUTH_KEYS", `[{"algorithms":["HS256"],"secret":"`+secret+`"}]`)
	code, out, errOut := fabric(t, "config", "-c", "../../config/petpro.yaml", "--set", "edge.ping=7s")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	if strings.Contains(out, secret) {
		t.Errorf("fabric config shows a secret:\n%s", out)
	}
	for _, want := range []string{"# FABRIC_AUTH_KEYS", "# --set", "# default", "petpro.yaml:", "(hidden)", "bookingId:"} {
		if !strings.Contains(out, want) {
			t.Errorf("fabric config does not say %q:\n%s", want, out)
		}
	}
}

// Everything is wrong in one go: in the file, in values, in the mapping.
func TestConfigTellsEverything(t *testing.T) {
	path := t.TempDir() + "/fabric.yaml"
	text := "edge: { pign: 1s, max_pending: 0 }\nauth: { keys: [{ algorithms: [HS256], secret: tooshort }] }\npublisher: { keep: 0, sources: [{ name: shop, kind: sqlite }] }\n" +
		"mapping: { tables: { bookings: { key: id, columns: [id], events: [{ when: 'changed(', subject: 'booking.{id}.status' }] } } }\n"
	if err := writeFile(path, []byte(text)); err != nil {
		t.Fatal(err)
	}
	code, _, errOut := fabric(t, "config", "-c", path)
	if code != exitUsage {
		t.Errorf("exit code = %d, want %d", code, exitUsage)
	}
	for _, want := range []string{"edge.pign: unknown key", "edge.max_pending: is 0", "publisher.keep: is 0", "publisher.sources[0].sqlite.path: is empty", "mapping.tables.bookings", "auth.keys[0]"} {
		if !strings.Contains(errOut, want) {
			t.Errorf("fabric config does not complain %q:\n%s", want, errOut)
		}
	}
}
