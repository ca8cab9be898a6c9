package feed_test

import (
	"errors"
	"net"
	"sync"
	"time"
)

// gate is a dialer whose connections can be cut and kept from coming back.
type gate struct {
	mu     sync.Mutex
	closed bool
	conns  []net.Conn
}

var errGate = errors.New("the gate is closed")

// Dial implements nats.CustomDialer.
func (g *gate) Dial(network, address string) (net.Conn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, errGate
	}
	c, err := net.DialTimeout(network, address, 5*time.Second)
	if err == nil {
		g.conns = append(g.conns, c)
	}
	return c, err
}

// shut cuts all connections and refuses new ones.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for _, c := range g.conns {
		c.Close()
	}
	g.conns = nil
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = false
}
