package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestStackStopsInReverse(t *testing.T) {
	s := newStack()
	var ended []string
	for _, name := range []string{"first", "second"} {
		s.run(name, func(ctx context.Context) error {
			<-ctx.Done()
			ended = append(ended, name) // one at a time: stop waits
			return ctx.Err()
		})
	}
	s.closer("third", func() error { ended = append(ended, "third"); return errors.New("stuck") })
	err := s.stop()
	if want := []string{"third", "second", "first"}; !slices.Equal(ended, want) {
		t.Errorf("ended %v, want %v", ended, want)
	}
	if err == nil || err.Error() != "stop third: stuck" {
		t.Errorf("stop = %v", err)
	}
}

func TestStackTellsTheFirstFailure(t *testing.T) {
	s := newStack()
	s.run("patient", func(ctx context.Context) error { <-ctx.Done(); return nil })
	s.run("broken", func(context.Context) error { return errors.New("no disk") })
	if err := s.wait(t.Context(), nil); err == nil || err.Error() != "broken: no disk" {
		t.Errorf("wait = %v, want broken: no disk", err)
	}
	if err := s.stop(); err != nil {
		t.Errorf("stop tells the failure again: %v", err)
	}
}

func TestStackPartThatEndsByItself(t *testing.T) {
	s := newStack()
	s.run("done", func(context.Context) error { return nil })
	if err := s.wait(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "ended by itself") {
		t.Errorf("wait = %v", err)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}
