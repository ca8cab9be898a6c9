//go:build !linux

package pgoutput

import (
	"net"
	"time"
)

// setUserTimeout is for Linux. Elsewhere a host that vanished while data were
// on their way to it is noticed after Options.Silence.
func setUserTimeout(*net.TCPConn, time.Duration) error { return nil }
