package websocket

import (
	"errors"
	"fmt"
	"time"

	"github.com/petpro/fabric/edge/auth"
)

// Config of the native WebSocket transport.
type Config struct {
	// Origins that browsers may connect from: "https://app.example.com", or
	// "*" for any. Empty allows any origin as long as the token does not come
	// from a cookie.
	Origins []string
	// Frame bounds a client's frame, ConnectFrame the first one, in bytes.
	Frame        int
	ConnectFrame int
	// CommandsPerSecond and Burst bound the commands of a connection.
	CommandsPerSecond float64
	Burst             int
	// QueueBytes and QueueFrames bound what waits for a slow client; beyond
	// either it is closed with 3008.
	QueueBytes  int
	QueueFrames int
	// Ping is the interval of server pings. A connection that has said nothing
	// for two of them is closed with 3012.
	Ping time.Duration
	// ConnectIn is the time a client has for its connect command.
	ConnectIn time.Duration
	// StuckFor is how long a socket may take nothing before it is closed.
	StuckFor time.Duration
	// SendBuffer is SO_SNDBUF in bytes: it bounds what the kernel holds for a
	// stalled client.
	SendBuffer int
}

// DefaultConfig holds the defaults of docs/PROTOCOL.md.
func DefaultConfig() Config {
	return Config{
		Frame:             32 << 10,
		ConnectFrame:      64 << 10,
		CommandsPerSecond: 50,
		Burst:             100,
		QueueBytes:        64 << 10,
		QueueFrames:       256,
		Ping:              25 * time.Second,
		ConnectIn:         10 * time.Second,
		StuckFor:          10 * time.Second,
		SendBuffer:        32 << 10,
	}
}

// Validate returns every complaint at once, each with its configuration key.
func (c Config) Validate() error {
	var errs []error
	for _, p := range []struct {
		key    string
		n, min int
	}{
		{"edge.limits.frame", c.Frame, 1 << 10},
		{"edge.limits.connect_frame", c.ConnectFrame, c.Frame},
		{"edge.limits.commands", int(c.CommandsPerSecond), 1},
		{"edge.limits.burst", c.Burst, 1},
		{"edge.limits.queue_bytes", c.QueueBytes, 8 << 10},
		{"edge.limits.queue_frames", c.QueueFrames, 8},
	} {
		if p.n < p.min {
			errs = append(errs, fmt.Errorf("%s: is %d, must be at least %d", p.key, p.n, p.min))
		}
	}
	for _, p := range []struct {
		key string
		d   time.Duration
	}{
		{"edge.ping", c.Ping}, {"edge.limits.connect_in", c.ConnectIn}, {"edge.limits.stuck_for", c.StuckFor},
	} {
		if p.d <= 0 {
			errs = append(errs, fmt.Errorf("%s: is %s, must be greater than 0", p.key, p.d))
		}
	}
	if c.SendBuffer < 4<<10 {
		errs = append(errs, fmt.Errorf("edge.limits.send_buffer: is %d, must be at least 4096", c.SendBuffer))
	}
	errs = append(errs, auth.Origins(c.Origins).Validate())
	return errors.Join(errs...)
}
