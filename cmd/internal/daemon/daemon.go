// Package daemon is what the services' main functions have in common: flags,
// configuration, signals and exit codes.
//
// SIGTERM and SIGINT end a service in good order; a second one ends it at
// once. The exit code is 0 after a signal, 1 if the service could not go on,
// and 2 if its configuration or command line is wrong.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/pflag"

	"github.com/petpro/fabric/config"
)

// Service is one program. C is the service's own configuration.
type Service[C any] struct {
	Name string
	// About says in a sentence what the program does.
	About string
	// Configure makes the service's configuration of the whole; its error is a
	// *config.Error.
	Configure func(config.Config, config.Origins) (C, error)
	// Serve runs until ctx ends, and returns nil then.
	Serve func(ctx context.Context, cfg C, all config.Config, log *slog.Logger) error
}

// Main runs the service under the process's arguments and signals, and exits.
func (s Service[C]) Main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal finds nobody and kills
	os.Exit(s.Run(ctx, os.Args[1:], os.Stderr))
}

// Run runs the service with these arguments and returns the exit code.
func (s Service[C]) Run(ctx context.Context, args []string, errOut io.Writer) int {
	var o config.Options
	flags := pflag.NewFlagSet(s.Name, pflag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.Usage = func() {
		fmt.Fprintf(errOut, "%s\n\nUsage:\n  %s [--config FILE] [--set key=value]…\n\n%s\nEvery key can also be set in the environment: edge.ping is FABRIC_EDGE_PING.\n`fabric config` shows what is in force.\n",
			s.About, s.Name, flags.FlagUsages())
	}
	o.Flags(flags)
	err := flags.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return 0
	case err == nil && flags.NArg() > 0:
		err = fmt.Errorf("unexpected %q", flags.Arg(0))
		fallthrough
	case err != nil:
		fmt.Fprintf(errOut, "%s: %v\nRun '%s --help' for usage.\n", s.Name, err, s.Name)
		return 2
	}
	switch err := s.serve(ctx, o, errOut); {
	case err == nil:
		return 0
	default:
		fmt.Fprintf(errOut, "%s: %v\n", s.Name, err)
		if _, ok := errors.AsType[*config.Error](err); ok {
			return 2
		}
		return 1
	}
}

func (s Service[C]) serve(ctx context.Context, o config.Options, errOut io.Writer) error {
	c, origins, loadErr := config.Load(o)
	cfg, err := s.Configure(c, origins)
	if err := config.Merge(loadErr, err); err != nil {
		return err
	}
	return s.Serve(ctx, cfg, c, c.Logger(errOut))
}

// Registry holds the metrics of the process and of Go's runtime.
func Registry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}
