// Package daemontest watches a command from a test while it runs: what it
// prints, and what it answers.
package daemontest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"
)

// patience is how long a condition is waited for.
const patience = 10 * time.Second

// Output collects what a running command prints. The zero value is ready; it
// may be read while the command writes.
type Output struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

// Write appends.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

// String is what has been printed so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Eventually asks f until it returns nil, and fails the test with its last
// error if it does not in time.
func Eventually(t testing.TB, f func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	t.Fatalf("not within %s: %v", patience, err)
}

// Get asks url until it answers with this status, and returns the body.
func Get(t testing.TB, url string, want int) string {
	t.Helper()
	defer http.DefaultClient.CloseIdleConnections()
	var body string
	Eventually(t, func() error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err == nil && res.StatusCode != want {
			err = fmt.Errorf("%s answers %s, want %d: %s", url, res.Status, want, text)
		}
		body = string(text)
		return err
	})
	return body
}
