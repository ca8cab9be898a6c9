package websocket

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

var _ prometheus.Collector = (*Handler)(nil)

// transport is a label of every metric, so that other transports may use the
// same names.
var transport = prometheus.Labels{"transport": "websocket"}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("fabric_edge_"+name, help, labels, transport)
}

var (
	descConnections = desc("connections", "Connections that are open.")
	descStuck       = desc("connections_stuck", "Connections whose socket does not take what is queued.")
	descUpgrades    = desc("upgrades_total", "Handshakes that succeeded.")
	descRefusals    = desc("upgrades_refused_total", "Handshakes that were refused, by HTTP status.", "status")
	descCloses      = desc("closes_total", "Connections ended by this edge, by close code.", "code")
	descCommands    = desc("commands_total", "Commands read from clients.")
	descLimited     = desc("commands_limited_total", "Commands refused because the client sent too many.")
	descWrites      = desc("writes_total", "Writes to sockets. One carries as many frames as were queued.")
	descBytes       = desc("written_bytes_total", "Bytes that sockets have taken.")
)

// Describe implements prometheus.Collector.
func (h *Handler) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(h, ch) }

// Collect implements prometheus.Collector.
func (h *Handler) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, n int64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n))
	}
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	s := h.stats
	gauge(descConnections, s.Connections.Load())
	gauge(descStuck, s.Stuck.Load())
	counter(descUpgrades, s.Upgrades.Load())
	for status, n := range s.Refusals.All() {
		counter(descRefusals, n, strconv.Itoa(status))
	}
	for code, n := range s.Closes.All() {
		counter(descCloses, n, strconv.Itoa(code))
	}
	counter(descCommands, s.Commands.Load())
	counter(descLimited, s.Limited.Load())
	counter(descWrites, s.Writes.Load())
	counter(descBytes, s.Bytes.Load())
}
