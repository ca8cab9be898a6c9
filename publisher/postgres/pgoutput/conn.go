package pgoutput

import (
	"context"
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Options of a connection. The zero Options are the defaults.
type Options struct {
	// Timeout is the wal_sender_timeout of our session: a client of which the
	// server heard nothing for so long is given up, and its slot is free again.
	// A status is sent every tenth of it. 10 s if zero.
	Timeout time.Duration
	// Silence is how long the server may say nothing while we listen, 60 s if
	// zero. A host that is gone is noticed by the kernel within Timeout; this is
	// for a process that hangs. Mind that before 15.3 (14.8, 13.11) a walsender
	// says nothing while it reads through a large transaction of unpublished
	// tables: if that takes longer than Silence, it never gets done.
	Silence time.Duration
}

func (o *Options) setDefaults() {
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Silence == 0 {
		o.Silence = 60 * time.Second
	}
}

// Conn is a replication connection to a database that does not stream yet. Its
// methods are called from one goroutine at a time.
type Conn struct {
	pg      *pgconn.PgConn
	wire    *wire
	opts    Options
	version int
}

// settings of the session. Values are printed by the walsender, so these decide
// how they look, whatever the server's or the role's own settings are.
var settings = map[string]string{
	"replication":        "database",
	"client_encoding":    "UTF8",
	"datestyle":          "ISO",
	"timezone":           "UTC",
	"intervalstyle":      "postgres",
	"extra_float_digits": "1",
	"bytea_output":       "hex",
	"lc_monetary":        "C",
	// Creating a slot waits for other transactions, and whoever exports a
	// snapshot is idle in its transaction meanwhile. Contexts limit that here.
	"statement_timeout":                   "0",
	"lock_timeout":                        "0",
	"idle_in_transaction_session_timeout": "0",
}

// Connect opens a replication connection to the database of config, which it
// leaves as it is. It must lead to the server itself: pgbouncer in transaction
// mode has no replication. Use the SQLSTATE of the error: 42501 says that the
// role lacks REPLICATION, 53300 that max_wal_senders are in use.
func Connect(ctx context.Context, config *pgconn.Config, opts Options) (*Conn, error) {
	opts.setDefaults()
	c := &Conn{opts: opts}
	config = config.Copy()
	config.RuntimeParams = parameters(config.RuntimeParams, opts)
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = opts.Timeout
	}
	config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		c.wire = newWire(r)
		return pgproto3.NewFrontend(c.wire.buffer, w)
	}
	pg, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, c.fail(ctx, Connecting, "", err)
	}
	c.pg = pg
	if err := c.prepare(ctx); err != nil {
		c.Close()
		return nil, c.fail(ctx, Connecting, "", err)
	}
	return c, nil
}

// prepare does what startup parameters cannot: an old server refuses those that
// it does not know.
func (c *Conn) prepare(ctx context.Context) (err error) {
	if c.version, err = major(c.pg.ParameterStatus("server_version")); err != nil {
		return err
	}
	var set []string
	if c.version >= 14 {
		set = append(set, "SET idle_session_timeout = 0")
	}
	if c.version >= 17 {
		set = append(set, "SET transaction_timeout = 0") // decoding runs in transactions too
	}
	for _, command := range set {
		if _, err := c.pg.Exec(ctx, command).ReadAll(); err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
	}
	return watchPeer(c.pg.Conn(), c.opts.Timeout)
}

// parameters are those of the caller, with ours in the place of any that are the
// same to the server, to which case means nothing.
func parameters(given map[string]string, opts Options) map[string]string {
	ours := maps.Clone(settings)
	ours["wal_sender_timeout"] = strconv.FormatInt(opts.Timeout.Milliseconds(), 10)
	for name, value := range given {
		if lower := strings.ToLower(name); ours[lower] == "" {
			ours[name] = value
		}
	}
	return ours
}

// major of "15.18 (Debian 15.18-0+deb12u1)" or "18beta1" is 15 or 18.
func major(version string) (int, error) {
	end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(version)
	}
	n, err := strconv.Atoi(version[:end])
	if err != nil {
		return 0, fmt.Errorf("%q is not the version of a PostgreSQL server", version)
	}
	return n, nil
}

// Version is the server's major version.
func (c *Conn) Version() int { return c.version }

// Close ends the connection, and with it the snapshot that CreateSlot exported.
// If a context cut a command short, it waits until the command is cancelled at
// the server, 15 s at most. After Start it does nothing: the Stream has the
// connection then.
func (c *Conn) Close() {
	if c.pg == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	c.pg.Close(ctx)
	<-c.pg.CleanupDone() // of pgconn's goroutine that cancels
}

// query runs a replication command that answers with one row.
func (c *Conn) query(ctx context.Context, command string, columns int) ([][]byte, error) {
	results, err := c.pg.Exec(ctx, command).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) < columns {
		return nil, fmt.Errorf("%s: the answer is not one row of %d columns", command, columns)
	}
	return results[0].Rows[0], nil
}

// fail makes an Error, or the error of the context if that is why.
func (c *Conn) fail(ctx context.Context, phase Phase, slot string, err error) error {
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	return &Error{Phase: phase, Slot: slot, Err: err}
}

// quote makes an identifier of a replication command or a list of publications.
func quote(name string) string { return pgx.Identifier{name}.Sanitize() }
