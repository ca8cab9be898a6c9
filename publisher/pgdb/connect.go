package pgdb

import (
	"context"
	"fmt"
	"maps"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Options of a connection.
type Options struct {
	// Application is shown in pg_stat_activity and in the server's log, unless
	// the DSN says otherwise.
	Application string
	// Pooled asks the server for nothing that a pooler in transaction mode does
	// not grant: no settings of the session, no named prepared statements. Text
	// forms must then be set in each transaction: see Begin.
	Pooled bool
}

// connectTimeout bounds the way to one host, if the DSN does not: dialling, TLS
// and login.
const connectTimeout = 5 * time.Second

// lockTimeout bounds the waiting for a lock. Nothing of ours takes long ones; a
// migration of the shop may, and is then not queued behind us for ever.
const lockTimeout = "10s"

// Connect opens a session. Statements run without being prepared under a name
// (pgx.QueryExecModeExec), so that a table altered meanwhile does not fail them.
//
// A DSN of several hosts leads to the one that accepts writes, unless its
// target_session_attrs say otherwise. Errors are translated and never hold the
// password.
func Connect(ctx context.Context, dsn string, opts Options) (*pgx.Conn, error) {
	config, err := parse(dsn)
	if err != nil {
		return nil, err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.StatementCacheCapacity, config.DescriptionCacheCapacity = 0, 0
	prepare(&config.Config, opts)
	if !opts.Pooled {
		maps.Copy(config.RuntimeParams, sessionParams())
		config.AfterConnect = setNewer
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, ConnectError(ctx, &config.Config, err)
	}
	if opts.Pooled {
		conn.PgConn().CustomData()[pooledKey] = true
	}
	return conn, nil
}

// Config is the configuration of a connection that somebody else opens, for
// replication: with the session's settings as Connect has them. What comes of it
// is told by ConnectError.
func Config(dsn string, opts Options) (*pgconn.Config, error) {
	config, err := parse(dsn)
	if err != nil {
		return nil, err
	}
	prepare(&config.Config, opts)
	maps.Copy(config.RuntimeParams, sessionParams())
	return &config.Config, nil
}

// prepare sets what any connection has, pooled or not.
func prepare(config *pgconn.Config, opts Options) {
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	config.DialFunc = dialer().DialContext
	if config.RuntimeParams["application_name"] == "" && opts.Application != "" {
		config.RuntimeParams["application_name"] = opts.Application
	}
	// Of parameters, a pooler takes those that the server reports, and refuses
	// the rest: https://www.pgbouncer.org/config.html#ignore_startup_parameters
	config.RuntimeParams["client_encoding"] = "UTF8"
}

// Keepalive of TCP, on both sides: a peer that vanished is noticed after
// idle + count × interval = 9 s, whether or not data is on its way to it.
const (
	keepIdle     = 3 * time.Second
	keepInterval = 2 * time.Second
	keepCount    = 3
	keepAll      = keepIdle + keepCount*keepInterval
)

func dialer() *net.Dialer {
	return &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepIdle, Interval: keepInterval, Count: keepCount},
		Control:         limitUnacknowledged,
	}
}

// sessionParams are the startup parameters of a direct connection. All exist
// since PostgreSQL 13; newer ones are in setNewer.
func sessionParams() map[string]string {
	params := map[string]string{
		"statement_timeout":                   "0",
		"idle_in_transaction_session_timeout": "0",
		"lock_timeout":                        lockTimeout,
		// The server's side of the keepalive; ignored on a Unix socket.
		"tcp_keepalives_idle":     seconds(keepIdle),
		"tcp_keepalives_interval": seconds(keepInterval),
		"tcp_keepalives_count":    strconv.Itoa(keepCount),
		"tcp_user_timeout":        strconv.FormatInt(keepAll.Milliseconds(), 10),
		// Row level security would silently leave rows out; so it fails instead.
		"row_security":                  "off",
		"default_transaction_isolation": "read committed",
		"jit":                           "off",
	}
	for _, f := range Forms {
		params[f.Name] = f.Value
	}
	return params
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }

// setNewer switches time limits off that older servers do not know.
func setNewer(ctx context.Context, conn *pgconn.PgConn) error {
	var set []string
	version := reportedVersion(conn)
	if version >= 140000 {
		set = append(set, "SET idle_session_timeout = 0")
	}
	if version >= 170000 {
		set = append(set, "SET transaction_timeout = 0")
	}
	if len(set) == 0 {
		return nil
	}
	_, err := conn.Exec(ctx, strings.Join(set, "; ")).ReadAll()
	return err
}

// reportedVersion is what the server said at login, as server_version_num has
// it: 150018 for "15.18 (Debian 15.18-0+deb12u1)" and 170000 for "17beta1".
func reportedVersion(conn *pgconn.PgConn) int {
	var major, minor int
	if n, _ := fmt.Sscanf(conn.ParameterStatus("server_version"), "%d.%d", &major, &minor); n == 0 {
		return 0
	}
	return major*10000 + minor
}
