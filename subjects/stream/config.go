package stream

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/subjects"
)

// Ages of what services publish themselves. The publisher carries a message
// within milliseconds; the week is for a publisher that is down.
const (
	ingestMaxAge     = 7 * 24 * time.Hour
	ingestDuplicates = 2 * time.Minute
)

// Config says which streams there are.
type Config struct {
	// Name of the stream that edges read, Ingest of the one that services
	// publish into. Empty Ingest: there is none.
	Name   string
	Ingest string
	// Kinds of rooms; each becomes subjects of the stream.
	Kinds subjects.Kinds
	// Keep is the number of messages kept per subject.
	Keep int
	// Retention is how long a retired booking's messages are kept at least.
	Retention time.Duration
	// Replicas: 1 on a single node, 3 in a cluster.
	Replicas int
}

// Validate returns every complaint at once, each with its configuration key.
func (c Config) Validate() error {
	var errs []error
	for key, name := range map[string]string{"nats.stream": c.Name, "publisher.ingest_stream": c.Ingest} {
		if name == "" && key == "publisher.ingest_stream" {
			continue
		}
		if err := subjects.CheckID(name); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	if c.Name == c.Ingest {
		errs = append(errs, fmt.Errorf("publisher.ingest_stream: is %q like nats.stream, must be another stream", c.Ingest))
	}
	if err := c.Kinds.Check(); err != nil {
		errs = append(errs, fmt.Errorf("rooms.kinds: %w", err))
	}
	if c.Keep < 2 {
		errs = append(errs, fmt.Errorf("publisher.keep: is %d, must be at least 2 messages per subject", c.Keep))
	}
	if c.Retention <= 0 {
		errs = append(errs, fmt.Errorf("publisher.retention: is %s, must be greater than 0, for example 2160h", c.Retention))
	}
	if c.Replicas < 1 || c.Replicas > 5 || c.Replicas%2 == 0 {
		errs = append(errs, fmt.Errorf("publisher.replicas: is %d, must be 1, 3 or 5", c.Replicas))
	}
	return errors.Join(errs...)
}

// fabric is the definition of the stream that edges read.
func (c Config) fabric() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        c.Name,
		Description: "everything clients may see, in one order; written by the publisher only",
		Subjects:    c.Kinds.Streamed(),
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardOld,
		// The only limit. Within a subject messages disappear oldest first,
		// which is what makes "nothing was lost" decidable. An age or size
		// limit would remove messages that nobody can count.
		MaxMsgsPerSubject: int64(c.Keep),
		Replicas:          c.Replicas,
		AllowDirect:       true,
		// A mirror would answer direct gets with a history that lags further
		// behind than any replica.
		MirrorDirect:       false,
		AllowAtomicPublish: true,
		DenyDelete:         true,
	}
}

// ingest is the definition of the stream that services publish into.
func (c Config) ingest() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        c.Ingest,
		Description: "what services publish themselves, until the publisher has carried it over",
		Subjects:    []string{subjects.IngestPrefix + ">"},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardOld,
		MaxAge:      ingestMaxAge,
		Duplicates:  ingestDuplicates,
		Replicas:    c.Replicas,
	}
}
