package pgoutput

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// setUserTimeout limits how long data may go unacknowledged. While some is on
// its way, and every status is, the kernel sends no keepalives, but repeats the
// data for a quarter of an hour (tcp(7), TCP_USER_TIMEOUT).
func setUserTimeout(conn *net.TCPConn, timeout time.Duration) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var refused error
	err = raw.Control(func(fd uintptr) {
		refused = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return refused
}
