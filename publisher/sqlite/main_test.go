package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shopSchema is PetPro's, shortened.
const shopSchema = `
CREATE TABLE services (id TEXT PRIMARY KEY, provider_id TEXT, title TEXT);
CREATE TABLE bookings (
	id TEXT PRIMARY KEY, user_id TEXT, service_id TEXT REFERENCES services(id),
	status TEXT, updated_at, deleted_at, staff_notes TEXT
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

// database is a file of the shop, and one of the shop's connections to it.
type database struct {
	t    testing.TB
	path string
	*sql.DB
}

// newDatabase makes a file with the schema. The settings are pragmas of the
// shop's connection, such as "recursive_triggers(1)".
func newDatabase(t testing.TB, schema string, settings ...string) *database {
	t.Helper()
	return openDatabase(t, filepath.Join(t.TempDir(), "shop.db"), schema, settings...)
}

func openDatabase(t testing.TB, path, schema string, settings ...string) *database {
	t.Helper()
	dsn := "file:" + path + "?_txlock=immediate&_pragma=busy_timeout(20000)&_pragma=synchronous(OFF)"
	for _, s := range settings {
		dsn += "&_pragma=" + s
	}
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	d := &database{t, path, db}
	d.exec(schema)
	return d
}

// exec may be called from any goroutine.
func (d *database) exec(query string, args ...any) {
	d.t.Helper()
	if _, err := d.Exec(query, args...); err != nil {
		d.t.Errorf("%s: %v", clip(query), err)
	}
}

// in runs f in a transaction and commits it, or rolls it back.
func (d *database) in(commit bool, f func(*sql.Tx)) {
	d.t.Helper()
	tx, err := d.Begin()
	if err != nil {
		d.t.Errorf("begin: %v", err)
		return
	}
	f(tx)
	end := tx.Rollback
	if commit {
		end = tx.Commit
	}
	if err := end(); err != nil {
		d.t.Errorf("end of transaction: %v", err)
	}
}

// value of a query of one column.
func (d *database) value(query string, args ...any) (v string) {
	d.t.Helper()
	if err := d.QueryRow(query, args...).Scan(&v); err != nil {
		d.t.Fatalf("%s: %v", clip(query), err)
	}
	return v
}

func (d *database) config() publisher.SQLiteConfig {
	return publisher.SQLiteConfig{Path: d.path}
}

// source that passed Check.
func (d *database) source(m publisher.Mapping) *sqlite.Source {
	d.t.Helper()
	src := sqlite.New("shop", d.config(), m, slog.New(slog.DiscardHandler))
	if err := src.Check(d.t.Context()); err != nil {
		d.t.Fatalf("Check: %v", err)
	}
	return src
}

func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
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
		if c.Old != nil {
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

// collect runs src from a place until n entries other than Load came.
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
		if e == (publisher.Entry{}) || e.Change != nil && e.Change.Op == publisher.Load {
			return nil
		}
		if entries = append(entries, e); len(entries) == n {
			cancel()
		}
		return nil
	})
	return entries, err
}

// place of a snapshot, of which the rows are thrown away.
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

func rename(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
