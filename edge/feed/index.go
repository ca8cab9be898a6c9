package feed

import (
	"context"
	"errors"
	"fmt"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
)

// Pages of a scan.
const (
	pageMessages = 1024
	pageBytes    = 4 << 20
)

// Index implements hub.History.
func (f *Feed) Index(ctx context.Context, gen uint64, user string) (hub.IndexAnswer, error) {
	defer f.metrics.timed("index")()
	if err := subjects.CheckID(user); err != nil {
		return hub.IndexAnswer{}, fmt.Errorf("read the index of user %q: %w", user, err)
	}
	patterns := make([]string, 0, len(f.cfg.Kinds))
	for _, kind := range f.cfg.Kinds {
		patterns = append(patterns, subjects.IndexPattern(user, kind))
	}
	records, upTo, err := f.multiLast(ctx, gen, patterns)
	if errors.Is(err, errTooMany) {
		records, upTo, err = f.scanAll(ctx, gen, patterns)
	}
	if err != nil {
		return hub.IndexAnswer{}, err
	}
	if f.window.look().Gen != gen {
		return hub.IndexAnswer{}, hub.ErrGeneration
	}
	answer := hub.IndexAnswer{UpTo: upTo, Records: make([]*hub.Message, 0, len(records))}
	for _, r := range records {
		if r.Name.Class == subjects.Indexed {
			answer.Records = append(answer.Records, r.Message)
		}
	}
	return answer, nil
}

// scanAll scans several patterns; the answer is as of the oldest of them.
func (f *Feed) scanAll(ctx context.Context, gen uint64, patterns []string) (all newest, upTo uint64, err error) {
	for i, pattern := range patterns {
		n, u, err := f.scan(ctx, gen, pattern)
		if err != nil {
			return nil, 0, err
		}
		all = append(all, n...)
		if i == 0 || u < upTo {
			upTo = u
		}
	}
	return all, upTo, nil
}

// scan reads the last message of each subject of a pattern that has more than
// multi_last tells of. Its pages do not say how fresh they are, so the leader
// is asked before: where the stream ends, and what the pattern's newest
// message is. Pages that hold that message are complete up to there.
func (f *Feed) scan(ctx context.Context, gen uint64, pattern string) (n newest, upTo uint64, err error) {
	err = f.again(ctx, gen, "scan "+pattern, func(v hub.View) error {
		state, err := f.leader.State(ctx)
		if err != nil {
			return err
		}
		e, err := f.leader.Epoch(ctx)
		if err != nil {
			return err
		}
		if e.Epoch.Epoch != v.Epoch {
			return errEpoch
		}
		upTo = state.Last
		newestOne, err := f.leader.Last(ctx, pattern)
		if errors.Is(err, stream.ErrNotFound) {
			n = nil
			return nil
		}
		if err != nil {
			return err
		}
		n, err = f.pages(ctx, v.Epoch, pattern, newestOne.Sequence)
		return err
	})
	return n, upTo, err
}

// pages reads everything of a pattern and keeps the last message of each
// subject. Returns errTorn if it did not come as far as must.
func (f *Feed) pages(ctx context.Context, epoch, pattern string, must uint64) (newest, error) {
	keep := map[string]stored{}
	var reached uint64
	err := f.eachPage(ctx, pattern, func(s stored) bool {
		keep[s.subject], reached = s, s.seq
		return true
	})
	if err != nil {
		return nil, err
	}
	if reached < must {
		return nil, fmt.Errorf("%w: it ends at %d, must reach %d", errTorn, reached, must)
	}
	n := make(newest, 0, len(keep))
	for subject, s := range keep {
		n = append(n, last{subject, f.decode.message(epoch, s)})
	}
	return n, nil
}

// eachPage calls visit for every message of a pattern, ascending, until it
// returns false. The end may be that of a replica that lags.
func (f *Feed) eachPage(ctx context.Context, pattern string, visit func(stored) bool) error {
	req := directRequest{Seq: 1, NextFor: pattern, Batch: pageMessages, MaxBytes: pageBytes}
	for {
		r, err := f.direct.ask(ctx, req)
		if errors.Is(err, errNothing) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, s := range r.msgs {
			if !visit(s) {
				return nil
			}
		}
		if r.pending == 0 || len(r.msgs) == 0 {
			return nil
		}
		req.Seq = r.msgs[len(r.msgs)-1].seq + 1
	}
}
