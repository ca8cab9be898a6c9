package feed_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/petpro/fabric/edge/feed"
	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
)

// benchServer, in the environment, makes the test binary a nats-server with a
// publisher of that many messages a second, so that the benchmark's own process
// is nothing but an edge. With 0 it publishes benchBacklog messages beforehand
// and none later.
const (
	benchServer  = "FABRIC_FEED_BENCH_RATE"
	benchBacklog = 100_000
)

// BenchmarkTail reports the CPU time of an edge that only tails, NATS client
// included, server and publisher apart. At a rate most of it is one read(2)
// and three wake-ups a message; the backlog shows the work itself.
func BenchmarkTail(b *testing.B) {
	for _, rate := range []int{5000, 20_000} {
		b.Run(fmt.Sprintf("%d a second", rate), func(b *testing.B) { benchTail(b, rate) })
	}
	b.Run("backlog", benchWarm)
}

// benchWarm warms the ring from storage.
func benchWarm(b *testing.B) {
	nc, err := nats.Connect(startBenchServer(b, 0))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	read := uint64(0)
	before := cpu(b)
	for b.Loop() {
		f := feed.New(feed.DefaultConfig(), nc, logger(), nil)
		ctx, cancel := context.WithCancel(context.Background())
		ready := make(chan struct{}, 1)
		f.Attach(func() {
			if f.View().Ready {
				select {
				case ready <- struct{}{}:
				default:
				}
			}
		})
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		<-ready
		v := f.View()
		read += v.Last - v.From + 1
		cancel()
		<-done
	}
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/1000/float64(read), "cpu-µs/msg")
}

func benchTail(b *testing.B, rate int) {
	nc, err := nats.Connect(startBenchServer(b, rate))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	f := feed.New(feed.DefaultConfig(), nc, logger(), nil)
	wake := make(chan struct{}, 1)
	f.Attach(func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-done })
	v := await(b, f, "ready", func(v hub.View) bool { return v.Ready && v.Last > 100 })

	at, buf := v.Last, make([]*hub.Message, 0, 256)
	var unread []*hub.Message
	read := 0
	before := cpu(b)
	for b.Loop() {
		for len(unread) == 0 {
			msgs, _, ok := f.Read(v.Gen, at, buf)
			if !ok {
				b.Fatalf("Read behind %d is not ok, the view is %+v", at, f.View())
			}
			if unread = msgs; len(msgs) == 0 {
				<-wake
				continue
			}
			at = msgs[len(msgs)-1].Seq
			read += len(msgs)
		}
		unread = unread[1:]
	}
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/1000/float64(read), "cpu-µs/msg")
}

// cpu is the processor time of this process so far.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// startBenchServer runs this binary as a server until the benchmark ends, and
// returns its URL.
func startBenchServer(b *testing.B, rate int) string {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", benchServer, rate), "TMPDIR="+b.TempDir())
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	})
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatalf("the server did not start: %v", err)
	}
	return strings.TrimSpace(url)
}

// serveBench is the other process: it serves and publishes until its standard
// input ends.
func serveBench() {
	var rate int
	if _, err := fmt.Sscan(os.Getenv(benchServer), &rate); err != nil {
		panic(err)
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		panic(err)
	}
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true})
	if err != nil {
		panic(err)
	}
	srv.Start()
	srv.ReadyForConnections(patience)
	nc, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		panic(err)
	}
	cfg := stream.Config{Name: streamName, Kinds: subjects.Kinds{"booking"}, Keep: 128, Retention: retention, Replicas: 1}
	if _, err := stream.Ensure(context.Background(), nc, cfg); err != nil {
		panic(err)
	}
	if rate == 0 {
		publish(nc, benchBacklog, func(int) {})
	}
	fmt.Println(srv.ClientURL())
	ctx, cancel := context.WithCancel(context.Background())
	published := make(chan struct{})
	go func() {
		defer close(published)
		if rate > 0 {
			publishSteadily(ctx, nc, rate)
		}
	}()
	io.Copy(io.Discard, os.Stdin)
	cancel()
	<-published
	nc.Close()
	srv.Shutdown()
	srv.WaitForShutdown()
}

// publishSteadily publishes one message at a time, evenly spread, as a shop's
// changes come.
func publishSteadily(ctx context.Context, nc *nats.Conn, rate int) {
	began := time.Now()
	for n := 0; ctx.Err() == nil; {
		n += publish(nc, 1, func(int) {
			if due := began.Add(time.Duration(n) * time.Second / time.Duration(rate)); time.Until(due) > 50*time.Microsecond {
				time.Sleep(time.Until(due))
			}
		})
	}
}

// publish sends n messages and waits until the server has them.
// JetStream's acknowledgements are not asked for.
func publish(nc *nats.Conn, n int, before func(i int)) int {
	data := []byte(`{"bookingId":"` + strings.Repeat("x", 24) + `","status":"confirmed","updatedAt":"2026-11-22T10:30:00.123Z","message":"Booking has been confirmed by the vendor and the customer was told about it by mail as well."}`)
	for i := range n {
		before(i)
		m := nats.NewMsg(fmt.Sprintf("booking.%024x.status", rand.IntN(20_000)))
		m.Data = data
		m.Header.Set(subjects.TimeHeader, time.Now().UTC().Format(time.RFC3339Nano))
		m.Header.Set(subjects.PositionHeader, fmt.Sprintf("petpro=%d/0/1;map=9f3c01ab", i))
		nc.PublishMsg(m)
	}
	nc.Flush()
	return n
}
