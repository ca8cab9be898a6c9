package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/petpro/fabric/publisher"
)

// defaultData is where `fabric dev` keeps everything unless told otherwise,
// and where the other commands look for one that runs.
const defaultData = "./.fabric"

// dataDir is the directory of one `fabric dev`:
//
//	lock        taken while one runs
//	secret      signs tokens (HS256); read and written by its owner only
//	database    what the streams were published from, so that they never mix
//	shop.db     the shop's database, if it is not the developer's
//	nats/       the streams
//	state/      the publisher's
//	ready.json  what a running one has told, for the other commands
type dataDir struct {
	path string
	lock *os.File
}

// openData makes the directory if need be and takes it for this process.
func openData(path string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w; name one that can be written to with --data", err)
	}
	f, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w; name one that can be written to with --data", err)
	}
	got, err := tryLock(f)
	switch {
	case err != nil:
		return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
	case !got:
		return nil, errors.Join(fmt.Errorf("another `fabric dev` uses %s; end that one, or name another directory with --data", path), f.Close())
	}
	return &dataDir{path: path, lock: f}, nil
}

// Close forgets what was told and gives the directory free.
func (d *dataDir) Close() error {
	err := os.Remove(d.readyFile())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, d.lock.Close())
}

// memory is what a directory's streams were published from.
type memory struct {
	// Kind of the source.
	Kind string `json:"kind"`
	// Database is its name, System the identity of its server; none for SQLite.
	Database string `json:"database,omitempty"`
	System   uint64 `json:"system,omitempty"`
}

// remember refuses another source than that of the directory's streams, in which
// rows of both would be mixed.
func (d *dataDir) remember(now memory) error {
	name := filepath.Join(d.path, "database")
	text, err := os.ReadFile(name)
	was := now
	switch {
	case err == nil:
		err = json.Unmarshal(text, &was)
	case errors.Is(err, fs.ErrNotExist):
		if _, found := os.Stat(filepath.Join(d.path, "shop.db")); found == nil {
			was = memory{Kind: publisher.KindSQLite} // made before this file was
		}
		err = nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w; remove the data directory, or name another with --data", name, err)
	}
	if was != now {
		return fmt.Errorf("%s holds what was published from %s, and this is %s; name another directory with --data, or remove that one", d.path, was, now)
	}
	text, err = json.Marshal(now)
	if err != nil {
		return fmt.Errorf("remember the database: %w", err)
	}
	return writeFile(name, append(text, '\n'))
}

func (m memory) String() string {
	if m.Kind == publisher.KindSQLite {
		return "a SQLite file of its own"
	}
	return fmt.Sprintf("database %s of PostgreSQL system %d, source %s", m.Database, m.System, m.Kind)
}

func (d *dataDir) readyFile() string { return filepath.Join(d.path, "ready.json") }

// announce writes down what a running dev told, for the other commands.
func (d *dataDir) announce(r Ready) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	return writeFile(d.readyFile(), append(text, '\n'))
}

// running reads what the dev on this directory announced; ok is false if none
// runs.
func running(path string) (r Ready, ok bool) {
	text, err := os.ReadFile(filepath.Join(path, "ready.json"))
	return r, err == nil && json.Unmarshal(text, &r) == nil
}

// secret reads the secret of the directory; it makes one the first time.
func (d *dataDir) secret() (string, error) {
	s, err := readSecret(d.path)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	var b [32]byte
	rand.Read(b[:]) // never fails (crypto/rand, Go 1.24)
	s = hex.EncodeToString(b[:])
	return s, writeFile(filepath.Join(d.path, "secret"), []byte(s+"\n"))
}

// readSecret refuses a secret that others could have read.
func readSecret(path string) (string, error) {
	name := filepath.Join(path, "secret")
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s can be read by others (mode %04o); remove it, and every token ends, or run: chmod 600 %s", name, info.Mode().Perm(), name)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	s := strings.TrimSpace(string(text))
	if len(s) < 32 {
		return "", fmt.Errorf("%s is damaged (%d bytes, must be at least 32); remove it, and a new one is made", name, len(s))
	}
	return s, nil
}

// writeFile puts a file in place in one step, for its owner only.
func writeFile(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), os.Remove(f.Name()))
	}
	return nil
}
