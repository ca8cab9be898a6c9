package pgdb

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// limitUnacknowledged ends a connection whose peer does not acknowledge data.
// Keepalives alone do not: while something is on its way to a dead host, Linux
// sends none, but repeats the data for a quarter of an hour (tcp(7),
// TCP_USER_TIMEOUT).
func limitUnacknowledged(network, _ string, c syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(keepAll.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return failed
}
