package pgdb_test

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/petpro/fabric/publisher/pgdb"
	"github.com/petpro/fabric/test/pgtest"
)

// Both ends of a connection notice within ten seconds that the other is gone.
func TestKeepalive(t *testing.T) {
	conn := connect(t, pgtest.New(t).DSN, pgdb.Options{})
	raw, err := conn.PgConn().Conn().(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []struct {
		name         string
		level, which int
		want         int
	}{
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 3},
		{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 2},
		{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3},
		{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 9000},
	} {
		var got int
		if cerr := raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), o.level, o.which) }); cerr != nil || err != nil {
			t.Fatal(cerr, err)
		}
		if got != o.want {
			t.Errorf("%s is %d, want %d", o.name, got, o.want)
		}
	}
}
