// Command fabric is the operator's and developer's tool: `fabric dev` runs the
// whole fabric on one machine, the other commands provision, watch and feed a
// running one. See `fabric --help`.
//
// Standard output carries results only, so that it can be piped; everything
// else goes to standard error. The exit code is 0, 1 if it went wrong, and 2
// if it was asked for in a way it does not understand.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/petpro/fabric/config"
)

const (
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil || errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return 0
	}
	fmt.Fprintf(errOut, "%s: %v\n", cmd.CommandPath(), err)
	if _, ok := errors.AsType[usageError](err); ok {
		fmt.Fprintf(errOut, "Run '%s --help' for usage.\n", cmd.CommandPath())
		return exitUsage
	}
	if _, ok := errors.AsType[*config.Error](err); ok {
		return exitUsage
	}
	return exitFailure
}

// usageError is a command line that is not understood.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// global holds what every command shares.
type global struct {
	config config.Options
	data   string
}

func newRoot() *cobra.Command {
	g := &global{data: defaultData}
	root := &cobra.Command{
		Use:   "fabric",
		Short: "Events from a booking database to the right clients, within milliseconds",
		Long: `fabric carries changes of a shop's database to the clients entitled to see them,
over NATS JetStream and any number of stateless edges. Who was away gets exactly
what they missed, in order, once.

Start with:

  fabric dev        everything on this machine, with a page to look at

and in another terminal:

  fabric tail       watch what is published
  fabric token      make a token to connect with`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newDev(g), newProvision(g), newToken(g), newPublish(g), newTail(g), newPublisher(g), newConfig(g), newVersion())
	return root
}

// flags adds what commands that talk to a fabric share: its configuration, and
// the directory of a running dev.
func (g *global) flags(cmd *cobra.Command) {
	g.configFlags(cmd.Flags())
	cmd.Flags().StringVar(&g.data, "data", g.data, "data `directory` of a running `fabric dev`")
	g.complete(cmd)
}

func (g *global) configFlags(fs *pflag.FlagSet) { g.config.Flags(fs) }

// complete offers files for --config, directories for --data, keys for --set.
func (g *global) complete(cmd *cobra.Command) {
	_ = cmd.MarkFlagFilename("config", "yaml", "yml") // the flags exist
	if cmd.Flags().Lookup("data") != nil {
		_ = cmd.MarkFlagDirname("data")
	}
	_ = cmd.RegisterFlagCompletionFunc("set", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		keys := config.Keys()
		for i := range keys {
			keys[i] += "="
		}
		return keys, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	})
}

// exactly is cobra.ExactArgs with a sentence that says what is missing.
func exactly(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usagef("missing <%s>", names[len(args)])
		case len(args) > len(names):
			return usagef("unexpected %q", args[len(names)])
		}
		return nil
	}
}
