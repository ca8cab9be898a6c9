package config

import (
	"time"

	"github.com/petpro/fabric/edge"
	"github.com/petpro/fabric/edge/auth"
	"github.com/petpro/fabric/publisher"
)

// Config is everything that can be set. Start from Default; Load does.
// fabric.example.yaml says what each key means.
type Config struct {
	Log       Log         `mapstructure:"log"`
	NATS      NATS        `mapstructure:"nats"`
	Rooms     Rooms       `mapstructure:"rooms"`
	Auth      auth.Config `mapstructure:"auth"`
	Edge      Edge        `mapstructure:"edge"`
	Drain     Drain       `mapstructure:"drain"`
	Publisher Publisher   `mapstructure:"publisher"`

	// Mapping comes from the file only; see the package comment.
	Mapping publisher.Mapping `mapstructure:"-"`
}

// Log says what is logged, and how.
type Log struct {
	// Level is debug, info, warn or error.
	Level string `mapstructure:"level"`
	// Format is text or json.
	Format string `mapstructure:"format"`
}

// NATS is how the servers are reached.
type NATS struct {
	// URLs of the servers. A password in one is never printed.
	URLs []string `mapstructure:"urls"`
	// Creds is the path of a credentials file; empty = none.
	Creds string `mapstructure:"creds"`
	TLS   TLS    `mapstructure:"tls"`
	// Stream is the name of the stream both services use.
	Stream string `mapstructure:"stream"`
}

// TLS holds paths of PEM files; empty = the system's roots, no client
// certificate.
type TLS struct {
	CA   string `mapstructure:"ca"`
	Cert string `mapstructure:"cert"`
	Key  string `mapstructure:"key"`
}

// Rooms says what clients may join.
type Rooms struct {
	Kinds      []string `mapstructure:"kinds"`
	EventsOnly []string `mapstructure:"events_only"`
}

// Edge holds the settings of an edge node.
type Edge struct {
	Listen             string        `mapstructure:"listen"`
	AdminListen        string        `mapstructure:"admin_listen"`
	Origins            []string      `mapstructure:"origins"`
	Ring               Size          `mapstructure:"ring"`
	HistoryConcurrency int           `mapstructure:"history_concurrency"`
	ReplayMax          ReplayMax     `mapstructure:"replay_max"`
	ParkMax            time.Duration `mapstructure:"park_max"`
	MaxPending         int           `mapstructure:"max_pending"`
	Ping               time.Duration `mapstructure:"ping"`
	Limits             Limits        `mapstructure:"limits"`
}

// ReplayMax bounds what one resume may replay.
type ReplayMax struct {
	Events int  `mapstructure:"events"`
	Bytes  Size `mapstructure:"bytes"`
}

// Limits bound one client.
type Limits struct {
	Frame           Size    `mapstructure:"frame"`
	ConnectFrame    Size    `mapstructure:"connect_frame"`
	Rooms           int     `mapstructure:"rooms"`
	Mine            int     `mapstructure:"mine"`
	Commands        float64 `mapstructure:"commands"`
	Burst           int     `mapstructure:"burst"`
	SessionsPerUser int     `mapstructure:"sessions_per_user"`
	QueueBytes      Size    `mapstructure:"queue_bytes"`
	QueueFrames     int     `mapstructure:"queue_frames"`
}

// Drain says how an edge leaves.
type Drain struct {
	Delay  time.Duration `mapstructure:"delay"`
	Window time.Duration `mapstructure:"window"`
}

// Publisher holds the settings of a publisher.
type Publisher struct {
	// AdminListen serves /readyz and /metrics; empty = off.
	AdminListen string                   `mapstructure:"admin_listen"`
	Sources     []publisher.SourceConfig `mapstructure:"sources"`
	// Ingest adds the source that carries what services publish themselves.
	Ingest       bool          `mapstructure:"ingest"`
	IngestStream string        `mapstructure:"ingest_stream"`
	State        string        `mapstructure:"state"`
	ConfirmDelay time.Duration `mapstructure:"confirm_delay"`
	MaxPayload   Size          `mapstructure:"max_payload"`
	Retention    time.Duration `mapstructure:"retention"`
	Keep         int           `mapstructure:"keep"`
	Replicas     int           `mapstructure:"replicas"`
	OnLost       string        `mapstructure:"on_lost"`
}

// Default holds the services' own defaults, and those of what only this
// package knows.
func Default() Config {
	e, p := edge.DefaultConfig(), publisher.DefaultConfig()
	return Config{
		Log:   Log{Level: "info", Format: "text"},
		NATS:  NATS{URLs: []string{"nats://127.0.0.1:4222"}, Stream: p.Stream},
		Rooms: Rooms{Kinds: e.Hub.Kinds, EventsOnly: e.Hub.EventsOnly},
		Auth:  e.Auth,
		Edge: Edge{
			Listen:             e.Listen,
			AdminListen:        e.AdminListen,
			Origins:            e.WebSocket.Origins,
			Ring:               Size(e.Feed.RingBytes),
			HistoryConcurrency: e.Hub.HistoryConcurrency,
			ReplayMax:          ReplayMax{Events: e.Hub.ReplayEvents, Bytes: Size(e.Hub.ReplayBytes)},
			ParkMax:            e.Hub.ParkMax,
			MaxPending:         e.Gate.Pending,
			Ping:               e.Hub.Ping,
			Limits: Limits{
				Frame:           Size(e.WebSocket.Frame),
				ConnectFrame:    Size(e.WebSocket.ConnectFrame),
				Rooms:           e.Hub.RoomsPerSession,
				Mine:            e.Hub.MineMax,
				Commands:        e.WebSocket.CommandsPerSecond,
				Burst:           e.WebSocket.Burst,
				SessionsPerUser: e.Hub.SessionsPerUser,
				QueueBytes:      Size(e.WebSocket.QueueBytes),
				QueueFrames:     e.WebSocket.QueueFrames,
			},
		},
		Drain: Drain{Delay: e.DrainDelay, Window: e.DrainWindow},
		Publisher: Publisher{
			AdminListen:  "127.0.0.1:9091",
			Ingest:       true,
			IngestStream: p.IngestStream,
			State:        p.State,
			ConfirmDelay: p.ConfirmDelay,
			MaxPayload:   Size(p.MaxPayload),
			Retention:    p.Retention,
			Keep:         p.Keep,
			Replicas:     p.Replicas,
			OnLost:       p.OnLost,
		},
	}
}
