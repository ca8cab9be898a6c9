// Command bench measures the fabric with its real binaries: nats-server,
// publisher and edge are processes of their own, so that memory and CPU are
// each one's alone (from /proc, so Linux only). Every figure of
// docs/BENCHMARKS.md comes from it:
//
//	go run ./test/bench latency   commit → client at a steady rate
//	go run ./test/bench bulk      one transaction of 50 000 rows
//	go run ./test/bench small     many transactions of one row
//	go run ./test/bench cost      the shop's transactions a second with and without a publisher
//	go run ./test/bench takeover  a standby takes over
//	go run ./test/bench tail      an edge that only follows the stream
//	go run ./test/bench idle      10 000 idle sessions in two rooms each
//	go run ./test/bench start     fabric dev, from exec to ready
//
// Those of the publisher take -source sqlite, postgres or outbox; a PostgreSQL
// is started for the last two, with its default fsync.
//
// Each prints a table on stdout and its progress on stderr. Machines differ
// and are busy: compare ratios and CPU seconds of one run, not bare times of
// two.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// scenario is one benchmark; it prints its own table.
type scenario struct {
	name, about string
	run         func(ctx context.Context, args []string) error
}

func scenarios() []scenario {
	return []scenario{
		{"latency", "commit → client at a steady rate", latency},
		{"bulk", "one transaction of 50 000 rows", bulk},
		{"small", "many transactions of one row", small},
		{"cost", "the shop's transactions a second with and without a publisher", cost},
		{"takeover", "a standby takes over", takeover},
		{"tail", "an edge that only follows the stream", tail},
		{"idle", "10 000 idle sessions in two rooms each", idle},
		{"start", "fabric dev, from exec to ready", startup},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == natsChild {
		exit(serveNATS(ctx, os.Args[2:]))
	}
	if len(os.Args) > 1 {
		for _, s := range scenarios() {
			if s.name == os.Args[1] {
				exit(s.run(ctx, os.Args[2:]))
			}
		}
	}
	var b strings.Builder
	for _, s := range scenarios() {
		fmt.Fprintf(&b, "  %-8s %s\n", s.name, s.about)
	}
	fmt.Fprintf(os.Stderr, "usage: bench SCENARIO [flags]; SCENARIO -h shows its flags\n%s", b.String())
	os.Exit(2)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// flags of one scenario.
func flags(name string) *flag.FlagSet { return flag.NewFlagSet("bench "+name, flag.ExitOnError) }

// progress tells on stderr what is going on.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
