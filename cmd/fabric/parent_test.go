package main

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// SIGTERM ends `go run` alone; the fabric it started must not stay behind.
func TestDevEndsWithGoRun(t *testing.T) {
	cmd := exec.Command("go", "run", ".", "dev", "--json", "--data", t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("no ready line: %v", err)
	}
	var ready struct{ Page string }
	if err := json.Unmarshal(line, &ready); err != nil {
		t.Fatalf("ready line %s: %v", line, err)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	cmd.Wait()
	deadline := time.Now().Add(20 * time.Second)
	for {
		resp, err := http.Get(ready.Page)
		if err != nil {
			return
		}
		resp.Body.Close()
		if time.Now().After(deadline) {
			t.Fatalf("%s is still served after go run has ended", ready.Page)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
