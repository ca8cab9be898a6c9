package e2e_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/config"
)

// The real publisher is killed again and again while the shop is written to,
// with transactions of many rows, rows of many messages, and rollbacks. Every
// committed change is in the stream once, in order per booking.
func TestPublisherKilledUnderLoad(t *testing.T) {
	const kills = 20
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))

	s := start(t, 20, withoutPublisher(), withKeep(100_000))
	s.exec(`UPDATE bookings SET updated_at = 'v0'`)
	bin := filepath.Join(t.TempDir(), "publisher")
	if out, err := exec.Command("go", "build", "-o", bin, "github.com/petpro/fabric/cmd/publisher").CombinedOutput(); err != nil {
		t.Fatalf("build the publisher: %v\n%s", err, out)
	}
	file := s.publisherFile()

	load := newLoad(s, seed)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { load.run(stop) })
	for range kills {
		p := launch(t, bin, file)
		s.advance(100) // it must have published before it is killed
		time.Sleep(time.Duration(rnd.IntN(40)) * time.Millisecond)
		p.Process.Kill()
		p.Wait()
	}
	close(stop)
	wg.Wait()
	p := launch(t, bin, file)
	defer func() {
		p.Process.Signal(os.Interrupt)
		p.Wait()
	}()
	s.quiet()
	load.verify(t)
	t.Logf("%d kills, %d changes committed, %d rolled back", kills, load.committed, load.rolledBack)
}

// publisherFile is a configuration for the real binary.
func (s *stack) publisherFile() string {
	s.t.Helper()
	_, mapping, _ := strings.Cut(string(config.PetPro), "\nmapping:")
	dir := s.t.TempDir()
	text := fmt.Sprintf("nats: { urls: [%q] }\npublisher:\n  admin_listen: \"\"\n  state: %q\n  confirm_delay: 0s\n  keep: %d\n"+
		"  sources: [ { name: shop, kind: sqlite, sqlite: { path: %q } } ]\nmapping:%s",
		s.nats.URL(), filepath.Join(dir, "state"), s.keep, s.path, mapping)
	file := filepath.Join(dir, "fabric.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return file
}

// launch starts the publisher; its log is the test's.
func launch(t testing.TB, bin, file string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(bin, "--config", file)
	w := &testWriter{t: t}
	t.Cleanup(w.end)
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// advance waits until the stream has grown by n messages.
func (s *stack) advance(n uint64) {
	s.t.Helper()
	js, err := jetstream.New(s.nc)
	if err != nil {
		s.t.Fatal(err)
	}
	last := func() uint64 {
		st, err := js.Stream(s.t.Context(), "FABRIC")
		if err != nil {
			return 0
		}
		return st.CachedInfo().State.LastSeq
	}
	first := last()
	s.await(fmt.Sprintf("%d more messages", n), func() bool { return last() >= first+n })
}

// load writes to the shop and remembers what was committed.
type load struct {
	s   *stack
	rnd *rand.Rand

	versions              map[string]int // newest committed version of each booking
	committed, rolledBack int
}

func newLoad(s *stack, seed uint64) *load {
	l := &load{s: s, rnd: rand.New(rand.NewPCG(seed, 2)), versions: map[string]int{}}
	for i := range 20 {
		l.versions[id(i)] = 0
	}
	return l
}

func (l *load) run(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
			l.transaction()
			time.Sleep(time.Millisecond) // some 500 transactions a second, not all there can be
		}
	}
}

// transaction changes up to 30 bookings, sometimes makes one, and sometimes is
// rolled back. The version is in updated_at, the status opens and closes.
func (l *load) transaction() {
	tx, err := l.s.db.Begin()
	if err != nil {
		l.s.t.Errorf("begin: %v", err)
		return
	}
	defer tx.Rollback()
	next := map[string]int{}
	n := 1 + l.rnd.IntN(3)
	if l.rnd.IntN(10) == 0 {
		n = 30
	}
	for range n {
		b := id(l.rnd.IntN(20))
		v, ok := next[b]
		if !ok {
			v = l.versions[b]
		}
		next[b] = v + 1
		status := []string{"pending", "confirmed", "completed", "in_progress", "cancelled"}[(v+1)%5]
		if _, err := tx.Exec(`UPDATE bookings SET status = ?, updated_at = ? WHERE id = ?`, status, fmt.Sprintf("v%d", v+1), b); err != nil {
			l.s.t.Errorf("update: %v", err)
			return
		}
	}
	if l.rnd.IntN(20) == 0 {
		b := fmt.Sprintf("n_%d", len(l.versions))
		if _, err := tx.Exec(`INSERT INTO bookings (id, user_id, service_id, status, updated_at) VALUES (?, 'cora', 's_2', 'pending', 'v0')`, b); err != nil {
			l.s.t.Errorf("insert: %v", err)
			return
		}
		next[b] = 0
	}
	if l.rnd.IntN(10) == 0 {
		l.rolledBack += n
		return
	}
	if err := tx.Commit(); err != nil {
		l.s.t.Errorf("commit: %v", err)
		return
	}
	l.committed += n
	for b, v := range next {
		l.versions[b] = v
	}
}

// verify reads the whole stream: each booking's versions are there once and in
// order, and each has its notification.
func (l *load) verify(t *testing.T) {
	t.Helper()
	got := l.s.stored("booking.*.status", func(subject string, data []byte) (key, value string) {
		var p struct{ BookingID, UpdatedAt string }
		json.Unmarshal(data, &p)
		return p.BookingID, p.UpdatedAt
	})
	for b, last := range l.versions {
		want := make([]string, 0, last+1)
		// What was committed before the initial publication is in its last value only.
		for v := firstOf(got[b]); v <= last; v++ {
			want = append(want, fmt.Sprintf("v%d", v))
		}
		if !slices.Equal(got[b], want) {
			t.Errorf("%s: %d versions in the stream, want %d to v%d: %s", b, len(got[b]), len(want), last, oddities(got[b]))
		}
	}
	for b := range got {
		if _, ok := l.versions[b]; !ok {
			t.Errorf("%s is in the stream and was never committed", b)
		}
	}
}

// stored reads the stream's messages of a pattern, as key and value each.
func (s *stack) stored(pattern string, read func(subject string, data []byte) (key, value string)) map[string][]string {
	s.t.Helper()
	js, err := jetstream.New(s.nc)
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := js.OrderedConsumer(s.t.Context(), "FABRIC", jetstream.OrderedConsumerConfig{FilterSubjects: []string{pattern}})
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string][]string{}
	for {
		m, err := c.Next(jetstream.FetchMaxWait(within))
		if err != nil {
			s.t.Fatalf("read %s: %v", pattern, err)
		}
		k, v := read(m.Subject(), m.Data())
		out[k] = append(out[k], v)
		meta, err := m.Metadata()
		if err != nil {
			s.t.Fatal(err)
		}
		if meta.NumPending == 0 {
			return out
		}
	}
}

func firstOf(versions []string) int {
	v := 0
	if len(versions) > 0 {
		fmt.Sscanf(versions[0], "v%d", &v)
	}
	return v
}

// oddities names where versions do not follow each other.
func oddities(versions []string) string {
	var b strings.Builder
	for i := 1; i < len(versions) && b.Len() < 200; i++ {
		if firstOf(versions[i:]) != firstOf(versions[i-1:])+1 {
			fmt.Fprintf(&b, "%s after %s at %d; ", versions[i], versions[i-1], i)
		}
	}
	return b.String()
}
