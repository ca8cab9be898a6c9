package main

import (
	"context"
	"errors"
	"fmt"
)

// stack holds what runs, in the order in which it was started, and stops it in
// reverse: nothing loses what it stands on before it is done itself.
type stack struct {
	parts []part
	// failed gets the name and error of a part that ends before it is told to.
	// It has room for one; the first is the cause, the others its consequence.
	failed chan error
}

type part struct {
	name string
	stop func() error
}

func newStack() *stack { return &stack{failed: make(chan error, 1)} }

// run starts f in a goroutine of its own. f ends when its context does.
func (s *stack) run(name string, f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := f(ctx)
		if ctx.Err() == nil { // nobody asked it to
			s.fail(name, err)
			err = nil // told
		}
		done <- err
	}()
	s.closer(name, func() error {
		cancel()
		return <-done
	})
}

func (s *stack) fail(name string, err error) {
	if err == nil {
		err = errors.New("ended by itself")
	}
	select {
	case s.failed <- fmt.Errorf("%s: %w", name, err):
	default:
	}
}

// closer adds something that needs closing but has no goroutine of ours.
func (s *stack) closer(name string, stop func() error) {
	s.parts = append(s.parts, part{name: name, stop: stop})
}

// wait returns nil when ready is closed, and an error if ctx ends or a part
// fails before. A nil ready waits for those two.
func (s *stack) wait(ctx context.Context, ready <-chan struct{}) error {
	select {
	case <-ready:
		return nil
	case err := <-s.failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop ends everything, last started first. It can be called once.
func (s *stack) stop() error {
	var errs []error
	for i := len(s.parts) - 1; i >= 0; i-- {
		p := s.parts[i]
		if err := p.stop(); err != nil && !errors.Is(err, context.Canceled) {
			errs = append(errs, fmt.Errorf("stop %s: %w", p.name, err))
		}
	}
	return errors.Join(errs...)
}
