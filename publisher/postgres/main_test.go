package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
	"github.com/petpro/fabric/publisher/postgres"
	"github.com/petpro/fabric/test/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

var discard = slog.New(slog.DiscardHandler)

// versions are those that what differs between them is tested on.
var versions = map[string][]pgtest.Option{"15": nil, "17": {pgtest.Version17}}

// shopSchema is PetPro's, shortened.
const shopSchema = `
CREATE TYPE booking_status AS ENUM ('pending', 'confirmed', 'completed', 'cancelled');
CREATE TABLE services (id text PRIMARY KEY, provider_id text, title text);
CREATE TABLE bookings (
	id text PRIMARY KEY, user_id text, service_id text, status booking_status NOT NULL DEFAULT 'pending',
	updated_at timestamptz, deleted_at timestamptz, notes text, staff_notes text
);
CREATE INDEX ON bookings (service_id);
ALTER TABLE bookings ALTER COLUMN notes SET STORAGE EXTERNAL;
`

func shopMapping() publisher.Mapping {
	return publisher.Mapping{
		Terminal: []string{"completed", "cancelled"},
		Follow:   map[string]publisher.Follow{"services": {Key: "id", Columns: []string{"provider_id"}}},
		Tables: map[string]publisher.Table{"bookings": {
			Key:     "id",
			Columns: []string{"id", "user_id", "service_id", "status", "notes"},
			Access: &publisher.Access{Kind: "booking", Participants: map[string]string{
				"{user_id}": "customer", "{services[service_id].provider_id}": "vendor",
			}},
			Events: []publisher.Event{{
				When: "inserted() || changed(status)", Subject: "booking.{id}.status",
				Payload: map[string]any{"status": "{status}", "notes": "{notes}"},
			}},
		}},
	}
}

// shop is a database, a mapping of its tables, and sources that read it.
type shop struct {
	t       testing.TB
	db      *pgtest.Database
	conn    *pgx.Conn
	mapping publisher.Mapping
	name    string
}

// newShop makes a database with the schema, ready for the mapping.
func newShop(t testing.TB, schema string, m publisher.Mapping, opts ...pgtest.Option) *shop {
	t.Helper()
	return shopIn(t, pgtest.New(t, opts...), schema, m)
}

func shopIn(t testing.TB, db *pgtest.Database, schema string, m publisher.Mapping) *shop {
	t.Helper()
	s := bareShop(t, db, schema, m)
	s.setup()
	return s
}

// bareShop is a shop before setup.
func bareShop(t testing.TB, db *pgtest.Database, schema string, m publisher.Mapping) *shop {
	t.Helper()
	// Slots are the whole server's, so their names must differ.
	s := &shop{t: t, db: db, conn: db.Conn(t), mapping: m, name: db.Name}
	s.exec(schema)
	return s
}

// partOf is a shop in a schema of its own, in a database that it shares: one
// takes long to make.
func partOf(t testing.TB, db *pgtest.Database, schema, sql string, m publisher.Mapping) *shop {
	t.Helper()
	s := &shop{t: t, db: db, conn: db.Conn(t), mapping: in(schema, m), name: db.Name + "_" + schema}
	s.exec(`CREATE SCHEMA ` + schema + `; SET search_path = ` + schema)
	s.exec(sql)
	s.setup()
	return s
}

// in is the mapping of tables in a schema.
func in(schema string, m publisher.Mapping) publisher.Mapping {
	moved := publisher.Mapping{Terminal: m.Terminal, Follow: map[string]publisher.Follow{}, Tables: map[string]publisher.Table{}}
	for name, t := range m.Tables {
		t.From = schema + "." + name
		moved.Tables[name] = t
	}
	for name, f := range m.Follow {
		f.From = schema + "." + name
		moved.Follow[name] = f
	}
	return moved
}

// exec runs statements, which may be several.
func (s *shop) exec(sql string) {
	s.t.Helper()
	if _, err := s.conn.PgConn().Exec(context.Background(), sql).ReadAll(); err != nil {
		s.t.Fatalf("%s: %v", clip(sql), err)
	}
}

// value of a query of one text.
func (s *shop) value(sql string) (v string) {
	s.t.Helper()
	if err := s.conn.QueryRow(context.Background(), sql).Scan(&v); err != nil {
		s.t.Fatalf("%s: %v", clip(sql), err)
	}
	return v
}

// setup runs what Setup returns, one by one.
func (s *shop) setup() []pgdb.Statement {
	s.t.Helper()
	all, err := s.open().Setup(context.Background())
	if err != nil {
		s.t.Fatalf("Setup: %v", err)
	}
	for _, st := range all {
		s.exec(st.SQL)
	}
	return all
}

func (s *shop) open() *postgres.Source { return s.openAs(s.db.DSN) }

func (s *shop) openAs(dsn string) *postgres.Source {
	s.t.Helper()
	return s.openWith(dsn, discard)
}

func (s *shop) openWith(dsn string, log *slog.Logger) *postgres.Source {
	s.t.Helper()
	src, err := postgres.New(s.name, publisher.PostgresConfig{DSN: dsn}, s.mapping, log, nil)
	if err != nil {
		s.t.Fatalf("New: %v", err)
	}
	return src
}

// source that passed Check.
func (s *shop) source() *postgres.Source {
	s.t.Helper()
	src := s.open()
	if err := src.Check(context.Background()); err != nil {
		s.t.Fatalf("Check: %v", err)
	}
	return src
}

// begin is the place of a snapshot, of which the rows are thrown away.
func (s *shop) begin() string {
	s.t.Helper()
	place, err := s.source().Snapshot(s.t.Context(), func(publisher.Entry) error { return nil })
	if err != nil {
		s.t.Fatalf("Snapshot: %v", err)
	}
	return place
}

// collect runs a new source from a place until n entries with a change other
// than Load came.
func (s *shop) collect(from string, n int) []publisher.Entry {
	s.t.Helper()
	entries, err := s.until(from, func(got []publisher.Entry) bool { return len(got) == n })
	if len(entries) < n {
		s.t.Fatalf("Run emits %d entries, want %d: %v\n%s", len(entries), n, err, show(entries))
	}
	return entries
}

var errEnough = errors.New("enough")

// until runs a new source until enough says so, or Run ends, and returns the
// changes but Load.
func (s *shop) until(from string, enough func([]publisher.Entry) bool) (entries []publisher.Entry, err error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	err = s.open().Run(ctx, from, func(e publisher.Entry) error {
		if e.Change == nil || e.Change.Op == publisher.Load {
			return nil
		}
		if entries = append(entries, e); enough(entries) {
			return errEnough
		}
		return nil
	})
	return entries, err
}

// wantRun compares what Run emits, as show writes it.
func (s *shop) wantRun(from, want string) []publisher.Entry {
	s.t.Helper()
	want = strings.TrimSpace(strings.ReplaceAll(want, "\t", "")) + "\n"
	entries := s.collect(from, strings.Count(want, "\n"))
	if got := show(entries); got != want {
		s.t.Errorf("Run emits\n%swant\n%s", got, want)
	}
	return entries
}

// wantLost runs a new source from a place, which must not go on.
func (s *shop) wantLost(from, sentence string) {
	s.t.Helper()
	_, err := s.until(from, func([]publisher.Entry) bool { return false })
	if !errors.Is(err, publisher.ErrLost) || !strings.Contains(err.Error(), sentence) {
		s.t.Errorf("Run = %v, want ErrLost with %q", err, sentence)
	}
}

// show writes entries as a test can read them: "Update bookings id=b1 status=…".
func show(entries []publisher.Entry) string {
	var b strings.Builder
	for _, e := range entries {
		c := e.Change
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
		if c.Recall {
			b.WriteString(" recall")
		}
		if c.Unknown {
			b.WriteString(" unknown")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func showRow(r publisher.Row) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(r)) {
		if v := r[name]; v.Valid {
			parts = append(parts, name+"="+clip(v.Text))
		} else {
			parts = append(parts, name+"=NULL")
		}
	}
	return strings.Join(parts, " ")
}

func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
