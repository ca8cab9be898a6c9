package hub

import (
	"errors"
	"fmt"
	"time"

	"github.com/petpro/fabric/edge/access"
	"github.com/petpro/fabric/subjects"
)

// Config of a hub. The zero value is not usable; start from DefaultConfig.
type Config struct {
	// Kinds of rooms clients may join.
	Kinds subjects.Kinds
	// EventsOnly names types that are events and not state: replayed, never
	// sent as a snapshot.
	EventsOnly []string
	// Policy says which roles may enter every room.
	Policy access.Policy
	// Ping is the interval of server pings, told to clients.
	Ping time.Duration
	// ParkMax is how long a session may wait for the broker before it is
	// closed with 3014.
	ParkMax time.Duration
	// HistoryConcurrency is the number of history reads under way at once.
	HistoryConcurrency int
	// ReplayEvents and ReplayBytes bound what one resume may replay; beyond,
	// the client is told a gap with reason limit.
	ReplayEvents int
	ReplayBytes  int
	// RoomsPerSession bounds the rooms a client names itself, MineMax those
	// joined through "mine".
	RoomsPerSession int
	MineMax         int
	// SessionsPerUser bounds the sessions of one user on this edge.
	SessionsPerUser int
	// Shards is the number of goroutines that own sessions; 0 = GOMAXPROCS.
	Shards int
}

// DefaultConfig holds the defaults of docs/ARCHITECTURE.md.
func DefaultConfig() Config {
	return Config{
		Kinds:              subjects.Kinds{"booking"},
		EventsOnly:         []string{subjects.NotificationType},
		Ping:               25 * time.Second,
		ParkMax:            10 * time.Minute,
		HistoryConcurrency: 32,
		ReplayEvents:       10_000,
		ReplayBytes:        8 << 20,
		RoomsPerSession:    512,
		MineMax:            1000,
		SessionsPerUser:    20,
	}
}

// Validate returns every complaint at once.
func (c Config) Validate() error {
	var errs []error
	if err := c.Kinds.Check(); err != nil {
		errs = append(errs, fmt.Errorf("rooms.kinds: %w", err))
	}
	for _, p := range []struct {
		key string
		n   int
	}{
		{"edge.history_concurrency", c.HistoryConcurrency},
		{"edge.replay_max.events", c.ReplayEvents},
		{"edge.replay_max.bytes", c.ReplayBytes},
		{"edge.limits.rooms", c.RoomsPerSession},
		{"edge.limits.mine", c.MineMax},
		{"edge.limits.sessions_per_user", c.SessionsPerUser},
	} {
		if p.n <= 0 {
			errs = append(errs, fmt.Errorf("%s: is %d, must be greater than 0", p.key, p.n))
		}
	}
	if c.Ping < time.Second {
		errs = append(errs, fmt.Errorf("edge.ping: is %s, must be at least 1s", c.Ping))
	}
	if c.ParkMax <= 0 {
		errs = append(errs, fmt.Errorf("edge.park_max: is %s, must be greater than 0", c.ParkMax))
	}
	return errors.Join(errs...)
}
