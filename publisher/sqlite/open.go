package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite" // registers the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/petpro/fabric/publisher"
)

// busyTimeout is how long a statement waits for a lock, in milliseconds. A wait
// also ends with its context.
const busyTimeout = "5000"

// pragma is a setting of a connection: what is set, and what must be read back,
// for SQLite ignores a pragma it cannot apply.
type pragma struct{ name, set, want string }

var (
	writerPragmas = []pragma{
		{"busy_timeout", busyTimeout, busyTimeout},
		{"journal_mode", "WAL", "wal"},
		{"synchronous", "FULL", "2"},
		{"foreign_keys", "1", "1"},
	}
	// The reader can neither write nor create the file. The journal mode is the
	// file's and was set by the writer.
	readerPragmas = []pragma{
		{"busy_timeout", busyTimeout, busyTimeout},
		{"query_only", "1", "1"},
	}
)

// connection is the only one of its pool.
type connection struct {
	*sql.Conn
	db *sql.DB
}

func (c *connection) Close() error {
	return errors.Join(c.Conn.Close(), c.db.Close())
}

func openWriter(ctx context.Context, path string) (*connection, error) {
	return open(ctx, path, "_txlock=immediate", writerPragmas)
}

func openReader(ctx context.Context, path string) (*connection, error) {
	return open(ctx, path, "_txlock=deferred", readerPragmas)
}

func open(ctx context.Context, path, txlock string, pragmas []pragma) (*connection, error) {
	if err := look(path); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// mode=rw: the file is never created. It counts only in a URI.
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?mode=rw&" + txlock
	for _, p := range pragmas {
		dsn += "&_pragma=" + url.QueryEscape(p.name+"("+p.set+")")
	}
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	c := &connection{Conn: conn, db: db}
	if err := c.verify(ctx, pragmas); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// verify reads the pragmas back.
func (c *connection) verify(ctx context.Context, pragmas []pragma) error {
	for _, p := range pragmas {
		var got string
		if err := c.QueryRowContext(ctx, "PRAGMA "+p.name).Scan(&got); err != nil {
			return err
		}
		if !strings.EqualFold(got, p.want) {
			return fmt.Errorf("PRAGMA %s is %q instead of %q: the file system or another program keeps SQLite from it; the file must be on a local disk, with no program holding it in another mode", p.name, got, p.want)
		}
	}
	// Reads the file, so that one which is no database is found here.
	var version int
	return c.QueryRowContext(ctx, "PRAGMA schema_version").Scan(&version)
}

// look at the file without opening it: to open and close it would drop all the
// locks this process has on it (https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_).
func look(path string) error {
	info, err := os.Stat(path)
	switch {
	case path == "":
		return errors.New("no path: set sqlite.path of the source to the database file")
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s does not exist: create the database first, or correct sqlite.path", path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s cannot be reached: give the publisher's user the permission to enter its directories", path)
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a directory: sqlite.path must name the database file in it", path)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file (%s): correct sqlite.path", path, info.Mode())
	}
	return nil
}

// diagnose adds what to do to the errors of SQLite that somebody can mend.
func diagnose(path string, err error) error {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%s is not a SQLite database, or is encrypted: correct sqlite.path (%w)", path, err)
	case sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("%s is damaged: see PRAGMA integrity_check, and restore it from a backup (%w)", path, err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%w: %s is locked by another program: end its transaction, and let no program set locking_mode=EXCLUSIVE (%w)", publisher.ErrAway, path, err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return fmt.Errorf("%s cannot be opened for writing: give the publisher's user read and write permission on the file and on its directory (%w)", path, err)
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("the disk of %s is full: make room (%w)", path, err)
	}
	return err
}

// busy says whether err is about a lock.
func busy(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code()&0xff == sqlite3.SQLITE_BUSY || e.Code()&0xff == sqlite3.SQLITE_LOCKED)
}
