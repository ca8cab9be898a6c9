package pgdb_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/petpro/fabric/publisher/pgdb"
	"github.com/petpro/fabric/test/pgtest"
)

// forms of values which settings of the server could change.
const forms = `SELECT concat_ws(' ', '2026-11-22 19:27:47.541933+03'::timestamptz, '2026-11-02'::date, '26 hours'::interval,
	0.1::float8 + 0.2::float8, '\x00ff'::bytea, '1234.5'::money)`

const wantForms = `2026-11-22 16:27:47.541933+00 2026-11-02 26:00:00 0.30000000000000004 \x00ff $1,234.50`

// spoil makes the database and all its roles differ in every setting that
// counts.
func spoil(t *testing.T, db *pgtest.Database) {
	t.Helper()
	for _, set := range []string{"datestyle = 'German, DMY'", "timezone = 'Asia/Kathmandu'", "intervalstyle = 'iso_8601'", "extra_float_digits = -5",
		"bytea_output = 'escape'", "statement_timeout = '60s'", "lock_timeout = '60s'", "idle_in_transaction_session_timeout = '10min'",
		"default_transaction_isolation = 'serializable'", "jit = on", "client_encoding = 'LATIN1'"} {
		db.Exec(t, "ALTER DATABASE "+db.Name+" SET "+set)
	}
}

func TestSession(t *testing.T) {
	for version, opts := range versions {
		t.Run(version, func(t *testing.T) {
			db := pgtest.New(t, opts...)
			spoil(t, db)
			db.Exec(t, "ALTER DATABASE "+db.Name+" SET idle_session_timeout = '1min'")
			if version == "17" {
				db.Exec(t, "ALTER DATABASE "+db.Name+" SET transaction_timeout = '1min'")
			}
			conn := connect(t, db.DSN, pgdb.Options{Application: "fabric shop"})
			if got := value(t, conn, forms); got != wantForms {
				t.Errorf("forms\n%s, want\n%s", got, wantForms)
			}
			for name, want := range map[string]string{
				"application_name": "fabric shop", "client_encoding": "UTF8",
				"statement_timeout": "0", "lock_timeout": "10s", "idle_in_transaction_session_timeout": "0", "idle_session_timeout": "0",
				"tcp_keepalives_idle": "3", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3", "tcp_user_timeout": "9000",
				"row_security": "off", "default_transaction_isolation": "read committed", "jit": "off",
			} {
				if got := value(t, conn, "SELECT current_setting($1)", name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if version == "17" {
				if got := value(t, conn, "SHOW transaction_timeout"); got != "0" {
					t.Errorf("transaction_timeout is %q", got)
				}
			}
		})
	}
}

func TestReplicationSession(t *testing.T) {
	for version, opts := range versions {
		t.Run(version, func(t *testing.T) {
			db := pgtest.New(t, opts...)
			spoil(t, db)
			conn, err := replication(t.Context(), db.DSN)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(context.Background())
			for query, want := range map[string]string{
				forms: wantForms, "SHOW application_name": "fabric shop", "SHOW statement_timeout": "0",
			} {
				results, err := conn.Exec(t.Context(), query).ReadAll()
				if err != nil {
					t.Fatal(err)
				}
				if got := string(results[0].Rows[0][0]); got != want {
					t.Errorf("%s: %s, want %s", query, got, want)
				}
			}
		})
	}
}

// The DSN's own settings count where they are nobody else's business.
func TestDSNSettings(t *testing.T) {
	db := pgtest.New(t)
	conn := connect(t, db.DSN+"&application_name=mine&search_path=sales&datestyle=German", pgdb.Options{Application: "fabric"})
	for name, want := range map[string]string{"application_name": "mine", "search_path": "sales", "datestyle": "ISO, MDY"} {
		if got := value(t, conn, "SELECT current_setting($1)", name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// A table altered between two statements fails neither.
func TestAlterBetween(t *testing.T) {
	db := pgtest.New(t)
	conn := connect(t, db.DSN, pgdb.Options{})
	db.Exec(t, `CREATE TABLE a (n int); INSERT INTO a VALUES (1)`)
	for _, alter := range []string{"", "ALTER TABLE a ADD m text", "ALTER TABLE a ALTER n TYPE text"} {
		db.Exec(t, alter)
		rows, err := conn.Query(t.Context(), "SELECT * FROM a WHERE n::text = $1", "1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pgx.CollectRows(rows, pgx.RowToMap); err != nil {
			t.Errorf("after %q: %v", alter, err)
		}
	}
}

// Of several hosts, the one that accepts writes is found, also after a failover.
func TestSeveralHosts(t *testing.T) {
	primary := pgtest.Run(t)
	standby := pgtest.Replica(t, primary)
	dsn := pgtest.MultiDSN("postgres", standby, primary)
	port := func(dsn string) string {
		return value(t, connect(t, dsn, pgdb.Options{}), "SELECT current_setting('port') || ' ' || pg_is_in_recovery()")
	}
	plain := strings.Replace(dsn, "&target_session_attrs=read-write", "", 1)
	before := port(dsn)
	if !strings.HasSuffix(before, "false") || port(plain) != before {
		t.Errorf("connected to %s, and to %s without target_session_attrs", before, port(plain))
	}
	primary.Kill(t)
	_, err := pgdb.Connect(t.Context(), dsn, pgdb.Options{})
	expect(t, err, "away", "connection refused", "read only")
	standby.Promote(t)
	if after := port(dsn); after == before || !strings.HasSuffix(after, "false") {
		t.Errorf("connected to %s after the failover, to %s before", after, before)
	}
	repl, err := replication(t.Context(), plain)
	if err != nil {
		t.Fatal(err)
	}
	defer repl.Close(context.Background())
	if result, err := repl.Exec(t.Context(), "IDENTIFY_SYSTEM").ReadAll(); err != nil || string(result[0].Rows[0][1]) != "2" {
		t.Errorf("IDENTIFY_SYSTEM on %v, %v, want timeline 2", result, err)
	}
}

// A host that accepts connections and says nothing is given up.
func TestSilentHost(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	began := time.Now()
	_, err = pgdb.Connect(t.Context(), "postgres://fabric:s3cret@"+l.Addr().String()+"/shop?sslmode=disable&connect_timeout=1", pgdb.Options{})
	expect(t, err, "away", "timeout", l.Addr().String())
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v is the end of a context of the caller, who has none", err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("gave up after %s", took)
	}
}

// The end of the caller's context is not the server's fault.
func TestContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := pgdb.Connect(ctx, "postgres://fabric:s3cret@127.0.0.1:1/shop", pgdb.Options{})
	if !errors.Is(err, context.Canceled) || meaning(err) != "unknown" {
		t.Errorf("Connect with an ended context: %v", err)
	}
}

func TestConnectErrors(t *testing.T) {
	pg := pgtest.Run(t, pgtest.TLS("db.test"), pgtest.Access(
		"host all guest 127.0.0.1/32 scram-sha-256",
		"hostssl all secure 127.0.0.1/32 trust",
		"host all unknown 127.0.0.1/32 trust",
		"host all poor 127.0.0.1/32 trust",
		"host all few 127.0.0.1/32 trust"))
	db := pg.Database(t)
	db.Exec(t, `CREATE ROLE guest LOGIN PASSWORD 's3cret'; CREATE ROLE secure LOGIN; CREATE ROLE stranger LOGIN; CREATE ROLE poor LOGIN;
		CREATE ROLE few LOGIN CONNECTION LIMIT 0`)
	db.Exec(t, `CREATE DATABASE closed`)
	db.Exec(t, `REVOKE CONNECT ON DATABASE closed FROM public`)
	as := func(user, database, params string) string {
		return strings.Replace(strings.Replace(pg.DSN(database), "postgres@", user+"@", 1), "sslmode=disable", params, 1)
	}
	plain := "sslmode=disable"
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := free.Addr().String()
	free.Close()
	for _, c := range []struct {
		name, dsn   string
		replication bool
		want        string
		says        []string
	}{
		{"right password", as("guest:s3cret", db.Name, plain), false, "", nil},
		{"wrong password", as("guest:wr0ng", db.Name, plain), false, "problem", []string{`role "guest"`, `ALTER ROLE "guest" PASSWORD`, db.Name}},
		{"no password", as("guest", db.Name, plain), false, "problem", []string{`ALTER ROLE "guest" PASSWORD`}},
		{"no database", as("postgres", "nowhere", plain), false, "problem", []string{`no database "nowhere"`}},
		{"no CONNECT", as("poor", "closed", plain), false, "problem", []string{`GRANT CONNECT ON DATABASE "closed" TO "poor"`}},
		{"no role", as("unknown", db.Name, plain), false, "problem", []string{`CREATE ROLE "unknown" LOGIN`}},
		{"no entry", as("stranger", db.Name, plain), false, "problem", []string{"pg_hba.conf", `host "` + db.Name + `" "stranger"`, "pg_reload_conf"}},
		{"no entry for replication", as("stranger", db.Name, plain), true, "problem", []string{"pg_hba.conf", `host "` + db.Name + `" "stranger"`}},
		{"entry only for TLS", as("secure", db.Name, plain), false, "problem", []string{"pg_hba.conf", "sslmode=require"}},
		{"TLS", as("secure", db.Name, "sslmode=require"), false, "", nil},
		{"TLS if possible", as("secure", db.Name, "sslmode=prefer"), false, "", nil},
		{"unknown authority", as("secure", db.Name, "sslmode=verify-ca&sslrootcert=testdata/other.crt"), false, "problem", []string{"not trusted", "sslrootcert="}},
		{"authority", as("secure", db.Name, "sslmode=verify-ca&sslrootcert="+pg.CA()), false, "", nil},
		{"other name", as("secure", db.Name, "sslmode=verify-full&sslrootcert="+pg.CA()), false, "problem", []string{"not made out to the host"}},
		{"not REPLICATION", as("poor", db.Name, plain), true, "problem", []string{`ALTER ROLE "poor" REPLICATION`}},
		{"too many connections", as("few", db.Name, plain), false, "away", []string{"too many connections"}},
		{"unknown setting", as("postgres", db.Name, plain+"&no_such=1"), false, "problem", []string{`"no_such"`}},
		{"refused", "postgres://fabric:s3cret@" + nobody + "/shop", false, "away", []string{"connection refused", nobody}},
		{"unknown host", "postgres://fabric:s3cret@no-such-host.invalid/shop", false, "away", []string{"no-such-host.invalid"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var err error
			if c.replication {
				conn, e := replication(t.Context(), c.dsn)
				if err = e; e == nil {
					conn.Close(t.Context())
				}
			} else {
				conn, e := pgdb.Connect(t.Context(), c.dsn, pgdb.Options{})
				if err = e; e == nil {
					conn.Close(t.Context())
				}
			}
			expect(t, err, c.want, c.says...)
			for e := err; e != nil; e = errors.Unwrap(e) {
				if strings.Contains(e.Error(), "s3cret") || strings.Contains(e.Error(), "wr0ng") {
					t.Errorf("%v shows the password", e)
				}
			}
		})
	}
}

// Without TLS on the server, a DSN that demands it says so; one that does not
// says what else is wrong.
func TestNoTLS(t *testing.T) {
	db := pgtest.New(t)
	with := func(dsn, mode string) error {
		_, err := pgdb.Connect(t.Context(), strings.Replace(dsn, "sslmode=disable", "sslmode="+mode, 1), pgdb.Options{})
		return err
	}
	expect(t, with(db.DSN, "require"), "problem", "does not speak TLS", "sslmode=disable")
	expect(t, with(db.Server.DSN("nowhere"), "prefer"), "problem", `no database "nowhere"`)
	expect(t, with(db.Role(t, "CONNECTION LIMIT 0").DSN, "prefer"), "away", "too many connections")
}
