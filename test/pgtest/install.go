package pgtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// installation is one version of PostgreSQL on this machine.
type installation struct {
	bin  func() (string, error)
	made *once
}

// once is what is made of an installation once per process.
type once struct {
	sync.Once
	home *home // holds data, which initdb made, to be copied
	err  error
}

var (
	version15 = installation{distribution, &once{}}
	version17 = installation{sync.OnceValues(packaged17), &once{}}
)

// distribution finds the folder of Debian's programs.
func distribution() (string, error) {
	const dir = "/usr/lib/postgresql/15/bin"
	if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil {
		return dir, nil
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errors.New("no PostgreSQL server: run `make tools`, or install Debian's postgresql-15")
}

// reachable17 is a copy of PostgreSQL 17 that the server's user can run.
var reachable17 *home

// packaged17 finds what make tools unpacks into bin/. A clone may lie where only
// root may go; then it is copied.
func packaged17() (string, error) {
	_, file, _, _ := runtime.Caller(0)
	dir := filepath.Join(filepath.Dir(file), "..", "..", "bin", "postgresql-17")
	if _, err := os.Stat(filepath.Join(dir, "bin", "postgres")); err != nil {
		return "", fmt.Errorf("no PostgreSQL 17 in %s: run `make tools`", dir)
	}
	if os.Getuid() == 0 && !enterable(filepath.Join(dir, "bin")) {
		var err error
		if reachable17, err = newHome(); err != nil {
			return "", err
		}
		from := dir
		dir = filepath.Join(reachable17.dir, "postgresql-17")
		if err := copyTree(from, dir, nil); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, "bin"), nil
}

// program is the path of one of PostgreSQL's programs.
func (i installation) program(name string) (string, error) {
	dir, err := i.bin()
	return filepath.Join(dir, name), err
}

// template is an initialised data directory to be copied.
func (i installation) template() (string, error) {
	i.made.Do(func() { i.made.home, i.made.err = i.init() })
	if i.made.err != nil {
		return "", i.made.err
	}
	return filepath.Join(i.made.home.dir, "data"), nil
}

func (i installation) init() (*home, error) {
	initdb, err := i.program("initdb")
	if err != nil {
		return nil, err
	}
	h, err := newHome()
	if err != nil {
		return nil, err
	}
	return h, as(exec.Command(initdb, "-D", filepath.Join(h.dir, "data"), "-U", "postgres",
		"--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"))
}

// as runs a command as the server's user.
func as(cmd *exec.Cmd) error {
	cmd.SysProcAttr = processAs()
	cmd.Dir = os.TempDir()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}

// owner is the user whom PostgreSQL runs as if we are root.
var owner = sync.OnceValues(func() (*syscall.Credential, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no user postgres: run `make tools`: %w", err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err1, err2)
})

// processAs is nil unless we are root.
func processAs() *syscall.SysProcAttr {
	if os.Getuid() != 0 {
		return nil
	}
	cred, err := owner()
	if err != nil {
		return nil // give has complained
	}
	return &syscall.SysProcAttr{Credential: cred}
}

// give makes a file or directory the server's.
func give(path string) error {
	if os.Getuid() != 0 {
		return nil
	}
	cred, err := owner()
	if err != nil {
		return err
	}
	return os.Chown(path, int(cred.Uid), int(cred.Gid))
}
