package stream_test

import (
	"context"
	"testing"
	"time"

	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
	"github.com/petpro/fabric/test/natstest"
)

func TestMain(m *testing.M) { natstest.Main(m) }

// config is small enough that tests can reach the limits.
func config() stream.Config {
	return stream.Config{
		Name:      "FABRIC",
		Ingest:    "INGEST",
		Kinds:     subjects.Kinds{"booking"},
		Keep:      8,
		Retention: 24 * time.Hour,
		Replicas:  1,
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
