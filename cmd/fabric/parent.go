package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// parentCheck is how often `go run` is looked for.
const parentCheck = 250 * time.Millisecond

// withParent ends ctx when the `go run` that started this process is gone: it
// dies of a SIGTERM without passing it on, and would leave everything running
// with nobody to end it. Any other parent may leave.
func withParent(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	parent := os.Getppid()
	if !isGo(parent) {
		return ctx, cancel
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(parentCheck)
		defer t.Stop()
		for os.Getppid() == parent {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
		}
		cancel()
	}()
	return ctx, func() { cancel(); <-done }
}

// isGo reports whether a process is the go command; false where /proc does not
// tell.
func isGo(pid int) bool {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return err == nil && strings.TrimSpace(string(name)) == "go"
}
