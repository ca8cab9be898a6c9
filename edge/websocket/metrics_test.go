package websocket_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/petpro/fabric/edge/protocol"
)

func TestMetrics(t *testing.T) {
	e := start(t, options{})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(e.handler)
	c := e.connect(t)
	e.do(func() { e.sessions[0].client.Close(protocol.CloseLoggedOut) })
	c.expectClose(t, 3503)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				if l.GetName() != "transport" {
					name += "/" + l.GetValue()
				}
			}
			got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"fabric_edge_upgrades_total": 1, "fabric_edge_closes_total/3503": 1, "fabric_edge_closes_total/3001": 0, "fabric_edge_commands_total": 1,
	} {
		if n, ok := got[name]; !ok || n != want {
			t.Errorf("%s = %v (there: %t), want %v", name, n, ok, want)
		}
	}
}
