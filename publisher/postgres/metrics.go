package postgres

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/petpro/fabric/publisher/pgdb"
)

// statuses are what pg_replication_slots.wal_status can be.
var statuses = []string{"reserved", "extended", "unreserved", "lost"}

// metrics of one source.
type metrics struct {
	rows, transactions, rereads, touches, truncates prometheus.Counter
	lag, unconfirmed, retained                      prometheus.Gauge
	status                                          *prometheus.GaugeVec
	// heard is when the server said something last, in nanoseconds since 1970; 0
	// before that.
	heard atomic.Int64
	// reached is the LSN before which everything was read.
	reached atomic.Uint64
}

// newMetrics registers the metrics with reg; a nil reg registers none.
func newMetrics(source string, reg prometheus.Registerer) (*metrics, error) {
	labels := prometheus.Labels{"source": source}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "fabric", Subsystem: "postgres", Name: name, Help: help, ConstLabels: labels})
	}
	gauge := func(name, help string) prometheus.GaugeOpts {
		return prometheus.GaugeOpts{Namespace: "fabric", Subsystem: "postgres", Name: name, Help: help, ConstLabels: labels}
	}
	m := &metrics{
		rows:         counter("rows_total", "Changes of rows read from the log, whatever table they belong to."),
		transactions: counter("transactions_total", "Transactions read from the log."),
		rereads:      counter("rereads_total", "Rows read from their table because the log lacked large values that an update left as they were."),
		touches:      counter("touches_total", "Mapped rows read from their table because a followed row that they point to changed."),
		truncates:    counter("truncates_total", "Times that a table of the mapping was truncated."),
		lag:          prometheus.NewGauge(gauge("lag_bytes", "Bytes of log that were written but not read.")),
		unconfirmed:  prometheus.NewGauge(gauge("unconfirmed_bytes", "Bytes of log that were written but not confirmed.")),
		retained:     prometheus.NewGauge(gauge("retained_wal_bytes", "Bytes of log that the server keeps for the slot.")),
		status:       prometheus.NewGaugeVec(gauge("slot_status", "1 for the slot's wal_status: reserved, extended, unreserved or lost."), []string{"status"}),
	}
	if reg == nil {
		return m, nil
	}
	silence := prometheus.NewGaugeFunc(gauge("silence_seconds", "Time since the server last said something on the stream; NaN before it did."), m.silence)
	for _, c := range []prometheus.Collector{m.rows, m.transactions, m.rereads, m.touches, m.truncates, m.lag, m.unconfirmed, m.retained, m.status, silence} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of postgres source %q: %w", source, err)
		}
	}
	return m, nil
}

// read counts a transaction.
func (m *metrics) read(rows int) {
	m.rows.Add(float64(rows))
	m.transactions.Inc()
}

// hear notes that the server said something, and up to where the log was read.
func (m *metrics) hear(reached pgdb.LSN) {
	m.heard.Store(time.Now().UnixNano())
	m.reached.Store(uint64(reached))
}

func (m *metrics) silence() float64 {
	heard := m.heard.Load()
	if heard == 0 {
		return math.NaN()
	}
	return time.Since(time.Unix(0, heard)).Seconds()
}

// slot sets what is known of the slot.
func (m *metrics) slot(s slotState) {
	m.lag.Set(bytesBetween(pgdb.LSN(m.reached.Load()), s.written))
	m.unconfirmed.Set(bytesBetween(s.confirmed, s.written))
	m.retained.Set(float64(s.retained))
	for _, status := range statuses {
		value := 0.0
		if s.status == status {
			value = 1
		}
		m.status.WithLabelValues(status).Set(value)
	}
}

// bytesBetween is 0 where from is not known, or ahead of what was asked before.
func bytesBetween(from, to pgdb.LSN) float64 {
	if from == 0 || from >= to {
		return 0
	}
	return float64(to - from)
}
