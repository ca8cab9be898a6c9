package pgtest_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/petpro/fabric/test/pgtest"
)

// helper names the environment that makes this test the process to be killed.
const helper = "PGTEST_TO_BE_KILLED"

// A test process that is killed takes its servers with it, and the next one
// removes what is left of it.
func TestKilled(t *testing.T) {
	if os.Getenv(helper) != "" {
		pg := pgtest.Run(t)
		fmt.Printf("\nserver %d %s\n", pg.Pid(), pg.Dir)
		select {}
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestKilled$")
	cmd.Env = append(os.Environ(), helper+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	var dir string
	for lines := bufio.NewScanner(out); pid == 0 && lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) == 3 && fields[0] == "server" {
			pid, _ = strconv.Atoi(fields[1])
			dir = fields[2]
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if pid == 0 {
		t.Fatal("the test to be killed started no server")
	}
	for deadline := time.Now().Add(20 * time.Second); syscall.Kill(pid, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d outlives its test", pid)
		}
	}
	pgtest.Sweep()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", dir, err)
	}
}

// What lives is not swept.
func TestSweepSparesTheLiving(t *testing.T) {
	pg := pgtest.Run(t)
	pgtest.Sweep()
	if _, err := os.Stat(pg.Dir); err != nil {
		t.Error(err)
	}
}
