package pgtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// freePort is one below those that the system gives to clients (from 32768 on
// Linux): a server that is stopped must get it again, and nobody may meet himself
// there (a client that dials a free port from that very port connects to itself).
func freePort() (int, error) {
	var err error
	for range 100 {
		port := 15000 + rand.IntN(17000)
		var l net.Listener
		if l, err = net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("no free port: %w", err)
}
