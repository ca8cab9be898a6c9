package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/subjects"
)

// What Check and Ensure find wrong. The first three pass by themselves once
// somebody starts the missing part, so an edge waits for them; the others need
// an operator, so it ends with the sentence.
var (
	// ErrNoJetStream is returned when nobody answers JetStream requests.
	ErrNoJetStream = errors.New("no JetStream")
	// ErrNoStream is returned when the stream does not exist.
	ErrNoStream = errors.New("no stream")
	// ErrNoEpoch is returned when the stream exists but holds no fabric.epoch.
	ErrNoEpoch = errors.New("no epoch")
	// ErrServerVersion is returned when nats-server is older than MinServer.
	ErrServerVersion = errors.New("nats-server is too old")
	// ErrStreamSettings is returned when a stream is not set as defined.
	ErrStreamSettings = errors.New("stream settings do not fit")
)

// MinServer is the oldest nats-server that works: 2.14 has the corrections of
// batched direct get that exact resumes rely on (nats-server #7291, #7317,
// #7458).
const MinServer = "2.14.0"

// Check reports whether the stream is there, set as defined and has an epoch,
// which it returns. It writes nothing. If kinds are given, the stream must
// carry their subjects. Its errors wrap one of the package's five; any other
// error means that the question was not answered and may be asked again.
func Check(ctx context.Context, nc *nats.Conn, name string, kinds ...string) (Epoch, error) {
	e, err := check(ctx, nc, name, kinds)
	if errors.Is(err, ErrStreamSettings) {
		// Settings and epoch are two questions. Between them a change of
		// limits may have passed; then the second look is clean.
		e, err = check(ctx, nc, name, kinds)
	}
	return e, err
}

func check(ctx context.Context, nc *nats.Conn, name string, kinds []string) (Epoch, error) {
	if err := checkServer(nc); err != nil {
		return Epoch{}, err
	}
	have, err := NewLeader(nc, name).info(ctx)
	if err != nil {
		return Epoch{}, err
	}
	want := Config{Name: name, Kinds: kinds, Keep: 1}.fabric()
	diffs := differences(have.Config, want)
	if missing := lacking(have.Config.Subjects, want.Subjects); len(missing) > 0 {
		diffs = append(diffs, fmt.Sprintf("subjects lack %s (is the kind in rooms.kinds of the publisher too?)", strings.Join(missing, ", ")))
	}
	if len(diffs) > 0 {
		return Epoch{}, settingsError(name, diffs)
	}
	e, err := NewLeader(nc, name).Epoch(ctx)
	if err != nil {
		return Epoch{}, err
	}
	if keeps := have.Config.MaxMsgsPerSubject; keeps > 0 && keeps < int64(e.Keep) {
		return Epoch{}, settingsError(name, []string{fmt.Sprintf("max_msgs_per_subject is %d, must be at least %d as its epoch says (a start of the publisher mends this)", keeps, e.Keep)})
	}
	return e, nil
}

// checkServer compares the version of the server that nc is connected to.
func checkServer(nc *nats.Conn) error {
	v := nc.ConnectedServerVersion()
	if v == "" {
		return fmt.Errorf("ask the server's version: %w", nats.ErrDisconnected)
	}
	if older(v, MinServer) {
		return fmt.Errorf("%w: %s runs %s, at least %s is needed; upgrade it", ErrServerVersion, nc.ConnectedUrlRedacted(), v, MinServer)
	}
	return nil
}

// older compares dotted versions; a suffix such as -RC.1 is not looked at.
func older(v, min string) bool {
	v, _, _ = strings.Cut(strings.TrimPrefix(v, "v"), "-")
	vs, ms := strings.Split(v, "."), strings.Split(min, ".")
	for i := range ms {
		var a int
		if i < len(vs) {
			a, _ = strconv.Atoi(vs[i])
		}
		if b, _ := strconv.Atoi(ms[i]); a != b {
			return a < b
		}
	}
	return false
}

// explain turns what the server answers into the package's errors.
func explain(name string, err error) error {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("%w: nobody answers JetStream requests; start nats-server with JetStream enabled (-js, or a jetstream block in its configuration)", ErrNoJetStream)
	case errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeJetStreamNotEnabled || api.ErrorCode == jetstream.JSErrCodeJetStreamNotEnabledForAccount):
		return fmt.Errorf("%w: %s; enable it for the account of these credentials", ErrNoJetStream, api.Description)
	case errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamNotFound:
		return fmt.Errorf("%w: stream %s does not exist; start the publisher or run \"fabric provision\"", ErrNoStream, name)
	case errors.As(err, &api) && api.ErrorCode == errCodeReplicas:
		return fmt.Errorf("%w; set publisher.replicas to 1, or run a cluster of as many servers", err)
	}
	return err
}

// Epoch is the identity of a history as the stream holds it.
type Epoch struct {
	subjects.Epoch
	// Seq is the sequence of its fabric.epoch message.
	Seq uint64
}
