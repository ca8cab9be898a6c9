package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/petpro/fabric/publisher"
)

// takeover runs two publishers of a source that is written to, ends the active
// one again and again, with SIGKILL and in good order, and measures until the
// other's first change is in the stream.
func takeover(ctx context.Context, args []string) error {
	fs := flags("takeover")
	source := sourceFlag(fs)
	times := fs.Int("times", 5, "how often each way")
	fs.Parse(args)
	if *source == publisher.KindSQLite {
		return errors.New("a sqlite source has no standby; -source postgres or outbox")
	}

	r, err := newRig(ctx, false, "publisher")
	defer r.close()
	if err != nil {
		return err
	}
	s, err := r.openShop(ctx, *source, "shop", 200)
	if err != nil {
		return err
	}
	file, err := r.configure(ctx, s, onlyStatus)
	if err != nil {
		return err
	}
	var twins [2]*twin
	for i := range twins {
		twins[i] = &twin{rig: r, file: file, admin: freePort(), state: filepath.Join(r.dir, fmt.Sprint("twin-", i))}
		if err := twins[i].start(ctx, i == 0); err != nil {
			return err
		}
	}
	stop, stopped := make(chan struct{}), make(chan error)
	go func() { stopped <- s.trickle(ctx, stop) }()
	active, standby := twins[0], twins[1]
	fmt.Printf("| source | end of the active one | median | longest |\n|---|---|---|---|\n")
	for _, way := range []struct {
		name string
		end  func(*process)
	}{{"SIGKILL", (*process).kill}, {"SIGTERM", (*process).stop}} {
		var took []time.Duration
		for range *times {
			began := time.Now()
			way.end(active.process)
			if err := r.await(ctx, "the take-over", standby.active); err != nil {
				return err
			}
			end := r.end(ctx)
			if err := r.await(ctx, "a change", func() bool { return r.end(ctx) > end }); err != nil {
				return err
			}
			took = append(took, time.Since(began))
			if err := active.start(ctx, false); err != nil {
				return err
			}
			active, standby = standby, active
		}
		slices.Sort(took)
		fmt.Printf("| %s | %s | %.2f s | %.2f s |\n", *source, way.name, took[len(took)/2].Seconds(), took[len(took)-1].Seconds())
	}
	close(stop)
	return <-stopped
}

// twin is one of two publishers of a source.
type twin struct {
	*rig
	file, admin, state string
	process            *process
}

// start starts it and waits until it publishes, or stands by.
func (w *twin) start(ctx context.Context, publishes bool) (err error) {
	args := []string{"--set", "publisher.admin_listen=" + w.admin, "--set", "publisher.state=" + w.state}
	if w.process, err = w.rig.publisher(ctx, w.file, args...); err != nil {
		return err
	}
	return w.await(ctx, "the publisher", func() bool { return w.ready() && w.active() == publishes })
}

func (w *twin) ready() bool {
	resp, err := http.Get("http://" + w.admin + "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// active says whether it is the one that publishes.
func (w *twin) active() bool {
	resp, err := http.Get("http://" + w.admin + "/metrics")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "fabric_publisher_active 1") {
			return true
		}
	}
	return false
}

// trickle changes a booking every 10 ms until it is stopped.
func (s *shop) trickle(ctx context.Context, stop <-chan struct{}) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if _, err := s.db.ExecContext(ctx, s.set(), fmt.Sprint("t", i), fmt.Sprint("b_", i%200)); err != nil {
			return err
		}
	}
}
