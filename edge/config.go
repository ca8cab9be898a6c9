package edge

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/petpro/fabric/edge/auth"
	"github.com/petpro/fabric/edge/feed"
	"github.com/petpro/fabric/edge/gate"
	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/edge/websocket"
)

// Config of one edge node. Start from DefaultConfig.
type Config struct {
	// Listen serves clients and /readyz; AdminListen serves metrics, health
	// and pprof and must not be reachable from outside. Empty AdminListen
	// turns it off.
	Listen      string
	AdminListen string
	// Gate bounds handshakes: connections that have not sent their request yet.
	Gate gate.Config

	Auth      auth.Config
	Hub       hub.Config
	Feed      feed.Config
	WebSocket websocket.Config

	// DrainDelay is the time balancers get to notice that /readyz turned red
	// before the listener closes; DrainWindow the time over which sessions are
	// then closed one by one.
	DrainDelay  time.Duration
	DrainWindow time.Duration
}

// DefaultConfig holds the defaults of docs/ARCHITECTURE.md.
func DefaultConfig() Config {
	return Config{
		Listen:      ":8080",
		AdminListen: "127.0.0.1:9090",
		Gate:        gate.DefaultConfig(),
		Auth:        auth.DefaultConfig(),
		Hub:         hub.DefaultConfig(),
		Feed:        feed.DefaultConfig(),
		WebSocket:   websocket.DefaultConfig(),
		DrainDelay:  5 * time.Second,
		DrainWindow: 30 * time.Second,
	}
}

// Validate returns every complaint at once, each with its configuration key.
func (c Config) Validate() error {
	errs := []error{c.Gate.Validate(), c.Hub.Validate(), c.Feed.Validate(), c.WebSocket.Validate()}
	for key, addr := range map[string]string{"edge.listen": c.Listen, "edge.admin_listen": c.AdminListen} {
		_, port, err := net.SplitHostPort(addr)
		if err == nil {
			_, err = net.LookupPort("tcp", port)
		}
		if err != nil && (addr != "" || key == "edge.listen") {
			errs = append(errs, fmt.Errorf("%s: %q is no address, must be like :8080 or 127.0.0.1:9090", key, addr))
		}
	}
	if c.DrainDelay < 0 || c.DrainWindow < 0 {
		errs = append(errs, fmt.Errorf("drain: delay %s and window %s must not be negative", c.DrainDelay, c.DrainWindow))
	}
	return errors.Join(errs...)
}
