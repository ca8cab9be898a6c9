package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// small changes one booking a transaction, over several connections as fast as
// they can, and measures whether the publisher keeps up and what it costs.
func small(ctx context.Context, args []string) error {
	fs := flags("small")
	source, identity := sourceFlag(fs), identityFlag(fs)
	writers := fs.Int("writers", 8, "connections")
	seconds := fs.Int("seconds", 15, "how long")
	fs.Parse(args)

	r, err := newRig(ctx, false, "publisher")
	defer r.close()
	if err != nil {
		return err
	}
	s, err := r.openShop(ctx, *source, "shop", 10_000)
	if err != nil {
		return err
	}
	s.identity = *identity
	file, err := r.configure(ctx, s, onlyStatus)
	if err != nil {
		return err
	}
	pub, err := r.publisher(ctx, file)
	if err != nil {
		return err
	}
	first, cpu, broker := r.end(ctx), pub.cpu(), r.nats.cpu()
	progress("%d writers for %d s", *writers, *seconds)
	began := time.Now()
	n, err := s.pound(ctx, *writers, time.Duration(*seconds)*time.Second)
	if err != nil {
		return err
	}
	wrote := time.Since(began)
	behind := n - r.statuses(ctx, 10_000)
	if err := r.await(ctx, "the last change", func() bool { return r.statuses(ctx, 10_000) >= n }); err != nil {
		return fmt.Errorf("%d of %d changes: %w", r.statuses(ctx, 10_000), n, err)
	}
	took := time.Since(began)
	_, peak := pub.rss()
	fmt.Printf("| source | transactions | written in | per second | published in | per second | behind at the end | publisher CPU per change | nats-server CPU per change | peak RSS |\n|---|---|---|---|---|---|---|---|---|---|\n")
	per := func(d time.Duration) string { return fmt.Sprintf("%.1f µs", float64(d.Microseconds())/float64(n)) }
	fmt.Printf("| %s | %d | %.1f s | %.0f | %.1f s | %.0f | %d | %s | %s | %d MiB |\n", *source, n, wrote.Seconds(), float64(n)/wrote.Seconds(),
		took.Seconds(), float64(n)/took.Seconds(), max(0, behind), per(pub.cpu()-cpu), per(r.nats.cpu()-broker), peak>>20)
	progress("%d messages in all", r.end(ctx)-first)
	return nil
}

// statuses counts the status events in the stream beside the first of each
// booking. Nothing may have made room for another, so the stream must keep
// enough per subject.
func (r *rig) statuses(ctx context.Context, bookings int) int {
	return r.count(ctx, "booking.*.status") - bookings
}

// pound gives random bookings another status, one a transaction, and returns
// how many were changed.
func (s *shop) pound(ctx context.Context, writers int, d time.Duration) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, d+time.Minute)
	defer cancel()
	end := time.Now().Add(d)
	var n atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, writers)
	for w := range writers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(w)))
			for i := 0; time.Now().Before(end); i++ {
				// Each status differs from any that the booking had.
				if _, err := s.db.ExecContext(ctx, s.set(), fmt.Sprintf("w%d-%d", w, i), fmt.Sprint("b_", rnd.IntN(10_000))); err != nil {
					errs <- err
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	close(errs)
	return int(n.Load()), <-errs
}
