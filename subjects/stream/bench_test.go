package stream_test

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/petpro/fabric/subjects/stream"
	"github.com/petpro/fabric/test/natstest"
)

// BenchmarkAppend shows where one by one stops being faster than a batch: the
// publisher's threshold (publisher/sink.go) comes from here.
func BenchmarkAppend(b *testing.B) {
	for _, sync := range []bool{false, true} {
		var opts []natstest.Option
		if sync {
			opts = append(opts, natstest.SyncAlways())
		}
		nc := natstest.Run(b, opts...).Conn(b)
		c := config()
		c.Keep = 128
		e, err := stream.Ensure(b.Context(), nc, c)
		if err != nil {
			b.Fatal(err)
		}
		last := e.Seq
		appendAll := func(b *testing.B, msgs ...*nats.Msg) {
			if last, err = stream.Append(b.Context(), nc, "FABRIC", last, msgs...); err != nil {
				b.Fatal(err)
			}
		}
		for _, n := range []int{1, 4, 8, 16, 100, stream.MaxBatch} {
			if n <= 16 {
				b.Run(fmt.Sprintf("sync=%t/singles/%d", sync, n), func(b *testing.B) {
					for b.Loop() {
						for _, m := range messages(n) {
							appendAll(b, m)
						}
					}
				})
			}
			if n > 1 {
				b.Run(fmt.Sprintf("sync=%t/batch/%d", sync, n), func(b *testing.B) {
					for b.Loop() {
						appendAll(b, messages(n)...)
					}
					b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
				})
			}
		}
	}
}
