package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Plan is what Ensure would do.
type Plan struct {
	// Server is the version of the server that answered.
	Server string
	// Epoch in force; the zero Epoch if there is none yet.
	Epoch Epoch
	// Steps in words, such as "create stream FABRIC"; empty if all is as
	// configured.
	Steps []string
}

// Preview says what Ensure would do with c, reading only. The error joins what
// Ensure would refuse; the plan then holds what could be told.
func Preview(ctx context.Context, nc *nats.Conn, c Config) (Plan, error) {
	p := Plan{Server: nc.ConnectedServerVersion()}
	if err := errors.Join(c.Validate(), checkServer(nc)); err != nil {
		return p, err
	}
	var errs []error
	if c.Ingest != "" {
		_, err := p.preview(ctx, nc, c.Ingest, c)
		errs = append(errs, err)
	}
	exists, err := p.preview(ctx, nc, c.Name, c)
	if errs = append(errs, err); err != nil || !exists {
		return p, errors.Join(errs...)
	}
	p.Epoch, err = NewLeader(nc, c.Name).Epoch(ctx)
	switch {
	case errors.Is(err, ErrNoEpoch):
		p.Steps = append(p.Steps, "write the first fabric.epoch into "+c.Name)
	case err != nil:
		errs = append(errs, err)
	case p.Epoch.Keep != c.Keep || time.Duration(p.Epoch.Retention) != c.Retention:
		p.Steps = append(p.Steps, fmt.Sprintf("begin a new epoch: keep %d, retention %s (now %d, %s)", c.Keep, c.Retention, p.Epoch.Keep, time.Duration(p.Epoch.Retention)))
	}
	return p, errors.Join(errs...)
}

// preview compares one stream with its definition.
func (p *Plan) preview(ctx context.Context, nc *nats.Conn, name string, c Config) (exists bool, err error) {
	want := c.fabric()
	if name == c.Ingest {
		want = c.ingest()
	}
	info, err := NewLeader(nc, name).info(ctx)
	switch {
	case errors.Is(err, ErrNoStream):
		step := "create stream " + name
		if c.Replicas > 1 {
			step += fmt.Sprintf(" with %d replicas", c.Replicas)
		}
		p.Steps = append(p.Steps, step)
		return false, nil
	case err != nil:
		return false, err
	}
	diffs := differences(info.Config, want)
	if extra := lacking(want.Subjects, info.Config.Subjects); len(extra) > 0 {
		diffs = append(diffs, foreignSubjects(extra))
	}
	if len(diffs) > 0 {
		return true, settingsError(name, diffs)
	}
	if missing := lacking(info.Config.Subjects, want.Subjects); len(missing) > 0 {
		p.Steps = append(p.Steps, fmt.Sprintf("add subjects to %s: %s", name, strings.Join(missing, ", ")))
	}
	if info.Config.Replicas != want.Replicas {
		p.Steps = append(p.Steps, fmt.Sprintf("change the replicas of %s from %d to %d", name, info.Config.Replicas, want.Replicas))
	}
	return true, nil
}

// foreignSubjects complains about subjects that the configuration knows no use
// for.
func foreignSubjects(extra []string) string {
	return fmt.Sprintf("subjects hold %s, which no kind in rooms.kinds needs", strings.Join(extra, ", "))
}
