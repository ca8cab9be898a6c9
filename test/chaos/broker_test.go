package chaos_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/petpro/fabric/test/natstest"
)

// broker is a nats-server with JetStream, a process of its own on a fixed port
// and store.
type broker struct {
	t     testing.TB
	port  int
	store string
	*process
}

func startBroker(t testing.TB) *broker {
	t.Helper()
	b := &broker{t: t, port: natstest.FreePort(t), store: filepath.Join(t.TempDir(), "nats")}
	b.start()
	return b
}

// start starts it, again after a kill, and waits until it answers.
func (b *broker) start() {
	b.t.Helper()
	b.process = launch(b.t, "nats-server", "-a", "127.0.0.1", "-p", fmt.Sprint(b.port), "-js", "-sd", b.store)
	await(b.t, "answer from nats-server", func() bool {
		nc, err := nats.Connect(b.url(), nats.NoReconnect())
		if err != nil {
			return false
		}
		defer nc.Close()
		_, err = nc.Request("$JS.API.INFO", nil, within)
		return err == nil
	})
}

func (b *broker) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", b.port) }

// copyStore copies the store of the running server, as a snapshot of its disk.
func (b *broker) copyStore() (dir string) {
	b.t.Helper()
	dir = filepath.Join(b.t.TempDir(), "copy")
	b.pause()
	defer b.resume()
	if err := os.CopyFS(dir, os.DirFS(b.store)); err != nil {
		b.t.Fatal(err)
	}
	return dir
}

// rollBack is a power cut that loses what was written since the copy: the
// server is gone, and starts on the older store.
func (b *broker) rollBack(dir string) {
	b.t.Helper()
	b.kill()
	if err := os.RemoveAll(b.store); err != nil {
		b.t.Fatal(err)
	}
	if err := os.CopyFS(b.store, os.DirFS(dir)); err != nil {
		b.t.Fatal(err)
	}
	b.start()
}
