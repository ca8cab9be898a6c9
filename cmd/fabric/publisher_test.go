package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/petpro/fabric/cmd/internal/daemon/daemontest"
	"github.com/petpro/fabric/cmd/internal/sources"
	"github.com/petpro/fabric/config"
	"github.com/petpro/fabric/deploy"
	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/test/natstest"
	"github.com/petpro/fabric/test/pgtest"
)

// shopDB is a shop's PostgreSQL and a publisher's role in it, and how commands
// are told of both.
type shopDB struct {
	*pgtest.Database
	kind string
	role pgtest.Role
	nats *natstest.Server
	// file has the mapping; empty: config/petpro.yaml.
	file string
}

func newShopDB(t *testing.T, db *pgtest.Database, kind, options string) shopDB {
	t.Helper()
	db.Exec(t, deploy.Postgres)
	return shopDB{Database: db, kind: kind, role: db.Role(t, options), nats: natstest.Run(t)}
}

// args are those of a command about this database.
func (s shopDB) args(command ...string) []string {
	source := fmt.Sprintf(`publisher.sources=[{"name":"petpro","kind":%[1]q,%[1]q:{"dsn":%[2]q}}]`, s.kind, s.role.DSN)
	return append(append([]string{"publisher"}, command...), "-c", cmp.Or(s.file, petproFile), "--set", source, "--set", "nats.urls="+s.nats.URL())
}

// petproFile holds the mapping of deploy/postgres.sql.
const petproFile = "../../config/petpro.yaml"

// must run a command that succeeds.
func (s shopDB) must(t *testing.T, command ...string) (out string) {
	t.Helper()
	code, out, errOut := fabric(t, s.args(command...)...)
	if code != 0 {
		t.Fatalf("fabric publisher %s: exit code %d\n%s\n%s", strings.Join(command, " "), code, errOut, out)
	}
	return out
}

// psql runs a script as the database's administrator.
func (s shopDB) psql(t *testing.T, script string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "psql", "--no-psqlrc", "--quiet", s.DSN)
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("psql: %v\n%s\nof the script\n%s", err, out, script)
	}
}

// catalog is everything that an uninstall could forget.
func (s shopDB) catalog(t *testing.T) string {
	t.Helper()
	const query = `
SELECT 'relation ' || n.nspname || '.' || c.relname || ' ' || c.relkind::text || ' ' || c.relreplident::text || ' ' || coalesce(c.relacl, acldefault('r', c.relowner))::text
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
UNION ALL SELECT 'schema ' || nspname || coalesce(nspacl, acldefault('n', nspowner))::text FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp'
UNION ALL SELECT 'column ' || attrelid::regclass || '.' || attname || ' ' || attacl::text FROM pg_attribute WHERE attacl IS NOT NULL AND attrelid >= 16384
UNION ALL SELECT 'function ' || p.oid::regprocedure FROM pg_proc p WHERE p.oid >= 16384
UNION ALL SELECT 'trigger ' || tgname || ' on ' || tgrelid::regclass FROM pg_trigger
UNION ALL SELECT 'publication ' || pubname FROM pg_publication
UNION ALL SELECT 'slot ' || slot_name FROM pg_replication_slots WHERE database = current_database()
UNION ALL SELECT 'comment ' || description FROM pg_description WHERE objoid >= 16384
ORDER BY 1`
	rows, err := s.Conn(t).Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// publish runs a publisher until its initial publication is done, so that the
// source has made all that it makes by itself.
func (s shopDB) publish(t *testing.T) (stop func()) {
	t.Helper()
	c, origins, err := config.Load(config.Options{File: cmp.Or(s.file, petproFile), Set: []string{
		s.args()[4], "nats.urls=" + s.nats.URL(), "publisher.state=" + t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := c.PublisherConfig(origins)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := sources.NewPublisher(cfg, s.nats.Conn(t), slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- pub.Run(ctx) }()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the publisher ended: %v", err)
		}
	}
	select {
	case <-pub.Initial():
	case err := <-ended:
		ended <- nil
		t.Fatalf("the publisher ended: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatalf("no initial publication after 30 s: %v", pub.Health())
	}
	return stop
}

// awaitWalsender waits until the slot is being read.
func (s shopDB) awaitWalsender(t *testing.T) {
	t.Helper()
	conn := s.Conn(t)
	daemontest.Eventually(t, func() error {
		var active bool
		err := conn.QueryRow(t.Context(), "SELECT active FROM pg_replication_slots WHERE database = current_database()").Scan(&active)
		if err == nil && !active {
			err = errors.New("nobody reads the slot")
		}
		return err
	})
}

// From nothing to a publisher that works and back, as an operator does it: what
// check says is what setup makes, and uninstall takes all of it away.
func TestSetupThroughPsql(t *testing.T) {
	for kind, options := range map[string]string{publisher.KindPostgres: "REPLICATION", publisher.KindOutbox: ""} {
		t.Run(kind, func(t *testing.T) {
			s := newShopDB(t, pgtest.New(t), kind, options)
			before := s.catalog(t)

			code, out, errOut := fabric(t, s.args("check")...)
			if code != exitFailure || !strings.Contains(errOut, "publisher setup -c ../../config/petpro.yaml --print-sql") {
				t.Errorf("check of an unprepared database: exit code %d, %s\n%s", code, errOut, out)
			}
			for _, part := range []string{"mapping    fine", "nats       fine", "PostgreSQL 15.", "database " + s.Name + " as " + s.role.Name, "\n  1. "} {
				if !strings.Contains(out, part) {
					t.Errorf("check does not say %q:\n%s", part, out)
				}
			}
			s.must(t, "setup", "--print-sql")
			if got := s.catalog(t); got != before {
				t.Fatalf("check and setup --print-sql changed the database:\n%s", textDiff(before, got))
			}

			for range 2 { // it can be repeated
				s.psql(t, s.must(t, "setup", "--print-sql"))
				s.must(t, "check")
			}
			s.publish(t)()

			script := s.must(t, "setup", "--uninstall", "--print-sql", "--dsn", s.DSN)
			if !strings.Contains(script, "DROP OWNED BY \""+s.role.Name+"\"") {
				t.Errorf("the script does not say what is left:\n%s", script)
			}
			s.psql(t, script)
			s.psql(t, "DROP OWNED BY "+s.role.Name)
			if got := s.catalog(t); got != before {
				t.Errorf("uninstalling leaves a different database:\n%s", textDiff(before, got))
			}
		})
	}
}

// The other form of PetPro's tables works with both kinds, too, in a schema of
// their own and under other names.
func TestSetupOfTheOtherForm(t *testing.T) {
	text, err := os.ReadFile("../../config/petpro-columns.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "columns.yaml")
	named := strings.Replace(string(text), "    bookings:\n      key: id", "    bookings:\n      from: Sales.Orders\n      key: id", 1)
	if err := os.WriteFile(file, []byte(named), 0o600); err != nil || named == string(text) {
		t.Fatalf("no table bookings in %s, %v", text, err)
	}
	for kind, options := range map[string]string{publisher.KindPostgres: "REPLICATION", publisher.KindOutbox: ""} {
		t.Run(kind, func(t *testing.T) {
			db := pgtest.New(t)
			db.Exec(t, `CREATE SCHEMA "Sales"; CREATE TYPE "Sales".state AS ENUM ('pending', 'confirmed');
				CREATE TABLE "Sales"."Orders" (id uuid PRIMARY KEY, customer_id uuid, vendor_id uuid, status "Sales".state, updated_at timestamptz, deleted_at timestamptz, staff_notes text);
				CREATE TABLE notifications (id bigint PRIMARY KEY, user_id uuid, type text, title text, message text, data jsonb);
				INSERT INTO "Sales"."Orders" VALUES (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'pending', now(), NULL, 'secret')`)
			s := shopDB{Database: db, kind: kind, role: db.Role(t, options), nats: natstest.Run(t), file: file}
			s.must(t, "setup", "--apply", "--dsn", s.DSN)
			s.must(t, "check")
			s.publish(t)()
			s.must(t, "setup", "--uninstall", "--apply", "--dsn", s.DSN)
		})
	}
}

// textDiff lists the lines that only one of two texts has.
func textDiff(before, after string) string {
	var b strings.Builder
	for _, side := range []struct{ sign, text, other string }{{"- ", before, after}, {"+ ", after, before}} {
		for line := range strings.SplitSeq(side.text, "\n") {
			if !strings.Contains("\n"+side.other+"\n", "\n"+line+"\n") {
				b.WriteString(side.sign + line + "\n")
			}
		}
	}
	return b.String()
}

func TestSetupApply(t *testing.T) {
	for kind, options := range map[string]string{publisher.KindPostgres: "REPLICATION", publisher.KindOutbox: ""} {
		t.Run(kind, func(t *testing.T) {
			s := newShopDB(t, pgtest.New(t), kind, options)
			before := s.catalog(t)

			// The publisher's own role may not: nothing is changed, and it says so.
			code, out, errOut := fabric(t, s.args("setup", "--apply")...)
			if code != exitFailure || !strings.Contains(errOut, "nothing was changed") || !strings.Contains(errOut, "permission denied") && !strings.Contains(errOut, "must be owner") {
				t.Errorf("setup without rights: exit code %d, %s\n%s", code, errOut, out)
			}
			if got := s.catalog(t); got != before {
				t.Fatalf("setup without rights changed the database:\n%s", textDiff(before, got))
			}
			code, _, errOut = fabric(t, s.args("setup", "--apply", "--dsn", s.Server.DSN("postgres"))...)
			if want := `the source is in database "` + s.Name + `", and --dsn leads to "postgres"`; code != exitFailure || !strings.Contains(errOut, want) {
				t.Errorf("an administrator of another database: exit code %d, %s; want %q in it", code, errOut, want)
			}
			for range 2 {
				if out := s.must(t, "setup", "--apply", "--dsn", s.DSN); !strings.Contains(out, "\npetpro ") {
					t.Errorf("setup --apply does not check:\n%s", out)
				}
			}
			s.must(t, "check")
			stop := s.publish(t)
			if kind == publisher.KindPostgres {
				s.awaitWalsender(t)
				if out := s.must(t, "check"); !strings.Contains(out, "replication slot fabric_petpro is being read") {
					t.Errorf("check while a publisher runs:\n%s", out)
				}
				code, _, errOut := fabric(t, s.args("setup", "--uninstall", "--apply", "--dsn", s.DSN)...)
				if code != exitFailure || !strings.Contains(errOut, "is active") {
					t.Errorf("uninstall while a publisher runs: exit code %d, %s", code, errOut)
				}
			}
			stop()
			s.must(t, "setup", "--uninstall", "--apply", "--dsn", s.DSN)
			s.must(t, "setup", "--uninstall", "--apply", "--dsn", s.DSN)
			s.psql(t, "DROP OWNED BY "+s.role.Name)
			if got := s.catalog(t); got != before {
				t.Errorf("uninstalling leaves a different database:\n%s", textDiff(before, got))
			}
		})
	}
}

// Every problem is told at once: those of the server, the role, the tables and
// NATS, for machines too.
func TestCheckTellsEverything(t *testing.T) {
	server := pgtest.Run(t, pgtest.Setting("wal_level", "replica"))
	s := newShopDB(t, server.Database(t), publisher.KindPostgres, "")
	s.Exec(t, "ALTER TABLE bookings RENAME COLUMN deleted_at TO gone_at; DROP TABLE notifications")
	s.nats.Stop()
	code, out, errOut := fabric(t, s.args("check")...)
	if code != exitFailure {
		t.Errorf("exit code %d, %s", code, errOut)
	}
	for _, part := range []string{
		"start nats-server", "wal_level is replica", "ALTER SYSTEM SET wal_level = 'logical'", "source of kind outbox", "may not replicate",
		`ALTER ROLE "` + s.role.Name + `" REPLICATION`, "deleted_at", "gone_at", "notifications", "advice:", "max_slot_wal_keep_size",
	} {
		if !strings.Contains(out, part) {
			t.Errorf("check does not say %q", part)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
	_, out, _ = fabric(t, s.args("check", "--json", "--source", "petpro")...)
	var r struct {
		OK    bool
		Parts []struct {
			Name     string
			OK       bool
			Problems []struct {
				What, Mend string
				Advice     bool
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || strings.Count(out, "\n") != 1 {
		t.Fatalf("check --json: %v\n%s", err, out)
	}
	if r.OK || len(r.Parts) != 3 || r.Parts[1].OK || r.Parts[2].Name != "petpro" || len(r.Parts[2].Problems) < 4 {
		t.Errorf("check --json = %+v", r)
	}

	// What is no setting of the server is made at once; that one needs a restart.
	s = newShopDB(t, server.Database(t), publisher.KindPostgres, "")
	code, out, errOut = fabric(t, s.args("setup", "--apply", "--dsn", s.DSN)...)
	if code != exitFailure || !strings.Contains(errOut, "1 problem left") || !strings.Contains(out, "ALTER SYSTEM SET wal_level") {
		t.Errorf("setup --apply with wal_level replica: exit code %d, %s\n%s", code, errOut, out)
	}
}

// A slot that the server has given up is told before the publisher finds it.
func TestCheckOfALostSlot(t *testing.T) {
	server := pgtest.Run(t, pgtest.Setting("max_slot_wal_keep_size", "1MB"), pgtest.Setting("max_wal_size", "32MB"), pgtest.Setting("min_wal_size", "32MB"))
	s := newShopDB(t, server.Database(t), publisher.KindPostgres, "REPLICATION")
	s.must(t, "setup", "--apply", "--dsn", s.DSN)
	s.publish(t)()
	if out := s.must(t, "check"); !strings.Contains(out, "replication slot fabric_petpro is read by nobody") {
		t.Errorf("check after a publisher has stopped:\n%s", out)
	}
	for range 4 { // a segment of 16 MB each
		s.Exec(t, "CREATE TABLE filler AS SELECT 1 AS a; DROP TABLE filler; SELECT pg_switch_wal()")
	}
	s.Exec(t, "CHECKPOINT")
	code, out, _ := fabric(t, s.args("check")...)
	if code != exitFailure || !strings.Contains(out, "replication slot fabric_petpro is lost") || !strings.Contains(out, "on_lost: epoch") {
		t.Errorf("check of a lost slot: exit code %d\n%s", code, out)
	}
}

func TestCheckOfAServerThatIsAway(t *testing.T) {
	for _, kind := range []string{publisher.KindPostgres, publisher.KindOutbox} {
		source := fmt.Sprintf(`publisher.sources=[{"name":"petpro","kind":%[1]q,%[1]q:{"dsn":"postgres://fabric:s3cr3t@127.0.0.1:%[2]d/shop"}}]`, kind, natstest.FreePort(t))
		for _, command := range [][]string{{"check"}, {"setup", "--print-sql"}, {"setup", "--uninstall", "--print-sql"}, {"setup", "--apply"}} {
			args := append(append([]string{"publisher"}, command...), "-c", petproFile, "--set", source, "--set", "nats.urls=nats://127.0.0.1:1")
			code, out, errOut := fabric(t, args...)
			if kind == publisher.KindOutbox && len(command) > 1 && command[1] == "--uninstall" {
				continue // it needs to ask nothing
			}
			if text := out + errOut; code != exitFailure || !strings.Contains(text, "connection refused") || strings.Contains(text, "s3cr3t") {
				t.Errorf("%s, kind %s: exit code %d\n%s", strings.Join(command, " "), kind, code, text)
			}
		}
	}
}

func TestPublisherUsage(t *testing.T) {
	two := `publisher.sources=[{"name":"a","kind":"postgres","postgres":{"dsn":"host=a"}},{"name":"b","kind":"outbox","outbox":{"dsn":"host=b"}}]`
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"bogus"}, `unknown command "bogus"`},
		{[]string{"setup"}, "--print-sql to read what would be done, or --apply to do it"},
		{[]string{"setup", "--apply", "--print-sql"}, "--print-sql to read what would be done, or --apply to do it"},
		{[]string{"setup", "--apply", "--dsn", "host=x", "-c", petproFile, "--set", two}, "2 sources on PostgreSQL; name one with --source"},
		{[]string{"check", "--source", "c", "-c", petproFile, "--set", two}, `--source "c": the configuration has no such source, only a, b, ingest`},
		{[]string{"check", "--set", "publisher.ingest=false"}, "publisher.sources: is empty"},
		{[]string{"check", "-c", petproFile, "--set", `publisher.sources=[{"name":"a","kind":"postgres"}]`}, "publisher.sources[0].postgres.dsn: is empty"},
	} {
		if code, _, errOut := fabric(t, append([]string{"publisher"}, tt.args...)...); code != exitUsage || !strings.Contains(errOut, tt.want) {
			t.Errorf("fabric publisher %q: exit code %d, %q; want %q in it", tt.args, code, errOut, tt.want)
		}
	}
}

// A source that makes what it needs by itself has nothing to be set up, but can
// be removed.
func TestSetupOfSQLite(t *testing.T) {
	shop := open(t, t.TempDir())
	args := func(command ...string) []string {
		return append(append([]string{"publisher", "setup"}, command...), "-c", petproFile, "--set",
			`publisher.sources=[{"name":"petpro","kind":"sqlite","sqlite":{"path":"`+shop.path+`"}}]`)
	}
	triggers := func() (n int) {
		if err := shop.db.QueryRowContext(t.Context(), "SELECT count(*) FROM sqlite_master WHERE name LIKE 'fabric_%'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, tt := range []struct {
		args []string
		want string
		made bool
	}{
		{args("--print-sql"), "-- the publisher makes what source petpro needs by itself", false},
		{args("--apply"), "source petpro: ready", true},
		{args("--uninstall", "--print-sql"), "--apply", true},
		{args("--uninstall", "--apply"), "source petpro: removed", false},
	} {
		code, out, errOut := fabric(t, tt.args...)
		if code != 0 || !strings.Contains(out, tt.want) || triggers() > 0 != tt.made {
			t.Errorf("%v: exit code %d, %s, %q; want %q; %d triggers", tt.args, code, errOut, out, tt.want, triggers())
		}
	}
}
