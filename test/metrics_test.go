package test

import (
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/outbox"
	"github.com/petpro/fabric/publisher/postgres"
)

// names collects the metrics that are registered.
type names map[string]bool

var metricName = regexp.MustCompile(`fqName: "(\w+)"`)

func (n names) Register(c prometheus.Collector) error {
	descs := make(chan *prometheus.Desc, 100)
	c.Describe(descs)
	close(descs)
	for d := range descs {
		n[metricName.FindStringSubmatch(d.String())[1]] = true
	}
	return nil
}

func (n names) MustRegister(...prometheus.Collector) {}
func (n names) Unregister(prometheus.Collector) bool { return true }

// TestMetricsOfTheManual: each metric that docs/OPERATIONS.md watches exists.
func TestMetricsOfTheManual(t *testing.T) {
	have := names{}
	mapping := load(t, "config/petpro.yaml").Mapping
	log := slog.New(slog.DiscardHandler)
	source, err := postgres.New("shop", publisher.PostgresConfig{DSN: "host=db"}, mapping, log, have)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := outbox.New("other", publisher.OutboxConfig{DSN: "host=db"}, mapping, log, have); err != nil {
		t.Fatal(err)
	}
	cfg := publisher.DefaultConfig()
	cfg.State, cfg.Mapping = t.TempDir(), mapping
	cfg.Sources = []publisher.SourceConfig{{Name: "shop", Kind: publisher.KindPostgres, Postgres: publisher.PostgresConfig{DSN: "host=db"}}}
	mapper, err := publisher.NewMapper(mapping, cfg.Kinds, cfg.MaxPayload)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := publisher.New(cfg, nil, []publisher.Source{source}, mapper, log, have); err != nil {
		t.Fatal(err)
	}
	told := regexp.MustCompile(`fabric_(publisher|postgres|outbox)_\w+`).FindAllString(read(t, "docs/OPERATIONS.md"), -1)
	if len(told) < 10 {
		t.Fatalf("docs/OPERATIONS.md names only %q", told)
	}
	for _, name := range told {
		if !have[name] {
			t.Errorf("docs/OPERATIONS.md watches %s, which does not exist; there are\n%q", name, slices.Sorted(maps.Keys(have)))
		}
	}
}
