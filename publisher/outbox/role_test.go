package outbox_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/outbox"
)

// lines is a log that is kept.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestLeastRights lets the publisher have what Setup grants and nothing else,
// and the shop's role nothing on the outbox. Marker texts in unlisted columns
// must come nowhere.
func TestLeastRights(t *testing.T) {
	db := newDatabase(t, "CREATE SCHEMA shop; SET search_path = shop; "+shopSchema)
	logged := &lines{}
	db.log = slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	role := db.Role(t, "")
	app := db.Role(t, "", "USAGE ON SCHEMA shop", "INSERT, UPDATE, DELETE, SELECT, TRUNCATE ON ALL TABLES IN SCHEMA shop")
	db.dsn = role.DSN
	m := shopMapping()
	bookings, services := m.Tables["bookings"], m.Follow["services"]
	bookings.From, services.From = "shop.bookings", "shop.services"
	m.Tables["bookings"], m.Follow["services"] = bookings, services
	if err := db.bare(m).Check(t.Context()); err == nil {
		t.Fatal("Check is content without any right")
	}
	src := db.source(m)

	conn, err := pgx.Connect(t.Context(), app.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, stmt := range []string{
		"SET search_path = shop",
		"INSERT INTO services VALUES ('s1', 'v1', 'MARKER'), ('s2', 'v2', 'MARKER')",
		"INSERT INTO bookings (id, service_id, staff_notes) VALUES ('b0', 's1', 'MARKER')",
	} {
		if _, err := conn.Exec(t.Context(), stmt); err != nil {
			t.Fatalf("%s: %v", stmt, err)
		}
	}
	var rows []publisher.Entry
	from, err := src.Snapshot(t.Context(), func(e publisher.Entry) error { rows = append(rows, e); return nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, stmt := range []string{
		"INSERT INTO bookings (id, service_id, staff_notes) VALUES ('b1', 's1', 'MARKER')",
		"UPDATE bookings SET staff_notes = 'MARKER 2', status = 'x'",
		"UPDATE services SET provider_id = 'v3', title = 'MARKER 3' WHERE id = 's1'",
		"UPDATE services SET id = 's3' WHERE id = 's2'",
		"DELETE FROM bookings WHERE id = 'b1'",
		"TRUNCATE bookings",
	} {
		if _, err := conn.Exec(t.Context(), stmt); err != nil {
			t.Fatalf("%s: %v", stmt, err)
		}
	}
	if _, err := conn.Exec(t.Context(), "SELECT * FROM fabric.outbox"); err == nil {
		t.Error("the shop's role may read the outbox")
	}
	if _, err := conn.Exec(t.Context(), `CREATE TEMP TABLE x (id text); CREATE TRIGGER x AFTER INSERT ON x FOR EACH ROW EXECUTE FUNCTION fabric."log bookings"()`); err == nil {
		t.Error("anybody may use the functions in a trigger of their own")
	}
	outboxText := db.value("SELECT coalesce(string_agg(o::text, E'\n'), '') FROM fabric.outbox o")
	entries := collect(t, src, from, 7)
	if err := src.Confirm(t.Context(), entries[6].Place); err != nil {
		t.Error(err)
	}
	hold, err := src.Acquire(t.Context(), func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	hold.Release()
	all := outboxText + show(rows) + show(entries) + logged.String() + db.value("SELECT string_agg(b::text, '') FROM fabric.batches b")
	for _, table := range []string{"layouts", "meta", "lease"} {
		all += db.value("SELECT coalesce(string_agg(x::text, ''), '') FROM fabric." + table + " x")
	}
	if strings.Contains(all, "MARKER") {
		t.Errorf("the text of an unlisted column came out:\n%s", all)
	}
	if !strings.Contains(all, "provider_id=v3") || !strings.Contains(outboxText, "b1") {
		t.Errorf("nothing came out:\n%s", all)
	}
}

// TestCheck breaks things one at a time.
func TestCheck(t *testing.T) {
	tests := []struct {
		name, do string
		want     []string
	}{
		{"schema", `DROP SCHEMA fabric CASCADE`, []string{`schema "fabric" does not exist`, "fabric publisher setup"}},
		{"a table of ours", `DROP TABLE fabric.lease`, []string{`schema "fabric" has no table lease`, "fabric publisher setup"}},
		{"usage", `REVOKE USAGE ON SCHEMA fabric FROM @role`, []string{`may not use schema "fabric"`, `GRANT USAGE ON SCHEMA "fabric" TO "@role"`}},
		{"rights", `REVOKE DELETE ON fabric.outbox FROM @role; REVOKE SELECT, INSERT ON fabric.batches FROM @role`,
			[]string{`GRANT DELETE ON "fabric"."outbox" TO "@role"`, `GRANT INSERT, SELECT ON "fabric"."batches" TO "@role"`}},
		{"rights on the shop's tables", `REVOKE SELECT ON t FROM @role; REVOKE SELECT (a) ON t FROM @role`, []string{`"a"`, `GRANT SELECT`}},
		{"version", `UPDATE fabric.meta SET value = '0' WHERE name = 'format'`, []string{`are of version "0", and this program needs 1`}},
		{"layout", `DELETE FROM fabric.layouts`, []string{"was made for another mapping"}},
		{"function", `CREATE OR REPLACE FUNCTION fabric."log t"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN NULL; END'`,
			[]string{"table public.t that logs changes was made for another mapping"}},
		{"table", `DROP TABLE t`, []string{"no table t"}},
		{"row level security", `ALTER TABLE t ENABLE ROW LEVEL SECURITY`, []string{"row level security"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := newDatabase(t, "CREATE TABLE t (id int PRIMARY KEY, a text); CREATE TABLE other (id int)")
			role := db.Role(t, "")
			db.dsn = role.DSN
			m := plainMapping("t", "id", "id", "a")
			src := db.source(m)
			fill := strings.NewReplacer("@role", role.Name)
			db.exec(fill.Replace(tt.do))
			for i := range tt.want {
				tt.want[i] = fill.Replace(tt.want[i])
			}
			wantSentence(t, src.Check(t.Context()), tt.want...)
			if tt.name == "table" || tt.name == "row level security" {
				return
			}
			db.source(m) // setup mends it
		})
	}
}

// TestSetup executes it twice, and removes all of it.
func TestSetup(t *testing.T) {
	db := newDatabase(t, shopSchema)
	things := `SELECT (SELECT count(*) FROM pg_class) || ' ' || (SELECT count(*) FROM pg_proc) || ' ' || (SELECT count(*) FROM pg_trigger) || ' ' || (SELECT count(*) FROM pg_namespace)`
	before := db.value(things)
	src := db.bare(shopMapping())
	statements, err := src.Setup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, st := range statements {
			if st.Why == "" || strings.HasSuffix(st.SQL, ";") {
				t.Errorf("statement %q because of %q", st.SQL, st.Why)
			}
			db.exec(st.SQL)
		}
	}
	if statements, err := src.Setup(t.Context()); err != nil || len(statements) > 0 {
		t.Errorf("Setup = %d statements, %v, when all is done", len(statements), err)
	}
	db.remove(shopMapping())
	db.remove(shopMapping())
	if after := db.value(things); after != before {
		t.Errorf("%s relations, functions, triggers, schemas after Uninstall, %s before Setup", after, before)
	}
	db.exec("INSERT INTO bookings (id) VALUES ('b1')") // the shop writes

	_, err = db.bare(plainMapping("bookings", "id", "id", "stauts")).Setup(t.Context())
	wantSentence(t, err, "stauts", "status")
}

// TestTwoOutboxes has two sources with schemas of their own on one table.
func TestTwoOutboxes(t *testing.T) {
	db := newDatabase(t, "CREATE TABLE t (id int PRIMARY KEY, a text)")
	one := db.source(plainMapping("t", "id", "id"))
	two, err := outbox.New("two", publisher.OutboxConfig{DSN: db.dsn, Schema: `Se"cond 'schema'`}, plainMapping("t", "id", "id", "a"), db.log, nil)
	if err != nil {
		t.Fatal(err)
	}
	db.setup(two)
	if err := two.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	three, err := outbox.New("three", publisher.OutboxConfig{DSN: db.dsn}, plainMapping("t", "id", "id"), db.log, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = three.Setup(t.Context())
	wantSentence(t, err, `schema "fabric" is the outbox of a source named "shop"`, "outbox.schema")
	wantSentence(t, three.Check(t.Context()), `schema "fabric" is the outbox of a source named "shop"`)

	fromOne, fromTwo := snapshotPlace(t, one), snapshotPlace(t, two)
	db.exec("INSERT INTO t VALUES (1, 'x'); TRUNCATE t")
	wantRun(t, one, fromOne, "Insert t new(id=1)\nDelete t old(id=1)")
	wantRun(t, two, fromTwo, "Insert t new(a=x id=1)\nDelete t old(a=x id=1)")
}

// TestLease: a standby waits, takes over at once after a release, and when the
// lease has run out; through a pooler too.
func TestLease(t *testing.T) {
	db := newDatabase(t, "CREATE TABLE t (id int PRIMARY KEY)")
	m := plainMapping("t", "id", "id")
	db.source(m)
	db.dsn = db.Pooled(t)
	first, err := db.bare(m).Acquire(t.Context(), func(holder string) { t.Errorf("waits for %s", holder) })
	if err != nil {
		t.Fatal(err)
	}
	waiting, got := make(chan string, 10), make(chan publisher.Hold, 1)
	go func() {
		hold, err := db.bare(m).Acquire(t.Context(), func(holder string) { waiting <- holder })
		if err != nil {
			t.Errorf("Acquire: %v", err)
		}
		got <- hold
	}()
	if holder := <-waiting; !strings.Contains(holder, " pid ") {
		t.Errorf("waits for %q", holder)
	}
	select {
	case <-got:
		t.Fatal("both have the lease")
	case <-time.After(200 * time.Millisecond):
	}
	released := time.Now()
	first.Release()
	second := <-got
	if took := time.Since(released); took > 5*time.Second {
		t.Errorf("took %v to take over", took)
	}
	// Somebody takes it by force.
	db.exec("UPDATE fabric.lease SET holder = 'thief', until = clock_timestamp() + interval '1 hour'")
	select {
	case <-second.Lost():
	case <-time.After(20 * time.Second):
		t.Error("the loss of the lease was not noticed")
	}
	second.Release()
	if holder := db.value("SELECT holder || ' ' || (until > clock_timestamp())::text FROM fabric.lease"); holder != "thief true" {
		t.Errorf("the lease is %s after it was released by another", holder)
	}
}
