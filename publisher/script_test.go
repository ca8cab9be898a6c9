package publisher_test

import (
	"context"
	"fmt"
	"maps"
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
	truncated int               // the entry with this id says that everything was removed
	rows      map[string]publisher.Row
	changed   chan struct{} // closed and replaced at each change
	confirmed []string
	checks    int // calls of Check
	checkErr  error
	runErr    error
	// always makes Run return runErr each time.
	always bool
	// recall makes a log that knows nothing of old rows but the key.
	recall bool
	silent map[int]bool // ids of changes of which nobody is to hear
	// hang makes Run emit nothing, not even that it is alive.
	hang bool
	// gate is called before each row of a snapshot.
	gate func()
}

func newScript(name string) *script {
	return &script{name: name, rows: map[string]publisher.Row{}, silent: map[int]bool{}, changed: make(chan struct{})}
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
	switch {
	case old == nil:
		c.Op = publisher.Insert
	case s.recall:
		c.Recall, c.Old = true, publisher.Row{"id": text(booking)}
	}
	s.rows[booking] = row
	if old != nil && old["status"].Text == status {
		s.silent[len(s.log)+1] = true
	}
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

// reassign gives a booking to another user, in its table only: an update that
// was lost.
func (s *script) reassign(booking, user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	row := maps.Clone(s.rows[booking])
	row["user_id"] = text(user)
	s.rows[booking] = row
}

// remove deletes a booking, in its table only: a row that was lost.
func (s *script) remove(booking string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rows, booking)
}

// rewrite changes a booking but not its status, which makes no message.
func (s *script) rewrite(booking string) {
	s.mu.Lock()
	now := s.rows[booking]["status"].Text
	s.mu.Unlock()
	s.set(booking, now)
}

// touch adds an entry that becomes no message.
func (s *script) touch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, publisher.Entry{Place: place(len(s.log) + 1)})
	s.wake()
}

// truncate removes all bookings; the log does not say which.
func (s *script) truncate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.rows)
	s.log = append(s.log, publisher.Entry{Place: place(len(s.log) + 1)})
	s.truncated = len(s.log)
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
	s.checks++
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
		e, err := s.entry(ctx, next, id(from), emit)
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

// pulse of a script that is idle.
const pulse = 10 * time.Millisecond

// entry waits for the entry with this id.
func (s *script) entry(ctx context.Context, n, from int, emit func(publisher.Entry) error) (*publisher.Entry, error) {
	for {
		s.mu.Lock()
		changed, err, hang := s.changed, s.runErr, s.hang
		if !s.always {
			s.runErr = nil
		}
		var e *publisher.Entry
		switch {
		case n <= s.pruned && n > from, n == s.truncated:
			err = publisher.ErrLost
		case n <= s.pruned:
			s.mu.Unlock()
			return nil, nil
		case n <= len(s.log):
			e = &s.log[n-1]
		}
		s.mu.Unlock()
		if (err != nil || e != nil) && !hang {
			return e, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pulse):
			if hang {
				continue
			}
			if err := emit(publisher.Entry{}); err != nil {
				return nil, err
			}
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

// want lists "<booking> <version>" of all changes of a status in log order.
func (s *script) want() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for i, e := range s.log {
		if e.Change != nil && !s.silent[i+1] {
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
