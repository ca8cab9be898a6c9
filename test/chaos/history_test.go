package chaos_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/petpro/fabric/subjects"
)

// history is all that the stream holds, taken apart.
type history struct {
	messages int
	epochs   []subjects.Epoch
	// by booking, in stream order: the versions of status events and of
	// notifications, and how often it was removed.
	status, notified map[string][]int
	removed          map[string]int
	news             map[string]int // notifications of rows, by title
	// The newest records: who may be where, and what is open to whom.
	access map[string]map[string]string
	open   map[string]map[string]string // role by booking and user
}

// marker is the title of the notification that comes after all others.
const marker = "the marker of the test"

// settle ends the load, waits until all that was written is in the stream, and
// reads it.
func (f *fabric) settle(l *load) *history {
	f.t.Helper()
	l.end()
	return f.history()
}

// history waits until all that was written is in the stream, and reads it.
func (f *fabric) history() *history {
	f.t.Helper()
	f.arrive()
	return f.read()
}

// arrive waits until all that was written is in the stream.
func (f *fabric) arrive() {
	f.t.Helper()
	title := fmt.Sprint(marker, time.Now().UnixNano())
	f.shop.Exec(f.t, `INSERT INTO notifications (user_id, type, title, message) VALUES ('nobody', 'NEWS', ?, '')`, title)
	js, err := jetstream.New(f.nc)
	if err != nil {
		f.t.Fatal(err)
	}
	await(f.t, "last change in the stream", func() bool {
		s, err := js.Stream(f.t.Context(), "FABRIC")
		if err != nil {
			return false
		}
		m, err := s.GetLastMsgForSubject(f.t.Context(), "user.nobody.notification")
		return err == nil && strings.Contains(string(m.Data), title)
	})
}

// read takes the stream apart as it is now.
func (f *fabric) read() *history {
	f.t.Helper()
	h := &history{
		status: map[string][]int{}, notified: map[string][]int{}, removed: map[string]int{}, news: map[string]int{},
		access: map[string]map[string]string{}, open: map[string]map[string]string{},
	}
	f.each(func(m jetstream.Msg) { h.add(f.t, m.Subject(), m.Data()) })
	return h
}

// each calls do with every message of the stream, in order.
func (f *fabric) each(do func(jetstream.Msg)) {
	f.t.Helper()
	js, err := jetstream.New(f.nc)
	if err != nil {
		f.t.Fatal(err)
	}
	consumer, err := js.OrderedConsumer(f.t.Context(), "FABRIC", jetstream.OrderedConsumerConfig{})
	if err != nil {
		f.t.Fatal(err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(2000))
	if err != nil {
		f.t.Fatal(err)
	}
	defer messages.Stop()
	for {
		m, err := messages.Next()
		if err != nil {
			f.t.Fatal(err)
		}
		do(m)
		meta, err := m.Metadata()
		if err != nil {
			f.t.Fatal(err)
		}
		if meta.NumPending == 0 {
			return
		}
	}
}

func (h *history) add(t testing.TB, subject string, data []byte) {
	h.messages++
	name, err := subjects.Kinds{"booking"}.Parse(subject)
	if err != nil {
		t.Errorf("the stream holds %s: %v", subject, err)
		return
	}
	decode := func(into any) {
		if len(data) > 0 {
			if err := json.Unmarshal(data, into); err != nil {
				t.Errorf("%s: %v: %s", subject, err, data)
			}
		}
	}
	var p struct{ BookingID, Version, Type, Title, Message string }
	switch name.Class {
	case subjects.NewEpoch:
		var e subjects.Epoch
		decode(&e)
		h.epochs = append(h.epochs, e)
	case subjects.Grant:
		var a subjects.Access
		decode(&a)
		h.access[name.Room.ID()] = a.Participants
	case subjects.Indexed:
		var i subjects.Index
		decode(&i)
		b, user := name.Target.ID(), name.Room.ID()
		if h.open[b] == nil {
			h.open[b] = map[string]string{}
		}
		delete(h.open[b], user)
		if i.Open && !i.Revoked {
			h.open[b][user] = i.Role
		}
	case subjects.Event:
		decode(&p)
		switch {
		case name.Type == "status":
			h.status[p.BookingID] = append(h.status[p.BookingID], number(t, p.Version))
		case name.Type == "removed":
			h.removed[p.BookingID]++
		case p.Type == "VERSION":
			h.notified[p.Title] = append(h.notified[p.Title], number(t, p.Message))
		default:
			h.news[p.Title]++
		}
	}
}

func number(t testing.TB, text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Errorf("%q is no version", text)
	}
	return n
}
