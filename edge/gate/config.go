package gate

import (
	"errors"
	"fmt"
	"time"
)

// Config of a gate. Start from DefaultConfig.
type Config struct {
	// Pending bounds connections that have not been handed over; PendingFor is
	// how long one may be silent or wait for a slot.
	Pending    int
	PendingFor time.Duration
	// Slots bounds handshakes under way. A slot is held for SlotFor at most; a
	// connection whose request has not been read by then is closed.
	Slots   int
	SlotFor time.Duration
	// PerAddress bounds the slots that one address (for IPv6: one /64) holds. A
	// balancer in front is one address.
	PerAddress int
}

// DefaultConfig holds the defaults of docs/ARCHITECTURE.md.
func DefaultConfig() Config {
	return Config{Pending: 8192, PendingFor: 10 * time.Second, Slots: 128, SlotFor: 2 * time.Second, PerAddress: 32}
}

// Validate returns every complaint at once.
func (c Config) Validate() error {
	var errs []error
	if c.Pending <= 0 {
		errs = append(errs, fmt.Errorf("edge.max_pending: is %d, must be greater than 0", c.Pending))
	}
	if c.Slots <= 0 || c.PerAddress <= 0 || c.SlotFor <= 0 || c.PendingFor <= 0 {
		errs = append(errs, fmt.Errorf("gate: %+v: every limit must be greater than 0", c))
	}
	return errors.Join(errs...)
}
