package publisher

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of one publisher. Labels are small fixed sets.
type metrics struct {
	events  prometheus.Counter
	records prometheus.Counter
	batches prometheus.Counter
	nacks   prometheus.Counter
	resyncs prometheus.Counter
	skipped prometheus.Counter
	foreign prometheus.Counter
	lag     prometheus.Gauge

	epochs                    *prometheus.CounterVec
	renewed, revoked, unknown prometheus.Counter

	lookups *prometheus.CounterVec
}

func newMetrics() *metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "fabric", Subsystem: "publisher", Name: name, Help: help}
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts(opts(name, help)))
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts(opts(name, help)), []string{label})
	}
	return &metrics{
		events:  counter("events_total", "Events appended to the stream."),
		records: counter("records_total", "Records (access, index, control, position) appended to the stream."),
		batches: counter("batches_total", "Atomic batches appended to the stream."),
		nacks:   counter("nacks_total", "Units (a message or a batch) that were refused or not acknowledged in time."),
		resyncs: counter("resyncs_total", "Times the position was read back from the stream."),
		skipped: counter("skipped_events_total", "Events read again after the position was read back, and left out, as the stream has them."),
		foreign: counter("foreign_messages_total", "Messages found at the end of the stream that the publisher did not write."),
		lag: prometheus.NewGauge(prometheus.GaugeOpts(opts("lag_seconds",
			"Time from the commit of the change published last to its acknowledgement."))),

		epochs:  vec("epochs_total", "Epochs begun by this publisher, by reason.", "reason"),
		renewed: counter("renewed_rooms_total", "Rooms published from the present state of a source that lost what led to it."),
		revoked: counter("revoked_rooms_total", "Rooms that lost their access because such a source no longer has their row."),
		unknown: counter("unknown_seconds_total", "Time of which such a source's changes are not known."),

		lookups: vec("past_lookups_total", "Questions for what was last published on a subject, answered from memory (hit) or by the stream (miss).", "result"),
	}
}

// register registers the metrics with reg, and those that p knows at any time;
// a nil reg registers none.
func (m *metrics) register(reg prometheus.Registerer, p *Publisher) error {
	if reg == nil {
		return nil
	}
	all := []prometheus.Collector{
		m.events, m.records, m.batches, m.nacks, m.resyncs, m.skipped, m.foreign, m.lag,
		m.epochs, m.renewed, m.revoked, m.unknown, m.lookups,
	}
	gauge := func(name, help string, labels prometheus.Labels, value func() float64) {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "fabric", Subsystem: "publisher", Name: name, Help: help, ConstLabels: labels,
		}, value))
	}
	gauge("active", "1 while this publisher publishes, 0 while it stands by or cannot.", nil, func() float64 {
		if p.Status().Role == Active {
			return 1
		}
		return 0
	})
	gauge("position_age_seconds", "Time since the stream acknowledged a position to this publisher.", nil,
		func() float64 { return p.sinceAck().Seconds() })
	gauge("waiting_seconds", "For how long the oldest change that a source has emitted is not in the stream; 0 if there is none.", nil,
		func() float64 { return p.waiting().Seconds() })
	for name, v := range p.vitals {
		gauge("source_silence_seconds", "For how long a running source has not been heard of.", prometheus.Labels{"source": name},
			func() float64 { return v.silence().Seconds() })
	}
	for _, c := range all {
		if err := reg.Register(c); err != nil {
			return fmt.Errorf("register the publisher's metrics: %w", err)
		}
	}
	return nil
}

// lookup counts a question to the past.
func (m *metrics) lookup(hit bool) {
	if hit {
		m.lookups.WithLabelValues("hit").Inc()
		return
	}
	m.lookups.WithLabelValues("miss").Inc()
}
