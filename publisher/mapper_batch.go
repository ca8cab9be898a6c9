package publisher

import (
	"bytes"
	"fmt"
	"time"
)

// batch collects the messages of one change.
type batch struct {
	time       time.Time
	stamp      string
	maxPayload int
	messages   []Message
	// scratch holds the payload being written.
	scratch []byte
	// err is the first one.
	err *MapError
}

// updated is the time of the change as records and payloads have it.
func (b *batch) updated() string {
	if b.stamp == "" {
		b.stamp = formatTime(b.time)
	}
	return b.stamp
}

// add takes what is in scratch as the payload of a message.
func (b *batch) add(subject string, event bool) {
	if size := len(b.scratch); b.maxPayload > 0 && size > b.maxPayload && b.err == nil {
		b.err = &MapError{Err: fmt.Errorf(
			"%w: %s has %d bytes, publisher.max_payload is %d; take long columns out of the payload", ErrTooLarge, subject, size, b.maxPayload)}
	}
	b.messages = append(b.messages, Message{Subject: subject, Data: bytes.Clone(b.scratch), Time: b.time, Event: event})
	b.scratch = b.scratch[:0]
}

// fail notes the first error.
func (b *batch) fail(err *MapError) {
	if b.err == nil {
		b.err = err
	}
}
