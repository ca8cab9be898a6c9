package feed

import (
	"errors"
	"fmt"
	"time"

	"github.com/petpro/fabric/subjects"
)

// Config of a feed.
type Config struct {
	// Stream is the name of the stream, FABRIC unless the operator says
	// otherwise.
	Stream string
	// Kinds of rooms; subjects of other kinds only move the watermark.
	Kinds subjects.Kinds
	// RingBytes bounds the memory of the ring of newest messages.
	RingBytes int
	// ReplayEvents and ReplayBytes bound what one Fetch may return.
	ReplayEvents int
	ReplayBytes  int
	// StaleAfter is the silence (no message, no idle heartbeat) after which
	// the data counts as stale; PositionAfter the same for the publisher's
	// fabric.position.
	StaleAfter    time.Duration
	PositionAfter time.Duration
}

// DefaultConfig holds the defaults of docs/ARCHITECTURE.md.
func DefaultConfig() Config {
	return Config{
		Stream:        "FABRIC",
		Kinds:         subjects.Kinds{"booking"},
		RingBytes:     64 << 20,
		ReplayEvents:  10_000,
		ReplayBytes:   8 << 20,
		StaleAfter:    5 * time.Second,
		PositionAfter: 30 * time.Second,
	}
}

// Validate returns every complaint at once, each with its configuration key.
// Kinds and the bounds of a replay are the hub's too, and judged there.
func (c Config) Validate() error {
	var errs []error
	if c.Stream == "" {
		errs = append(errs, errors.New("nats.stream: is empty, must be the name of the stream, for example FABRIC"))
	}
	if c.RingBytes < minRing {
		errs = append(errs, fmt.Errorf("edge.ring: is %d bytes, must be at least %d (64KiB)", c.RingBytes, minRing))
	}
	if c.StaleAfter < heartbeat || c.PositionAfter < heartbeat {
		errs = append(errs, fmt.Errorf("edge.feed: stale after %s or %s without a position, must both be at least %s, the heartbeat of a quiet stream", c.StaleAfter, c.PositionAfter, heartbeat))
	}
	return errors.Join(errs...)
}

// minRing holds a few of the largest messages.
const minRing = 64 << 10
