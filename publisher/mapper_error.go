package publisher

import (
	"errors"
	"fmt"
	"strings"

	"github.com/petpro/fabric/subjects"
)

// What a MapError wraps, besides subjects.ErrID.
var (
	// ErrNullSubject is wrapped when a column that a subject is made of is NULL.
	ErrNullSubject = errors.New("a NULL cannot be part of a subject")
	// ErrTooLarge is wrapped when a payload is larger than publisher.max_payload.
	ErrTooLarge = errors.New("the payload is too large")
	// ErrNoValue is wrapped when the source did not give a column that is needed.
	ErrNoValue = errors.New("the source gave no value of the column")
	// ErrChange is wrapped when a change contradicts the contract of Change.
	ErrChange = errors.New("the change is malformed")
)

// MapError says which row cannot be mapped, and why. The publisher halts on it,
// because to leave the change out would be to lose it silently.
type MapError struct {
	Table string
	// Key of the row, empty if even that is unknown.
	Key string
	// Column, or the template that reads it; empty if it is not about one.
	Column string
	// Err wraps ErrNullSubject, ErrTooLarge, ErrNoValue, ErrChange or
	// subjects.ErrID, and says what to do about it.
	Err error
}

// Error names the row and the column.
func (e *MapError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "map %s %q", e.Table, clip(e.Key))
	if e.Column != "" {
		fmt.Fprintf(&b, ", %s", e.Column)
	}
	return b.String() + ": " + e.Err.Error()
}

// Unwrap gives the reason.
func (e *MapError) Unwrap() error { return e.Err }

// clip keeps a hostile key from filling the log.
func clip(s string) string {
	if len(s) > 2*subjects.MaxID {
		return s[:2*subjects.MaxID] + "…"
	}
	return s
}

// complaints collects all that is wrong with a mapping.
type complaints struct{ errs []error }

// add notes an error under the key it is about; nil is nothing.
func (c *complaints) add(path string, err error) {
	if err == nil {
		return
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range many.Unwrap() {
			c.add(path, one)
		}
		return
	}
	c.errs = append(c.errs, fmt.Errorf("%s: %w", path, err))
}
