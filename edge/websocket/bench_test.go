package websocket_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/petpro/fabric/edge/websocket"
)

// BenchmarkDeliver: one event to every member of a room, flushed in bursts, over
// loopback with the clients in the same process. "raw" is the floor: a bare
// write(2) of the same frame per client.
func BenchmarkDeliver(b *testing.B) {
	for _, bench := range []struct{ clients, burst int }{{2, 1}, {2, 10}, {100, 1}, {100, 10}} {
		b.Run(fmt.Sprintf("clients=%d/burst=%d", bench.clients, bench.burst), func(b *testing.B) {
			e := start(b, options{noPings: true, config: func(c *websocket.Config) { c.QueueBytes, c.QueueFrames = 64<<20, 1<<20 }})
			var readers sync.WaitGroup
			for range bench.clients {
				c := e.connect(b)
				c.SetReadDeadline(time.Time{})
				readers.Go(func() { io.Copy(io.Discard, c.NetConn()) })
			}
			seq := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				e.do(func() {
					for range bench.burst {
						seq++
						m := event(seq, `{"bookingId":"42","status":"confirmed","updatedAt":"2026-11-22T10:30:00Z","message":"Booking has been confirmed"}`)
						for _, s := range e.sessions {
							s.client.Event(m, false)
						}
					}
					for _, s := range e.sessions {
						s.client.Flush()
					}
				})
			}
			deliveries := float64(bench.clients) * float64(bench.burst)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/deliveries, "ns/delivery")
			e.stop()
			readers.Wait()
		})
	}
	b.Run("raw", benchmarkRaw)
}

func benchmarkRaw(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	var reader sync.WaitGroup
	reader.Go(func() { io.Copy(io.Discard, client) })
	frame := make([]byte, 260)
	for b.Loop() {
		if _, err := server.Write(frame); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/delivery")
	server.Close()
	reader.Wait()
	client.Close()
}

// BenchmarkIdle: what a connected client that does nothing costs the edge's
// heap and stacks. The client's end is a bare socket, so that next to nothing
// of it is counted.
func BenchmarkIdle(b *testing.B) {
	const clients = 2000
	for b.Loop() {
		e := start(b, options{noPings: true})
		before := settled()
		conns := make([]net.Conn, clients)
		for i := range conns {
			conns[i] = bare(b, e)
		}
		for i := range clients {
			e.session(b, i).await(b, "connect u_7")
		}
		b.ReportMetric(float64(settled()-before)/clients, "B/client")
		for _, c := range conns {
			c.Close()
		}
		e.stop()
	}
}

// settled is the memory of heap and stacks after a collection.
func settled() uint64 {
	for range 4 {
		runtime.GC() // stacks shrink by half at each
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// bare is a client without a library: handshake and connect in one write.
func bare(b *testing.B, e *edge) net.Conn {
	b.Helper()
	nc, err := net.Dial("tcp", e.server.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	connect := whole(0x81, fmt.Sprintf(`{"id":1,"connect":{"token":%q}}`, benchToken(b)))
	if _, err := nc.Write(append([]byte(upgradeRequest), connect...)); err != nil {
		b.Fatal(err)
	}
	return nc
}

var benchToken = func() func(testing.TB) string {
	var once sync.Once
	var s string
	return func(t testing.TB) string { once.Do(func() { s = token(t, "u_7") }); return s }
}()
