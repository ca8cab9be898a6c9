package publisher

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// confirmed is a source that only listens to Confirm.
type confirmed struct {
	Source
	places []string
	at     []time.Duration
	begin  time.Time
	err    error
}

func (c *confirmed) Name() string { return "petpro" }

func (c *confirmed) Confirm(_ context.Context, place string) error {
	c.places = append(c.places, place)
	c.at = append(c.at, time.Since(c.begin))
	return c.err
}

func TestConfirmerWaitsForTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay = 150 * time.Second
		src := &confirmed{begin: time.Now()}
		var log strings.Builder
		c := &confirmer{sources: []Source{src}, delay: delay, step: time.Second, log: slog.New(slog.NewTextHandler(&log, nil))}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.run(ctx)
		}()
		// A hundred acknowledgements a second for ten seconds, then silence.
		for i := range 1000 {
			c.acked(map[string]Position{"petpro": {Place: string(rune('a' + i/100))}})
			time.Sleep(10 * time.Millisecond)
		}
		c.mu.Lock()
		waiting := len(c.due)
		c.mu.Unlock()
		if waiting > 11 {
			t.Errorf("%d confirmations wait, want one per second", waiting)
		}
		time.Sleep(2 * delay)
		synctest.Wait()
		if n := len(src.places); n < 9 || n > 12 {
			t.Errorf("confirmed %d times in ten seconds, want about once a second", n)
		}
		if last := src.places[len(src.places)-1]; last != "j" {
			t.Errorf("last confirmed %q, want j", last)
		}
		for i, place := range src.places {
			acked := time.Duration(place[0]-'a'+1)*time.Second - 10*time.Millisecond
			if src.at[i] < acked+delay {
				t.Errorf("%q was confirmed %s after its last acknowledgement", place, src.at[i]-acked)
			}
		}
		// What is not confirmed when the session ends never is by this one.
		c.acked(map[string]Position{"petpro": {Place: "z"}})
		cancel()
		<-done
		time.Sleep(2 * delay)
		if src.places[len(src.places)-1] == "z" {
			t.Error("confirmed after the session had ended")
		}
	})
}

func TestConfirmerTellsOfFailureOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &confirmed{begin: time.Now(), err: errors.New("test: locked")}
		var log strings.Builder
		c := &confirmer{sources: []Source{src}, step: time.Second, log: slog.New(slog.NewTextHandler(&log, nil))}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.run(ctx)
		}()
		for range 3 {
			c.acked(map[string]Position{"petpro": {Place: "1/0"}, "other": {Place: InitPlace}})
			time.Sleep(2 * time.Second)
		}
		cancel()
		<-done
		if n := strings.Count(log.String(), "cannot be confirmed"); n != 1 || len(src.places) != 3 {
			t.Errorf("logged %d times for %d failures, want once for 3", n, len(src.places))
		}
	})
}
