package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/subjects"
)

// What a message is refused for. Parse wraps one of them.
var (
	// ErrSubject is returned for a subject that services may not publish to.
	ErrSubject = errors.New("not a subject for services")
	// ErrJSON is returned for a payload that is not JSON.
	ErrJSON = errors.New("the payload is not JSON")
	// ErrSize is returned for a payload that is too large.
	ErrSize = errors.New("the payload is too large")
)

// Parse turns what a service publishes into the message that clients will see.
// maxPayload is in bytes.
func Parse(kinds subjects.Kinds, subject string, data []byte, maxPayload int) (publisher.Message, error) {
	name, target, err := parseSubject(kinds, subject)
	if err != nil {
		return publisher.Message{}, err
	}
	// Looked at first: what is too large is not worth reading.
	if len(data) > 2*maxPayload {
		return publisher.Message{}, tooLarge(len(data), maxPayload)
	}
	if !utf8.Valid(data) {
		return publisher.Message{}, fmt.Errorf("%w: it is not UTF-8", ErrJSON)
	}
	var body bytes.Buffer
	if err := json.Compact(&body, data); err != nil {
		return publisher.Message{}, fmt.Errorf("%w: %w", ErrJSON, err)
	}
	if body.Len() > maxPayload {
		return publisher.Message{}, tooLarge(body.Len(), maxPayload)
	}
	if name.Class == subjects.Logout {
		if err := checkControl(body.Bytes()); err != nil {
			return publisher.Message{}, err
		}
	}
	return publisher.Message{Subject: target, Data: body.Bytes(), Event: name.Class == subjects.Event}, nil
}

// parseSubject returns what the subject names and where it goes.
func parseSubject(kinds subjects.Kinds, subject string) (name subjects.Name, target string, err error) {
	target, ok := strings.CutPrefix(subject, subjects.IngestPrefix)
	if !ok {
		return name, "", fmt.Errorf("%w: %q does not begin with %q", ErrSubject, subject, subjects.IngestPrefix)
	}
	name, err = kinds.Parse(target)
	if err != nil {
		return name, "", fmt.Errorf("%w: %w", ErrSubject, err)
	}
	switch {
	case name.Class == subjects.Event && name.Room.Kind() == subjects.UserKind && name.Type != subjects.NotificationType:
		return name, "", fmt.Errorf("%w: %q: users get %q and %q only", ErrSubject, subject, subjects.NotificationType, subjects.ControlType)
	case name.Class != subjects.Event && name.Class != subjects.Logout:
		return name, "", fmt.Errorf("%w: %q: only the publisher writes these records, from the database", ErrSubject, subject)
	}
	return name, target, nil
}

// maxNotBefore, unix seconds, is in the year 5138: what is larger was meant in
// milliseconds, and would shut the user out for good.
const maxNotBefore = 100_000_000_000

// checkControl refuses a log-out that logs nobody out, for edges could only
// ignore it, and one that never ends.
func checkControl(data []byte) error {
	var c subjects.Control
	err := json.Unmarshal(data, &c)
	switch {
	case err != nil || c.NotBefore <= 0:
		return fmt.Errorf("%w of a log-out: must be {\"notBefore\":<unix seconds>}", ErrJSON)
	case c.NotBefore >= maxNotBefore:
		return fmt.Errorf("%w of a log-out: notBefore %d is in unix seconds; it looks like milliseconds", ErrJSON, c.NotBefore)
	}
	return nil
}

func tooLarge(size, most int) error {
	return fmt.Errorf("%w: %d bytes, publisher.max_payload is %d; publish a reference to large data instead", ErrSize, size, most)
}
