package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Ensure brings the streams to what c says and returns the epoch in force. It
// may be called any number of times and by several processes at once.
//
// It creates what is missing, adds subjects of new kinds, changes the number
// of replicas, and changes keep and retention by way of a new epoch. Whatever
// else differs is refused with ErrStreamSettings, which names every differing
// setting. Returns ErrNoJetStream and ErrServerVersion as Check does. After any
// other error, call it again: each step may be repeated.
func Ensure(ctx context.Context, nc *nats.Conn, c Config) (Epoch, error) {
	if err := c.Validate(); err != nil {
		return Epoch{}, err
	}
	if err := checkServer(nc); err != nil {
		return Epoch{}, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return Epoch{}, fmt.Errorf("ensure stream %s: %w", c.Name, err)
	}
	if c.Ingest != "" {
		if _, err := provide(ctx, nc, js, c.ingest()); err != nil {
			return Epoch{}, err
		}
	}
	have, err := provide(ctx, nc, js, c.fabric())
	if err != nil {
		return Epoch{}, err
	}
	e, err := NewLeader(nc, c.Name).Epoch(ctx)
	if errors.Is(err, ErrNoEpoch) {
		e, err = firstEpoch(ctx, nc, c)
	}
	if err != nil {
		return Epoch{}, err
	}
	return limit(ctx, nc, js, c, have, e)
}

// provide creates the stream or checks it and adds what may be added. It
// returns the stream's configuration as it is then; keep is not changed.
func provide(ctx context.Context, nc *nats.Conn, js jetstream.JetStream, want jetstream.StreamConfig) (jetstream.StreamConfig, error) {
	info, err := NewLeader(nc, want.Name).info(ctx)
	if errors.Is(err, ErrNoStream) {
		s, err := js.CreateStream(ctx, want)
		if err == nil {
			return s.CachedInfo().Config, nil
		}
		if !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return want, createError(want, err)
		}
		// Another process was faster and wants something else: judge that.
		info, err = NewLeader(nc, want.Name).info(ctx)
		if err != nil {
			return want, err
		}
	} else if err != nil {
		return want, err
	}
	have := info.Config
	diffs := differences(have, want)
	if extra := lacking(want.Subjects, have.Subjects); len(extra) > 0 {
		diffs = append(diffs, foreignSubjects(extra))
	}
	if len(diffs) > 0 {
		return have, settingsError(want.Name, diffs)
	}
	if len(have.Subjects) == len(want.Subjects) && have.Replicas == want.Replicas {
		return have, nil
	}
	have.Subjects, have.Replicas = want.Subjects, want.Replicas
	return update(ctx, js, have)
}

// limit brings keep and retention to what c says. The stream keeps at no
// moment less than the newest epoch announces; a stop between two steps is
// mended by the next call.
func limit(ctx context.Context, nc *nats.Conn, js jetstream.JetStream, c Config, have jetstream.StreamConfig, e Epoch) (Epoch, error) {
	keeps := int(have.MaxMsgsPerSubject)
	if keeps > 0 && keeps < e.Keep {
		// Changed behind our back: it kept less than the epoch promised.
		// Say so before anything else, so that no edge relies on the promise.
		stricter := c
		stricter.Keep = keeps
		var err error
		if e, err = nextEpoch(ctx, nc, stricter); err != nil {
			return Epoch{}, err
		}
	}
	if keeps > 0 && keeps < c.Keep {
		have.MaxMsgsPerSubject = int64(c.Keep)
		if _, err := update(ctx, js, have); err != nil {
			return Epoch{}, err
		}
	}
	if e.Keep != c.Keep || time.Duration(e.Retention) != c.Retention {
		var err error
		if e, err = nextEpoch(ctx, nc, c); err != nil {
			return Epoch{}, err
		}
	}
	if keeps <= 0 || keeps > c.Keep {
		have.MaxMsgsPerSubject = int64(c.Keep)
		if _, err := update(ctx, js, have); err != nil {
			return Epoch{}, err
		}
	}
	return e, nil
}

func update(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) (jetstream.StreamConfig, error) {
	s, err := js.UpdateStream(ctx, want)
	if err != nil {
		return want, fmt.Errorf("update stream %s: %w", want.Name, explain(want.Name, err))
	}
	return s.CachedInfo().Config, nil
}

// createError says what an operator can do about a refused creation.
func createError(want jetstream.StreamConfig, err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == errCodeSubjectOverlap {
		return fmt.Errorf("%w: create %s: another stream already takes one of its subjects (%s); remove that stream or its subjects", ErrStreamSettings, want.Name, strings.Join(want.Subjects, ", "))
	}
	return fmt.Errorf("create stream %s with %d replicas: %w", want.Name, want.Replicas, explain(want.Name, err))
}

// errCodeSubjectOverlap is the server's "subjects overlap with an existing
// stream" (JSStreamSubjectOverlapErr), for which nats.go has no name.
const errCodeSubjectOverlap jetstream.ErrorCode = 10065

// errCodeReplicas is "replicas > 1 not supported in non-clustered mode"
// (JSStreamReplicasNotSupportedErr).
const errCodeReplicas jetstream.ErrorCode = 10074
