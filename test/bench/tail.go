package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/subjects/stream"
)

// tail measures what following the stream costs an edge that has no clients:
// the CPU of its process alone, less what it uses when nothing comes.
func tail(ctx context.Context, args []string) error {
	fs := flags("tail")
	seconds := fs.Int("seconds", 10, "how long at each rate")
	profile := fs.String("profile", "", "file to write a CPU profile at 5 000/s to")
	fs.Parse(args)

	r, err := newRig(ctx, false, "edge")
	defer r.close()
	if err != nil {
		return err
	}
	e, err := stream.Ensure(ctx, r.nc, stream.Config{
		Name: "FABRIC", Ingest: "INGEST", Kinds: []string{"booking"}, Keep: 128, Retention: 2160 * time.Hour, Replicas: 1,
	})
	if err != nil {
		return err
	}
	progress("epoch %v", e)
	s, err := r.openShop(ctx, publisher.KindSQLite, "shop", 1)
	if err != nil {
		return err
	}
	file, err := r.configure(ctx, s, "")
	if err != nil {
		return err
	}
	node, url, admin, err := r.edge(ctx, file)
	if err != nil {
		return err
	}
	rest := measure(ctx, node, time.Duration(*seconds)*time.Second)
	fmt.Printf("idle edge: %.2f %% of a core\n\n", 100*rest.Seconds()/float64(*seconds))
	fmt.Printf("| messages/s | messages | edge CPU | per message | nats-server CPU per message |\n|---|---|---|---|---|\n")
	for _, rate := range []int{1000, 5000, 20_000} {
		n := rate * *seconds
		cpu, broker, started := node.cpu(), r.nats.cpu(), time.Now()
		first := watermark(url)
		if rate == 5000 && *profile != "" {
			go download(fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", admin, *seconds-1), *profile)
		}
		if err := r.feed(ctx, rate, n); err != nil {
			return err
		}
		if err := r.await(ctx, "the edge at the end", func() bool { return watermark(url) >= first+uint64(n) }); err != nil {
			return err
		}
		took := time.Since(started)
		used := node.cpu() - cpu - time.Duration(float64(rest)*took.Seconds()/float64(*seconds))
		fmt.Printf("| %.0f | %d | %.2f s | %.1f µs | %.1f µs |\n", float64(n)/took.Seconds(), n, used.Seconds(),
			float64(used.Microseconds())/float64(n), float64((r.nats.cpu()-broker).Microseconds())/float64(n))
	}
	return nil
}

func measure(ctx context.Context, p *process, d time.Duration) time.Duration {
	cpu := p.cpu()
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
	return p.cpu() - cpu
}

// feed publishes n messages of a status event's size at a rate, in slices of
// 2 ms, to 10 000 bookings.
func (r *rig) feed(ctx context.Context, rate, n int) error {
	progress("%d messages at %d/s", n, rate)
	payload := []byte(`{"bookingId":"b_1234","status":"confirmed","updatedAt":"2026-11-22T10:30:00.123Z","message":"Booking has been confirmed by the vendor, see you soon"}`)
	start := time.Now()
	for sent := 0; sent < n; {
		due := min(n, int(time.Since(start).Seconds()*float64(rate)))
		for ; sent < due; sent++ {
			m := nats.NewMsg(fmt.Sprintf("booking.b_%d.status", sent%10_000))
			m.Data = payload
			m.Header["Fabric-Time"] = []string{"2026-11-22T10:30:00.123Z"}
			m.Header["Fabric-Position"] = []string{"shop=1234567/0/1;map=9f3c0000"}
			if err := r.nc.PublishMsg(m); err != nil {
				return err
			}
		}
		if err := r.nc.Flush(); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		time.Sleep(2 * time.Millisecond)
	}
	return nil
}
