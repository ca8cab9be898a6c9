package outbox

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of one source.
type metrics struct {
	waiting, oldest, batches prometheus.Gauge
	// woken counts by what ended a sleep: "notify" or "poll".
	woken *prometheus.CounterVec
}

// newMetrics registers with reg; a nil reg is none.
func newMetrics(source string, reg prometheus.Registerer) (*metrics, error) {
	labels := prometheus.Labels{"source": source}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "fabric", Subsystem: "outbox", Name: name, Help: help, ConstLabels: labels})
	}
	m := &metrics{
		waiting: gauge("waiting_rows", "Changes in the outbox that were not read yet, counted up to 100000."),
		oldest:  gauge("oldest_seconds", "Age of the oldest change in the outbox that was not read yet; 0 without one."),
		batches: gauge("batches", "Batches that are kept until they are confirmed."),
		woken: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "fabric", Subsystem: "outbox", Name: "woken_total",
			Help: "Sleeps that ended, by what ended them: notify or poll.", ConstLabels: labels}, []string{"by"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.waiting, m.oldest, m.batches, m.woken} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics: %w", err)
		}
	}
	return m, nil
}
