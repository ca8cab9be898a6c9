package publisher

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of one publisher. Labels are small fixed sets.
type metrics struct {
	events  prometheus.Counter
	records prometheus.Counter
	batches prometheus.Counter
	nacks   prometheus.Counter
	resyncs prometheus.Counter
	epochs  *prometheus.CounterVec
	foreign prometheus.Counter
	lag     prometheus.Gauge
}

// newMetrics registers the metrics with reg; a nil reg registers none.
// sinceAck tells how long the last acknowledgement is ago.
func newMetrics(reg prometheus.Registerer, sinceAck func() time.Duration) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "fabric", Subsystem: "publisher", Name: name, Help: help})
	}
	m := &metrics{
		events:  counter("events_total", "Events appended to the stream."),
		records: counter("records_total", "Records (access, index, control, position) appended to the stream."),
		batches: counter("batches_total", "Atomic batches appended to the stream."),
		nacks:   counter("nacks_total", "Units (a message or a batch) that were refused or not acknowledged in time."),
		resyncs: counter("resyncs_total", "Times the position was read back from the stream."),
		foreign: counter("foreign_messages_total", "Messages found at the end of the stream that the publisher did not write."),
		epochs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "fabric", Subsystem: "publisher", Name: "epochs_total", Help: "Epochs begun by this publisher, by reason.",
		}, []string{"reason"}),
		lag: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "fabric", Subsystem: "publisher", Name: "lag_seconds",
			Help: "Time from the commit of the change published last to its acknowledgement.",
		}),
	}
	if reg == nil {
		return m, nil
	}
	age := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "fabric", Subsystem: "publisher", Name: "position_age_seconds",
		Help: "Time since the stream acknowledged a position.",
	}, func() float64 { return sinceAck().Seconds() })
	for _, c := range []prometheus.Collector{m.events, m.records, m.batches, m.nacks, m.resyncs, m.foreign, m.epochs, m.lag, age} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register the publisher's metrics: %w", err)
		}
	}
	return m, nil
}
