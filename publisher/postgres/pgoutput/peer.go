package pgoutput

import (
	"crypto/tls"
	"net"
	"time"
)

// probes are how many of TCP's keepalives may go unanswered.
const probes = 5

// watchPeer has the kernel give up a host that vanished within about timeout,
// whether anything is on its way to it or not.
func watchPeer(conn net.Conn, timeout time.Duration) error {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil // a Unix socket ends with its peer
	}
	err := tcp.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable:   true,
		Idle:     timeout / 2,
		Interval: timeout / 2 / probes,
		Count:    probes,
	})
	if err != nil {
		return err
	}
	return setUserTimeout(tcp, timeout)
}
