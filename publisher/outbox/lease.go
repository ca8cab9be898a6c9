package outbox

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/petpro/fabric/publisher"
)

// Times of the lease. It is a row and not a lock because it has to work through
// a pooler in transaction mode; the clock is the database's.
const (
	leaseLong = 8 * time.Second
	// leaseRenew is how often it is renewed, leaseAsk how often a standby asks.
	leaseRenew = 2 * time.Second
	leaseAsk   = 500 * time.Millisecond
	// leaseMargin is taken off what we believe to have left.
	leaseMargin = time.Second
)

// Acquire waits until the lease is ours: at most 8 s after its holder was
// killed, half a second after it stopped.
func (s *Source) Acquire(ctx context.Context, waiting func(holder string)) (publisher.Hold, error) {
	host, _ := os.Hostname()
	l := &lease{source: s, holder: fmt.Sprintf("%s pid %d (%s)", host, os.Getpid(), newTag()), lost: make(chan struct{}), stop: make(chan struct{})}
	told := ""
	for {
		asked := time.Now()
		holder, err := l.take(ctx)
		switch {
		case err != nil:
			l.close()
			return nil, s.ended(ctx, "acquire", err)
		case holder == l.holder:
			l.keeping.Go(func() { l.keep(asked) })
			return l, nil
		case holder != told:
			told = holder
			waiting(holder)
		}
		select {
		case <-ctx.Done():
			l.close()
			return nil, ctx.Err()
		case <-time.After(leaseAsk):
		}
	}
}

// lease is the source held.
type lease struct {
	source *Source
	holder string
	// conn belongs to whoever takes: Acquire, then keep.
	conn *conn

	lost, stop chan struct{}
	keeping    sync.WaitGroup
}

func (l *lease) Lost() <-chan struct{} { return l.lost }

// Release gives the lease back.
func (l *lease) Release() {
	close(l.stop)
	l.keeping.Wait()
}

// take asks for the lease, or for more time, and returns who has it.
func (l *lease) take(ctx context.Context) (holder string, err error) {
	if l.conn == nil {
		if l.conn, err = l.source.connect(ctx); err != nil {
			return "", err
		}
	}
	err = l.conn.QueryRow(ctx, l.source.queries.acquire, l.holder, leaseLong.Seconds()).Scan(&holder)
	if err != nil {
		l.close()
	}
	return holder, err
}

func (l *lease) close() {
	if l.conn != nil {
		l.conn.close()
		l.conn = nil
	}
}

// keep renews the lease until Release, or until it may be another's: when it
// was, or when no answer came for so long that it could be.
func (l *lease) keep(renewed time.Time) {
	defer l.close()
	for {
		select {
		case <-l.stop:
			l.release()
			return
		case <-time.After(leaseRenew):
		}
		until := renewed.Add(leaseLong - leaseMargin)
		asked := time.Now()
		ctx, cancel := context.WithDeadline(context.Background(), until)
		holder, err := l.take(ctx)
		cancel()
		switch {
		case err == nil && holder == l.holder:
			renewed = asked
		case err == nil, time.Now().After(until):
			l.source.log.Warn("the lease was lost", "holder", holder, "err", err)
			close(l.lost)
			<-l.stop
			return
		}
	}
}

// release lets a standby go on at once; if it fails, it waits for the end.
func (l *lease) release() {
	ctx, cancel := context.WithTimeout(context.Background(), leaseMargin)
	defer cancel()
	if l.conn == nil {
		return
	}
	if _, err := l.conn.Exec(ctx, l.source.queries.release, l.holder); err != nil {
		l.source.log.Debug("the lease was not given back", "err", err)
	}
}
