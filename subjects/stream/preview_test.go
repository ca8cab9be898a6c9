package stream_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/subjects/stream"
	"github.com/petpro/fabric/test/natstest"
)

// Preview tells what Ensure does, and does nothing of it.
func TestPreviewTellsWhatEnsureDoes(t *testing.T) {
	ns := natstest.Run(t)
	nc := ns.Conn(t)
	preview := func(c stream.Config, want ...string) {
		t.Helper()
		p, err := stream.Preview(t.Context(), nc, c)
		if err != nil || !slices.Equal(p.Steps, want) {
			t.Fatalf("Preview = %q, %v; want %q", p.Steps, err, want)
		}
		if p.Server == "" {
			t.Error("Preview does not tell the server's version")
		}
	}
	c := config()
	preview(c, "create stream INGEST", "create stream FABRIC")
	preview(c, "create stream INGEST", "create stream FABRIC")
	if _, err := stream.Ensure(t.Context(), nc, c); err != nil {
		t.Fatal(err)
	}
	preview(c)
	c.Kinds = append(slices.Clone(c.Kinds), "order")
	c.Keep = 9
	preview(c, "add subjects to FABRIC: order.>", "begin a new epoch: keep 9, retention 24h0m0s (now 8, 24h0m0s)")
	if _, err := stream.Ensure(t.Context(), nc, c); err != nil {
		t.Fatal(err)
	}
	preview(c)
}

// What Ensure refuses, Preview refuses with the same words.
func TestPreviewRefusesAsEnsureDoes(t *testing.T) {
	ns := natstest.Run(t)
	js := ns.JS(t)
	for _, c := range []jetstream.StreamConfig{
		{Name: "FABRIC", Subjects: []string{"booking.>", "shop.>"}, MaxAge: time.Hour},
		{Name: "INGEST", Subjects: []string{"ingest.>"}},
	} {
		if _, err := js.CreateStream(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	_, err := stream.Preview(t.Context(), ns.Conn(t), config())
	if !errors.Is(err, stream.ErrStreamSettings) {
		t.Fatalf("Preview = %v, want ErrStreamSettings", err)
	}
	for _, want := range []string{"FABRIC: ", "max_age is 1h0m0s", "subjects hold shop.>", "INGEST: ", "max_age is 0s, must be 168h0m0s"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Preview = %q, lacks %q", err, want)
		}
	}
	c := config()
	c.Keep = 0
	if _, err := stream.Preview(t.Context(), ns.Conn(t), c); err == nil {
		t.Error("Preview takes an impossible configuration")
	}
}
