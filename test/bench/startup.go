package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// startup measures the built `fabric dev` from exec to its ready line, on a
// fresh directory and again on the same.
func startup(ctx context.Context, args []string) error {
	fs := flags("start")
	times := fs.Int("times", 5, "how often")
	fs.Parse(args)

	dir, err := os.MkdirTemp("", "fabric-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := build(ctx, dir, "fabric"); err != nil {
		return err
	}
	fmt.Printf("| run | fresh directory | second start |\n|---|---|---|\n")
	for i := range *times {
		data := filepath.Join(dir, fmt.Sprintf("data-%d", i))
		var took [2]time.Duration
		for j := range took {
			begun := time.Now()
			p, _, err := spawnTalking(ctx, dir, filepath.Join(dir, "fabric"), "dev", "--json", "--data", data)
			if err != nil {
				return err
			}
			took[j] = time.Since(begun)
			p.stop()
		}
		fmt.Printf("| %d | %.2f s | %.2f s |\n", i+1, took[0].Seconds(), took[1].Seconds())
	}
	return nil
}
