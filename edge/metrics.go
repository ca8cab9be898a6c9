package edge

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/petpro/fabric/edge/gate"
	"github.com/petpro/fabric/edge/hub"
)

// metrics exports what hub and gate count, when it is asked. The feed and the
// transports export their own.
type metrics struct{ readings []reading }

type reading struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func() float64
}

func newMetrics(s *Server) *metrics {
	m := &metrics{}
	m.gauge("draining", "1 while this node is draining.", func() float64 {
		if s.draining.Load() {
			return 1
		}
		return 0
	})
	m.gauge("watermark", "Stream sequence read so far.", func() float64 { return float64(s.Watermark()) })
	m.hub(s.hub.Stats())
	m.gate(s)
	return m
}

func (m *metrics) hub(st *hub.Stats) {
	m.gauge("sessions", "Sessions that are connected.", func() float64 { return float64(st.Sessions.Load()) })
	m.gauge("members", "Memberships over all rooms.", func() float64 { return float64(st.Members.Load()) })
	m.gauge("parked", "Connects, joins and repairs that wait for the broker or the tail.", func() float64 { return float64(st.Parked.Load()) })
	m.counter("events_sent", "Events handed to clients, snapshots included.", st.Events.Load)
	m.counter("snapshots_sent", "Last values handed to clients.", st.Snapshots.Load)
	m.counter("rooms_from_ring", "Rooms resumed or joined from the ring.", st.FromRing.Load)
	m.counter("rooms_from_history", "Rooms resumed or joined by reading the stream.", st.FromHistory.Load)
	m.counter("rooms_recovered", "Rooms resumed without a gap.", st.Recovered.Load)
	m.counter("gaps", "Gaps told to clients.", st.Gaps.Load)
	m.counter("revoked", "Memberships ended because access was lost.", st.Revoked.Load)
	m.counter("refused", "Joins refused with code 103.", st.Refused.Load)
	m.counter("history_reads", "Reads of the stream's history.", st.Fetches.Load)
	m.counter("history_errors", "Reads of the stream's history that failed.", st.FetchErrors.Load)
	m.counter("jumps", "Times a shard resumed its sessions because ring or stream ran past it.", st.Jumps.Load)
	m.counter("resets", "Times a shard began another history.", st.Resets.Load)
}

// gate exists only while the node listens.
func (m *metrics) gate(s *Server) {
	count := func(of func(*gate.Stats) uint64) func() uint64 {
		return func() uint64 {
			if g := s.gate.Load(); g != nil {
				return of(g.Stats())
			}
			return 0
		}
	}
	m.counter("handshakes_silent", "Sockets closed because they sent no request in time.", count(func(g *gate.Stats) uint64 { return g.Silent.Load() }))
	m.counter("handshakes_crowded", "Waiting sockets closed to make room for newer ones.", count(func(g *gate.Stats) uint64 { return g.Crowded.Load() }))
	m.counter("handshakes_slow", "Sockets closed because they did not finish their request in time.", count(func(g *gate.Stats) uint64 { return g.Slow.Load() }))
}

func (m *metrics) gauge(name, help string, read func() float64) {
	m.readings = append(m.readings, reading{describe(name, help), prometheus.GaugeValue, read})
}

func (m *metrics) counter(name, help string, read func() uint64) {
	m.readings = append(m.readings, reading{
		describe(name+"_total", help), prometheus.CounterValue, func() float64 { return float64(read()) },
	})
}

func describe(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("fabric_edge_"+name, help, nil, nil)
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, r := range m.readings {
		ch <- r.desc
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, r := range m.readings {
		ch <- prometheus.MustNewConstMetric(r.desc, r.kind, r.read())
	}
}
