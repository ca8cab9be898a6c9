package outbox_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/outbox"
	"github.com/petpro/fabric/test/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// shopSchema is PetPro's, shortened.
const shopSchema = `
CREATE TABLE services (id text PRIMARY KEY, provider_id text, title text);
CREATE TABLE bookings (
	id text PRIMARY KEY, user_id text, service_id text REFERENCES services(id),
	status text, updated_at timestamptz, deleted_at timestamptz, staff_notes text
);
CREATE INDEX bookings_service_id ON bookings(service_id);
`

func shopMapping() publisher.Mapping {
	return publisher.Mapping{
		Follow: map[string]publisher.Follow{"services": {Key: "id", Columns: []string{"provider_id"}}},
		Tables: map[string]publisher.Table{"bookings": {
			Key:     "id",
			Columns: []string{"id", "user_id", "service_id", "status", "updated_at", "deleted_at"},
			Times:   []string{"updated_at"},
			Access: &publisher.Access{Kind: "booking", Participants: map[string]string{
				"{user_id}": "customer", "{services[service_id].provider_id}": "vendor",
			}},
		}},
	}
}

// plainMapping is of one table with some columns.
func plainMapping(table, key string, columns ...string) publisher.Mapping {
	return publisher.Mapping{Tables: map[string]publisher.Table{table: {Key: key, Columns: columns}}}
}

// database of a shop, and a connection of the shop's.
type database struct {
	*pgtest.Database
	t    testing.TB
	conn *pgx.Conn
	// dsn of the publisher; log of its sources.
	dsn string
	log *slog.Logger
}

// newDatabase with a schema, which may be empty.
func newDatabase(t testing.TB, schema string, opts ...pgtest.Option) *database {
	t.Helper()
	return database{Database: pgtest.New(t, opts...), t: t}.begin(schema)
}

func (db database) begin(schema string) *database {
	db.t.Helper()
	db.dsn, db.log = db.DSN, slog.New(slog.DiscardHandler)
	db.conn = db.Conn(db.t)
	db.exec(schema)
	return &db
}

// exec may be called from any goroutine, but not from two at a time.
func (db *database) exec(sql string, args ...any) {
	db.t.Helper()
	if _, err := db.conn.Exec(context.Background(), sql, args...); err != nil {
		db.t.Errorf("%s: %v", clip(sql), err)
	}
}

// value of a query of one column.
func (db *database) value(sql string, args ...any) (v string) {
	db.t.Helper()
	if err := db.conn.QueryRow(context.Background(), sql, args...).Scan(&v); err != nil {
		db.t.Fatalf("%s: %v", clip(sql), err)
	}
	return v
}

// bare is a source that is not set up.
func (db *database) bare(m publisher.Mapping) *outbox.Source {
	db.t.Helper()
	src, err := outbox.New("shop", publisher.OutboxConfig{DSN: db.dsn, Poll: 20 * time.Millisecond}, m, db.log, nil)
	if err != nil {
		db.t.Fatal(err)
	}
	return src
}

// setup executes what the source says, as superuser.
func (db *database) setup(src *outbox.Source) {
	db.t.Helper()
	statements, err := src.Setup(db.t.Context())
	if err != nil {
		db.t.Fatalf("Setup: %v", err)
	}
	for _, st := range statements {
		db.exec(st.SQL)
	}
}

// source that is set up and passed Check.
func (db *database) source(m publisher.Mapping) *outbox.Source {
	db.t.Helper()
	src := db.bare(m)
	db.setup(src)
	if err := src.Check(db.t.Context()); err != nil {
		db.t.Fatalf("Check: %v", err)
	}
	return src
}

func clip(s string) string {
	if len(s) > 300 {
		return s[:300] + "…"
	}
	return s
}

// show writes entries as a test can read them: "Update bookings id=b1 status=…".
func show(entries []publisher.Entry) string {
	var b strings.Builder
	for _, e := range entries {
		c := e.Change
		if c == nil {
			fmt.Fprintf(&b, "nothing\n")
			continue
		}
		op := [...]string{"?", "Insert", "Update", "Delete", "Snapshot", "Load", "Touch"}[c.Op]
		fmt.Fprintf(&b, "%s %s", op, c.Table)
		if c.Old != nil && c.Op != publisher.Touch {
			fmt.Fprintf(&b, " old(%s)", showRow(c.Old))
		}
		if c.New != nil {
			fmt.Fprintf(&b, " new(%s)", showRow(c.New))
		}
		if c.Cause != nil {
			fmt.Fprintf(&b, " cause %s %s(%s)", c.Cause.Table, c.Cause.Key, showRow(c.Cause.Old))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func showRow(r publisher.Row) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(r)) {
		if v := r[name]; v.Valid {
			parts = append(parts, name+"="+strings.ReplaceAll(v.Text, "\n", `\n`))
		} else {
			parts = append(parts, name+"=NULL")
		}
	}
	return strings.Join(parts, " ")
}

// collect runs src from a place until n entries other than Load and signs of
// life came.
func collect(t testing.TB, src publisher.Source, from string, n int) []publisher.Entry {
	t.Helper()
	entries, err := collectUntil(t, src, from, n)
	if len(entries) < n {
		t.Fatalf("Run emits %d entries, want %d: %v\n%s", len(entries), n, err, show(entries))
	}
	return entries
}

func collectUntil(t testing.TB, src publisher.Source, from string, n int) (entries []publisher.Entry, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err = src.Run(ctx, from, func(e publisher.Entry) error {
		if e.Change == nil && e.Place == "" || e.Change != nil && e.Change.Op == publisher.Load {
			return nil
		}
		if entries = append(entries, e); len(entries) == n {
			cancel()
		}
		return nil
	})
	return entries, err
}

// snapshotPlace is that of a snapshot, of which the rows are thrown away.
func snapshotPlace(t testing.TB, src publisher.Source) string {
	t.Helper()
	place, err := src.Snapshot(t.Context(), func(publisher.Entry) error { return nil })
	if err != nil {
		t.Fatalf("Snapshot: %v", err)
	}
	return place
}

// wantRun compares what Run emits, as show writes it.
func wantRun(t testing.TB, src publisher.Source, from, want string) {
	t.Helper()
	want = strings.TrimSpace(want) + "\n"
	n := strings.Count(want, "\n")
	if got := show(collect(t, src, from, n)); got != want {
		t.Errorf("Run emits\n%swant\n%s", got, want)
	}
}

// running is a Run in the background.
type running struct {
	t       testing.TB
	cancel  context.CancelFunc
	entries chan publisher.Entry
	ended   chan error
}

// runBehind emits into a channel with room for so many entries.
func runBehind(t testing.TB, src publisher.Source, from string) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t, cancel, make(chan publisher.Entry, 1000), make(chan error, 1)}
	go func() {
		err := src.Run(ctx, from, func(e publisher.Entry) error {
			if e.Change == nil || e.Change.Op == publisher.Load {
				return nil
			}
			select {
			case r.entries <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		r.ended <- err
		close(r.ended)
	}()
	t.Cleanup(r.stop)
	return r
}

func (r *running) stop() {
	r.cancel()
	for range r.ended {
	}
}

func (r *running) next() publisher.Entry {
	r.t.Helper()
	select {
	case e := <-r.entries:
		return e
	case err := <-r.ended:
		r.t.Fatalf("Run ended: %v", err)
	case <-time.After(30 * time.Second):
		r.t.Fatal("no entry")
	}
	panic("unreachable")
}

// err waits for Run to end by itself.
func (r *running) err() error {
	r.t.Helper()
	for {
		select {
		case err := <-r.ended:
			return err
		case <-r.entries:
		case <-time.After(30 * time.Second):
			r.t.Fatal("Run does not end")
		}
	}
}

// wantSentence checks that an error says all of this.
func wantSentence(t testing.TB, err error, want ...string) {
	t.Helper()
	for _, w := range want {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("error %v\nwant %q in it", err, w)
		}
	}
}

func itoa(i int) string { return strconv.Itoa(i) }
