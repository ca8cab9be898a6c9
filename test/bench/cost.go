package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// cost measures what a publisher takes from the shop: transactions of one row,
// over several connections as fast as they can, in turn on a bare database and
// on one that is published. What the machine does beside falls on both.
func cost(ctx context.Context, args []string) error {
	fs := flags("cost")
	source, identity := sourceFlag(fs), identityFlag(fs)
	writers := fs.Int("writers", 8, "connections")
	rounds := fs.Int("rounds", 5, "how often each")
	seconds := fs.Int("seconds", 5, "how long each time")
	fs.Parse(args)

	r, err := newRig(ctx, false, "publisher")
	defer r.close()
	if err != nil {
		return err
	}
	bare, err := r.openShop(ctx, *source, "bare", 10_000)
	if err != nil {
		return err
	}
	published, err := r.openShop(ctx, *source, "shop", 10_000)
	if err != nil {
		return err
	}
	published.identity = *identity
	file, err := r.configure(ctx, published, onlyStatus)
	if err != nil {
		return err
	}
	span := time.Duration(*seconds) * time.Second
	var without, with, ratio []float64
	for i := range *rounds {
		a, err := bare.pound(ctx, *writers, span)
		if err != nil {
			return err
		}
		pub, err := r.publisher(ctx, file)
		if err != nil {
			return err
		}
		b, err := published.pound(ctx, *writers, span)
		if err != nil {
			return err
		}
		if err := r.await(ctx, "the last change", func() bool { return r.settled(ctx) }); err != nil {
			return err
		}
		pub.stop()
		without, with = append(without, float64(a)/span.Seconds()), append(with, float64(b)/span.Seconds())
		ratio = append(ratio, float64(b)/float64(a))
		progress("round %d: %.0f and %.0f transactions a second", i+1, without[i], with[i])
	}
	fmt.Printf("| source | bare, transactions/s | published, transactions/s | ratio (median of %d) | least and most |\n|---|---|---|---|---|\n", *rounds)
	fmt.Printf("| %s | %.0f | %.0f | %.2f | %.2f, %.2f |\n", *source, median(without), median(with), median(ratio), slices.Min(ratio), slices.Max(ratio))
	return nil
}

// settled says whether the stream has not grown for a second.
func (r *rig) settled(ctx context.Context) bool {
	before := r.end(ctx)
	select {
	case <-ctx.Done():
	case <-time.After(time.Second):
	}
	return r.end(ctx) == before
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
