package feed

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of a feed.
type metrics struct {
	messages, holes, consumers, resets prometheus.Counter
	staleness                          prometheus.Gauge
	history                            *prometheus.HistogramVec
	retries, torn                      prometheus.Counter
}

// newMetrics registers them with reg; nil keeps them to itself.
func newMetrics(reg prometheus.Registerer, w *window) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	gauge := func(name, help string, f func() float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
	}
	m := &metrics{
		messages:  counter("fabric_edge_feed_messages_total", "Messages read from the stream's tail."),
		holes:     counter("fabric_edge_feed_holes_total", "Times that the stream had dropped messages before the tail read them."),
		consumers: counter("fabric_edge_feed_consumers_total", "Consumers the tail has read through."),
		resets:    counter("fabric_edge_feed_resets_total", "Times that the stream turned out to hold another history."),
		retries:   counter("fabric_edge_history_retries_total", "Questions to the stream that had to be repeated."),
		torn:      counter("fabric_edge_history_torn_total", "Rooms that could not be read completely in several tries."),
		staleness: prometheus.NewGauge(prometheus.GaugeOpts{Name: "fabric_edge_feed_stale", Help: "1 while the broker or the publisher is away."}),
		history: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "fabric_edge_history_duration_seconds",
			Help:    "Time to read history from the stream, by what was asked for.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 8),
		}, []string{"question"}),
	}
	reg.MustRegister(m.staleness, m.history)
	gauge("fabric_edge_feed_sequence", "Newest sequence that sessions may see.", func() float64 { return float64(w.look().Last) })
	gauge("fabric_edge_ring_bytes", "Memory of the newest messages.", func() float64 { b, _ := w.held(); return float64(b) })
	gauge("fabric_edge_ring_messages", "Newest messages in memory.", func() float64 { _, n := w.held(); return float64(n) })
	return m
}

func (m *metrics) stale(is bool) {
	if is {
		m.staleness.Set(1)
	} else {
		m.staleness.Set(0)
	}
}

// timed measures one question to the history: defer m.timed("fetch")().
func (m *metrics) timed(question string) func() {
	began := time.Now()
	return func() { m.history.WithLabelValues(question).Observe(time.Since(began).Seconds()) }
}
