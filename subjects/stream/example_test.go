package stream_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
)

// A writer appends only while the stream ends where it believes; a second
// writer is refused and reads where the stream stands.
func ExampleAppend() {
	connected(func(ctx context.Context, nc *nats.Conn) {
		epoch, err := stream.Ensure(ctx, nc, stream.Config{
			Name: "FABRIC", Kinds: subjects.Kinds{"booking"}, Keep: 128, Retention: 2160 * time.Hour, Replicas: 1,
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		event := func() *nats.Msg {
			return &nats.Msg{Subject: "booking.42.status", Data: []byte(`{"status":"confirmed"}`)}
		}
		seq, err := stream.Append(ctx, nc, "FABRIC", epoch.Seq, event())
		fmt.Println(seq, err)
		_, err = stream.Append(ctx, nc, "FABRIC", epoch.Seq, event())
		fmt.Println(err)
	})
	// Output:
	// 2 <nil>
	// the stream has moved on: append 1 messages to stream FABRIC behind sequence 1: wrong last sequence: 2
}

// connected runs f with a connection to an embedded server. Examples have no
// testing.TB for natstest.
func connected(f func(context.Context, *nats.Conn)) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ns, err := server.NewServer(&server.Options{
		ServerName: "example", DontListen: true, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true,
		JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 1 << 30,
	})
	if err != nil {
		panic(err)
	}
	ns.Start()
	defer ns.WaitForShutdown()
	defer ns.Shutdown()
	closed := make(chan struct{})
	nc, err := nats.Connect("", nats.InProcessServer(ns), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		panic(err)
	}
	defer func() { nc.Close(); <-closed }()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	f(ctx, nc)
}
