package feed

import "github.com/nats-io/nats.go"

// AskInstead sends direct gets to another subject, where a test plays the
// replicas.
func (f *Feed) AskInstead(subject string) { f.direct.subject = subject }

// QueueOnly gives the tail a queue that overflows sooner. It must not run yet.
func (f *Feed) QueueOnly(messages int) { f.tail.msgs = make(chan *nats.Msg, messages) }
