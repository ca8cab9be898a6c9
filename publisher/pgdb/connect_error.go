package pgdb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/petpro/fabric/publisher"
)

// ConnectError says who could not connect to where, and why, and translates it as
// Translate does. pgx's own error is not wrapped as a whole, for it holds the
// configuration with the password.
func ConnectError(ctx context.Context, config *pgconn.Config, err error) error {
	target := fmt.Sprintf("connect to database %q at %s as %q", config.Database, strings.Join(addresses(config), ", "), config.User)
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", target, context.Cause(ctx))
	}
	attempts := attemptErrors(err)
	told := mostTelling(attempts)
	cause := fmt.Errorf("%s: %w%s", target, told, others(attempts, told))
	return translate(cause, who{config.User, config.Database})
}

// attemptErrors are those of the single hosts, and of TLS and the plain way to
// each of them.
func attemptErrors(err error) []error {
	if e, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		err = e.Unwrap()
	}
	attempts := []error{err}
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		attempts = slices.Clone(list.Unwrap())
	}
	for i, a := range attempts {
		if errors.Is(a, context.DeadlineExceeded) { // of connectTimeout; the caller's own has not ended
			attempts[i] = &hostTimeout{a.Error()}
		}
	}
	return attempts
}

// hostTimeout is a host that did not answer in time. It is a net.Error, and not
// the end of anybody's context.
type hostTimeout struct{ text string }

func (e *hostTimeout) Error() string { return e.text }
func (*hostTimeout) Timeout() bool   { return true }
func (*hostTimeout) Temporary() bool { return true }

var _ net.Error = (*hostTimeout)(nil)

// mostTelling chooses the attempt that decides what all of them mean: what the
// operator must mend before what passes by itself, and a refusal of TLS last, as
// it may have been followed by an attempt without.
func mostTelling(attempts []error) error {
	rank := func(err error) int {
		err = translate(err, who{})
		_, mend := errors.AsType[publisher.Problem](err)
		switch {
		case strings.Contains(err.Error(), refusedTLS):
			return 0
		case errors.Is(err, publisher.ErrAway):
			return 1
		case !mend:
			return 2
		}
		return 3
	}
	return slices.MaxFunc(attempts, func(a, b error) int { return rank(a) - rank(b) })
}

// others are the texts of the other attempts, each once.
func others(attempts []error, told error) string {
	texts := []string{told.Error()}
	for _, a := range attempts {
		if text := a.Error(); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	texts[0] = ""
	return strings.Join(texts, "; ")
}
