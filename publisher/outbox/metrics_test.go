package outbox_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/outbox"
)

// TestMetrics lets changes wait behind an emit that blocks.
func TestMetrics(t *testing.T) {
	db := newDatabase(t, "CREATE TABLE t (id int PRIMARY KEY)")
	reg := prometheus.NewRegistry()
	cfg := publisher.OutboxConfig{DSN: db.dsn}
	src, err := outbox.New("shop", cfg, plainMapping("t", "id", "id"), db.log, reg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := outbox.New("shop", cfg, plainMapping("t", "id", "id"), db.log, reg); err == nil {
		t.Error("New registers the metrics of one source twice")
	}
	db.setup(src)
	r := runBehind(t, src, snapshotPlace(t, src))
	db.exec("INSERT INTO t VALUES (1)")
	r.next()
	db.asleep(true)
	db.exec("INSERT INTO t VALUES (2)")
	r.next()
	wanted := map[string]float64{
		"fabric_outbox_batches":        3, // the mark of the snapshot is one
		"fabric_outbox_waiting_rows":   0,
		"fabric_outbox_oldest_seconds": 0,
	}
	var got map[string]float64
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		got = gathered(t, reg)
		if woken := got["fabric_outbox_woken_total notify"]; woken >= 1 && maps.Equal(wanted, without(got, "fabric_outbox_woken_total")) {
			return
		}
	}
	t.Errorf("metrics %v, want %v and something that woke the reader", got, wanted)
}

// gathered are the values by name, and the label by which they differ.
func gathered(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, label := range m.GetLabel() {
				if label.GetName() == "by" {
					name += " " + label.GetValue()
				}
			}
			values[name] = value(m)
		}
	}
	return values
}

func value(m *dto.Metric) float64 { return m.GetGauge().GetValue() + m.GetCounter().GetValue() }

func without(values map[string]float64, prefix string) map[string]float64 {
	rest := maps.Clone(values)
	maps.DeleteFunc(rest, func(name string, _ float64) bool { return strings.HasPrefix(name, prefix) })
	return rest
}
