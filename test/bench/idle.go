package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sync/errgroup"

	"github.com/petpro/fabric/edge/auth"
	"github.com/petpro/fabric/publisher"
)

// idle holds sessions open, each in the user's own room and two bookings, and
// measures the edge's memory for them.
func idle(ctx context.Context, args []string) error {
	fs := flags("idle")
	n := fs.Int("sessions", 10_000, "sessions; the limit of open files must allow them")
	profile := fs.String("profile", "", "file to write the edge's heap profile to")
	fs.Parse(args)

	r, err := newRig(ctx, false, "publisher", "edge")
	defer r.close()
	if err != nil {
		return err
	}
	s, err := r.openShop(ctx, publisher.KindSQLite, "shop", *n)
	if err != nil {
		return err
	}
	file, err := r.configure(ctx, s, onlyStatus)
	if err != nil {
		return err
	}
	if _, err := r.publisher(ctx, file); err != nil {
		return err
	}
	node, url, admin, err := r.edge(ctx, file)
	if err != nil {
		return err
	}
	collect(admin)
	before, _ := node.rss()
	cpu, begun := node.cpu(), time.Now()
	conns, err := r.crowd(ctx, url, *n)
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	}()
	if err != nil {
		return err
	}
	took, used := time.Since(begun), node.cpu()-cpu
	raw, peak := node.rss()
	progress("%d sessions in %.1f s; waiting for one round of pings", *n, took.Seconds())
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(30 * time.Second):
	}
	collect(admin)
	settled, _ := node.rss()
	if *profile != "" {
		if err := download(admin+"/debug/pprof/heap?gc=1", *profile); err != nil {
			return err
		}
	}
	kib := func(b int64) float64 { return float64(b-before) / float64(*n) / 1024 }
	fmt.Printf("| sessions | RSS before | RSS per session, as it stands | after a collection | peak RSS | CPU per connect and join |\n|---|---|---|---|---|---|\n")
	fmt.Printf("| %d | %d MiB | %.1f KiB | %.1f KiB | %d MiB | %.0f µs |\n", *n, before>>20, kib(raw), kib(settled), peak>>20,
		float64(used.Microseconds())/float64(*n))
	return nil
}

// collect makes the edge collect its garbage.
func collect(admin string) {
	for range 3 {
		if resp, err := http.Get(admin + "/debug/pprof/heap?gc=1"); err == nil {
			resp.Body.Close()
		}
	}
}

func download(url, file string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	return errors.Join(err, f.Close())
}

// crowd connects n sessions, each a user of its own.
func (r *rig) crowd(ctx context.Context, url string, n int) ([]*websocket.Conn, error) {
	conns := make([]*websocket.Conn, n)
	var wg errgroup.Group
	wg.SetLimit(16)
	var done atomic.Int64
	var mu sync.Mutex
	for i := range n {
		wg.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			tok, err := auth.Mint([]byte(secret), fmt.Sprintf("idle_%d", i), nil, []string{"booking.*"}, 2*time.Hour)
			if err != nil {
				return err
			}
			c, err := connect(url, tok, []string{fmt.Sprintf("booking.b_%d", i), fmt.Sprintf("booking.b_%d", (i+1)%n)})
			if err != nil {
				return fmt.Errorf("session %d: %w", i, err)
			}
			mu.Lock()
			conns[i] = c
			mu.Unlock()
			go pong(c)
			if k := done.Add(1); k%1000 == 0 {
				progress("  %d sessions", k)
			}
			return nil
		})
	}
	return conns, wg.Wait()
}

// pong answers pings until the connection ends.
func pong(c *websocket.Conn) {
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			return
		}
		c.WriteMessage(websocket.TextMessage, []byte("{}"))
	}
}
