package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/petpro/fabric/cmd/internal/daemon"
	"github.com/petpro/fabric/config"
	"github.com/petpro/fabric/edge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is an edge that does what serve does.
func service(serve func(ctx context.Context, cfg edge.Config) error) daemon.Service[edge.Config] {
	return daemon.Service[edge.Config]{
		Name: "edge", About: "edge serves clients.", Configure: config.Config.EdgeConfig,
		Serve: func(ctx context.Context, cfg edge.Config, _ config.Config, log *slog.Logger) error {
			log.Info("serving", "listen", cfg.Listen)
			return serve(ctx, cfg)
		},
	}
}

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "fabric.yaml")
	if err := os.WriteFile(file, []byte("edge: { lsten: ':1', max_pending: 0 }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		args  []string
		serve error
		code  int
		want  string
	}{
		{name: "a signal", code: 0, want: "msg=serving listen=:8080"},
		{name: "configured", args: []string{"--set", "edge.listen=:1"}, code: 0, want: "listen=:1"},
		{name: "help", args: []string{"--help"}, code: 0, want: "edge serves clients.\n\nUsage:\n  edge [--config FILE]"},
		{name: "it could not go on", serve: errors.New("no disk"), code: 1, want: "edge: no disk\n"},
		{name: "an unknown flag", args: []string{"--nope"}, code: 2, want: "unknown flag: --nope\nRun 'edge --help'"},
		{name: "an argument", args: []string{"now"}, code: 2, want: `unexpected "now"`},
		{name: "a file that is wrong twice", args: []string{"-c", file}, code: 2, want: "did you mean edge.listen?"},
		{name: "the second complaint", args: []string{"-c", file}, code: 2, want: "edge.max_pending: is 0"},
		{name: "no file", args: []string{"-c", filepath.Join(dir, "none")}, code: 2, want: "no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, signal := context.WithCancel(t.Context())
			var out bytes.Buffer
			code := service(func(ctx context.Context, _ edge.Config) error {
				signal()
				<-ctx.Done()
				return tt.serve
			}).Run(ctx, tt.args, &out)
			if code != tt.code || !strings.Contains(out.String(), tt.want) {
				t.Errorf("exit code = %d, want %d; told %q, want %q in it", code, tt.code, out.String(), tt.want)
			}
		})
	}
}

func TestRegistryHoldsTheProcess(t *testing.T) {
	families, err := daemon.Registry().Gather()
	if err != nil || len(families) == 0 {
		t.Errorf("%d families, %v", len(families), err)
	}
}
