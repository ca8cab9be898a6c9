package publisher_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/petpro/fabric/publisher"
)

// script is a source in memory. It does on command what a database does not:
// lose its log, return errors, hold still at a change.
type script struct {
	name string

	mu        sync.Mutex
	log       []publisher.Entry // entry i has id i+1
	pruned    int               // entries up to this id are gone
	rows      map[string]publisher.Row
	changed   chan struct{} // closed and replaced at each change
	confirmed []string
	checkErr  error
	runErr    error
	// gate is called before each row of a snapshot.
	gate func()
}

func newScript(name string) *script {
	return &script{name: name, rows: map[string]publisher.Row{}, changed: make(chan struct{})}
}

func text(s string) publisher.Value { return publisher.Value{Text: s, Valid: true} }

// set changes the status of a booking; each change has the next version.
func (s *script) set(booking, status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.rows[booking]
	version, _ := strconv.Atoi(old["version"].Text)
	row := publisher.Row{
		"id": text(booking), "user_id": text("u_1"), "vendor_id": text("u_2"),
		"status": text(status), "version": text(strconv.Itoa(version + 1)),
	}
	c := &publisher.Change{Table: "bookings", Op: publisher.Update, Old: old, New: row}
	if old == nil {
		c.Op = publisher.Insert
	}
	s.rows[booking] = row
	s.log = append(s.log, publisher.Entry{Place: place(len(s.log) + 1), Time: time.Now(), Change: c})
	s.wake()
}

var statuses = []string{"pending", "confirmed", "in_progress", "completed"}

// advance gives a booking its next status; after the last comes the first.
func (s *script) advance(booking string) {
	s.mu.Lock()
	now := slices.Index(statuses, s.rows[booking]["status"].Text)
	s.mu.Unlock()
	s.set(booking, statuses[(now+1)%len(statuses)])
}

// touch adds an entry that becomes no message.
func (s *script) touch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, publisher.Entry{Place: place(len(s.log) + 1)})
	s.wake()
}

// prune forgets the log up to entry id, as if the operator had lost it.
func (s *script) prune(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pruned = id
}

// fail makes the running Run, or the next, return err.
func (s *script) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runErr = err
	s.wake()
}

func (s *script) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func place(id int) string { return fmt.Sprintf("%d/0", id) }

func id(place string) int {
	n, _, _ := strings.Cut(place, "/")
	i, err := strconv.Atoi(n)
	if err != nil {
		panic(fmt.Sprintf("script: place %q", place))
	}
	return i
}

func (s *script) Name() string { return s.name }

func (s *script) Check(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checkErr
}

func (s *script) Snapshot(ctx context.Context, emit func(publisher.Entry) error) (string, error) {
	s.mu.Lock()
	at, gate := len(s.log), s.gate
	var entries []publisher.Entry
	for _, row := range s.rows {
		entries = append(entries, publisher.Entry{Change: &publisher.Change{Table: "bookings", Op: publisher.Snapshot, New: row}})
	}
	s.mu.Unlock()
	for _, e := range entries {
		if gate != nil {
			gate()
		}
		if err := emit(e); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d/1", at), nil
}

func (s *script) Run(ctx context.Context, from string, emit func(publisher.Entry) error) error {
	next := id(from)
	if strings.HasSuffix(from, "/1") || next == 0 {
		next++
	}
	for ; ; next++ {
		e, err := s.entry(ctx, next, id(from))
		if err != nil {
			return err
		}
		if e == nil {
			continue // the one at from itself was forgotten
		}
		if err := emit(*e); err != nil {
			return err
		}
	}
}

// entry waits for the entry with this id.
func (s *script) entry(ctx context.Context, n, from int) (*publisher.Entry, error) {
	for {
		s.mu.Lock()
		changed, err := s.changed, s.runErr
		s.runErr = nil
		var e *publisher.Entry
		switch {
		case n <= s.pruned && n > from:
			err = publisher.ErrLost
		case n <= s.pruned:
			s.mu.Unlock()
			return nil, nil
		case n <= len(s.log):
			e = &s.log[n-1]
		}
		s.mu.Unlock()
		if err != nil || e != nil {
			return e, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *script) Confirm(_ context.Context, place string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.confirmed = append(s.confirmed, place)
	return nil
}

func (s *script) confirmations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.confirmed)
}

func (s *script) Compare(a, b string) int {
	if c := id(a) - id(b); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

// end is the place of the newest entry.
func (s *script) end() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.log)
}

// want lists "<booking> <version>" of all changes in log order.
func (s *script) want() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, e := range s.log {
		if e.Change != nil {
			out = append(out, e.Change.New["id"].Text+" "+e.Change.New["version"].Text)
		}
	}
	return out
}

var _ publisher.Source = (*script)(nil)

// bookings is the mapping of a script: a row becomes an access record, two
// opening index records, a status event, a notification, and on completion two
// closing index records.
var bookings = publisher.Mapping{
	Terminal: []string{"completed"},
	Tables: map[string]publisher.Table{
		"bookings": {
			Key:     "id",
			Columns: []string{"id", "user_id", "vendor_id", "status", "version"},
			Access:  &publisher.Access{Kind: "booking", Participants: map[string]string{"{user_id}": "customer", "{vendor_id}": "vendor"}},
			Events: []publisher.Event{{
				When:    "inserted() || changed(status)",
				Subject: "booking.{id}.status",
				Payload: map[string]any{"bookingId": "{id}", "status": "{status}", "version": "{version}"},
				Notify:  []publisher.Notify{{To: "{user_id}", Type: "BOOKING_UPDATED", Title: "t", Message: "{id} {version}"}},
			}},
		},
	},
}

func mapper(t testing.TB) *publisher.TableMapper {
	t.Helper()
	m, err := publisher.NewMapper(bookings, []string{"booking"}, 16<<10)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
