package config

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"

	"github.com/petpro/fabric/edge"
	"github.com/petpro/fabric/edge/access"
	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
)

// IngestSource is the name of the source that publisher.ingest adds.
const IngestSource = "ingest"

// EdgeConfig is what an edge is built from. The error is an *Error with every
// complaint about the values.
func (c Config) EdgeConfig(o Origins) (edge.Config, error) {
	e := edge.DefaultConfig()
	e.Listen, e.AdminListen, e.Gate.Pending = c.Edge.Listen, c.Edge.AdminListen, c.Edge.MaxPending
	e.DrainDelay, e.DrainWindow = c.Drain.Delay, c.Drain.Window
	e.Auth = c.Auth

	e.Hub.Kinds = subjects.Kinds(c.Rooms.Kinds)
	e.Hub.EventsOnly = c.Rooms.EventsOnly
	e.Hub.Policy = access.Policy{AdminRoles: c.Auth.AdminRoles}
	e.Hub.Ping = c.Edge.Ping
	e.Hub.ParkMax = c.Edge.ParkMax
	e.Hub.HistoryConcurrency = c.Edge.HistoryConcurrency
	e.Hub.ReplayEvents, e.Hub.ReplayBytes = c.Edge.ReplayMax.Events, int(c.Edge.ReplayMax.Bytes)
	e.Hub.RoomsPerSession, e.Hub.MineMax = c.Edge.Limits.Rooms, c.Edge.Limits.Mine
	e.Hub.SessionsPerUser = c.Edge.Limits.SessionsPerUser

	e.Feed.Stream = c.NATS.Stream
	e.Feed.Kinds = subjects.Kinds(c.Rooms.Kinds)
	e.Feed.RingBytes = int(c.Edge.Ring)
	e.Feed.ReplayEvents, e.Feed.ReplayBytes = e.Hub.ReplayEvents, e.Hub.ReplayBytes

	e.WebSocket.Origins = c.Edge.Origins
	e.WebSocket.Frame, e.WebSocket.ConnectFrame = int(c.Edge.Limits.Frame), int(c.Edge.Limits.ConnectFrame)
	e.WebSocket.CommandsPerSecond, e.WebSocket.Burst = c.Edge.Limits.Commands, c.Edge.Limits.Burst
	e.WebSocket.QueueBytes, e.WebSocket.QueueFrames = int(c.Edge.Limits.QueueBytes), c.Edge.Limits.QueueFrames
	e.WebSocket.Ping = c.Edge.Ping

	p := c.common(o)
	if c.Auth.Cookie != "" && len(c.Edge.Origins) == 0 {
		p.addf("edge.origins", o["edge.origins"], "is empty, must list the origins whose pages may use the cookie of auth.cookie")
	}
	p.join(e.Validate(), o)
	return e, p.err()
}

// PublisherConfig is what a publisher is built from. The error is an *Error
// with every complaint about the values.
func (c Config) PublisherConfig(o Origins) (publisher.Config, error) {
	out := publisher.DefaultConfig()
	out.Stream, out.IngestStream = c.NATS.Stream, c.Publisher.IngestStream
	out.Kinds = c.Rooms.Kinds
	out.Sources = slices.Clone(c.Publisher.Sources)
	if c.Publisher.Ingest {
		out.Sources = append(out.Sources, publisher.SourceConfig{Name: IngestSource, Kind: publisher.KindIngest})
	}
	out.State = c.Publisher.State
	out.ConfirmDelay = c.Publisher.ConfirmDelay
	out.MaxPayload = int(c.Publisher.MaxPayload)
	out.Retention, out.Keep = c.Publisher.Retention, c.Publisher.Keep
	out.Replicas, out.OnLost = c.Publisher.Replicas, c.Publisher.OnLost
	out.Mapping = c.Mapping

	p := c.common(o)
	p.join(out.Validate(), o)
	checkAddress("publisher.admin_listen", c.Publisher.AdminListen, o, p)
	return out, p.err()
}

// StreamConfig is what the streams must be.
func (c Config) StreamConfig(o Origins) (stream.Config, error) {
	s := stream.Config{
		Name:      c.NATS.Stream,
		Ingest:    c.Publisher.IngestStream,
		Kinds:     subjects.Kinds(c.Rooms.Kinds),
		Keep:      c.Publisher.Keep,
		Retention: c.Publisher.Retention,
		Replicas:  c.Publisher.Replicas,
	}
	p := c.common(o)
	p.join(s.Validate(), o)
	return s, p.err()
}

// Logger writes to w as the section log says; a wrong level or format, which
// EdgeConfig and PublisherConfig complain about, counts as the default.
func (c Config) Logger(w io.Writer) *slog.Logger {
	level, err := c.Log.level()
	if err != nil {
		level = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

func (l Log) level() (slog.Level, error) {
	var level slog.Level
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, l.Level) {
		return level, fmt.Errorf("is %q, must be debug, info, warn or error", l.Level)
	}
	return level, level.UnmarshalText([]byte(l.Level))
}

// common complains about the sections that no service checks by itself.
func (c Config) common(o Origins) *problems {
	p := new(problems)
	if _, err := c.Log.level(); err != nil {
		p.addf("log.level", o["log.level"], "%v", err)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		p.addf("log.format", o["log.format"], "is %q, must be text or json", c.Log.Format)
	}
	c.NATS.check(o, p)
	return p
}

// checkAddress accepts host:port, :port and nothing at all (off).
func checkAddress(key, addr string, o Origins, p *problems) {
	if addr == "" {
		return
	}
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		p.addf(key, o[key], "%q is no address, must be like :8080 or 127.0.0.1:9091", addr)
	}
}
