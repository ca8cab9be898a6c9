package publisher_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/petpro/fabric/publisher"
)

// recall reduces a change to what a log without old rows has of it.
func recall(c publisher.Change, left ...string) publisher.Change {
	c.Recall = true
	old := publisher.Row{}
	for _, name := range left {
		old[name] = c.Old[name]
	}
	if c.Old = old; len(left) == 0 && c.Op == publisher.Update {
		c.Old = nil
	}
	return c
}

// publishAll maps changes one after the other into the journal.
func publishAll(t testing.TB, m *publisher.TableMapper, j *journal, changes ...publisher.Change) {
	t.Helper()
	for _, c := range changes {
		messages, err := m.Map(entry(c))
		if err != nil {
			t.Fatal(err)
		}
		j.publish(messages...)
		j.entry++
	}
}

func TestRecallPetPro(t *testing.T) {
	confirmed := with(booking, "status", "confirmed", "updated_at", "2026-11-22 19:27:47.541933+00")
	cancelled := with(booking, "status", "cancelled", "updated_at", "1795343267")
	deleted := with(booking, "deleted_at", "2026-11-22 20:00:00")
	key := func(c publisher.Change) publisher.Change { return recall(c, "id") }
	tests := []struct {
		name   string
		before []publisher.Change
		change publisher.Change
		want   string
	}{
		{"status", []publisher.Change{insert("bookings", booking)}, recall(update("bookings", booking, confirmed)), `
* booking.42.status {"bookingId":"42","message":"Booking has been confirmed by the vendor","status":"confirmed","updatedAt":"2026-11-22T19:27:47.541933Z"}
* user.u_7.notification {"type":"BOOKING_UPDATED","title":"Booking updated","message":"Your booking is now confirmed","bookingId":"42","createdAt":"2026-11-22T10:30:00.123Z"}
`},
		{"other column", []publisher.Change{insert("bookings", booking)}, recall(update("bookings", booking, with(booking, "updated_at", "2026-11-22 10:31:00"))), ``},
		{"same status again", []publisher.Change{insert("bookings", booking), update("bookings", booking, confirmed)}, recall(update("bookings", confirmed, confirmed)), ``},
		{"back to an earlier status", []publisher.Change{insert("bookings", booking), update("bookings", booking, confirmed)}, recall(update("bookings", confirmed, booking), "id"), `
* booking.42.status {"bookingId":"42","message":"Booking has been updated","status":"pending","updatedAt":"2026-11-22T10:30:00Z"}
* user.u_7.notification {"type":"BOOKING_UPDATED","title":"Booking updated","message":"Your booking is now pending","bookingId":"42","createdAt":"2026-11-22T10:30:00.123Z"}
`},
		{"terminal", []publisher.Change{snapshot("bookings", booking)}, recall(update("bookings", booking, cancelled)), `
* booking.42.status {"bookingId":"42","message":"Booking has been updated","status":"cancelled","updatedAt":"2026-11-22T10:27:47Z"}
* user.u_7.notification {"type":"BOOKING_UPDATED","title":"Booking updated","message":"Your booking is now cancelled","bookingId":"42","createdAt":"2026-11-22T10:30:00.123Z"}
user.u_7.booking.42 {"role":"customer","open":false,"updated":"2026-11-22T10:30:00.123Z"}
user.u_9.booking.42 {"role":"vendor","open":false,"updated":"2026-11-22T10:30:00.123Z"}
`},
		{"reopened", []publisher.Change{insert("bookings", booking), update("bookings", booking, cancelled)}, recall(update("bookings", cancelled, confirmed)), `
user.u_7.booking.42 {"role":"customer","open":true,"updated":"2026-11-22T10:30:00.123Z"}
user.u_9.booking.42 {"role":"vendor","open":true,"updated":"2026-11-22T10:30:00.123Z"}
* booking.42.status {"bookingId":"42","message":"Booking has been confirmed by the vendor","status":"confirmed","updatedAt":"2026-11-22T19:27:47.541933Z"}
* user.u_7.notification {"type":"BOOKING_UPDATED","title":"Booking updated","message":"Your booking is now confirmed","bookingId":"42","createdAt":"2026-11-22T10:30:00.123Z"}
`},
		{"closed since the snapshot: no index record was ever written", []publisher.Change{snapshot("bookings", cancelled)},
			recall(update("bookings", cancelled, with(cancelled, "updated_at", nil))), ``},
		{"reopened since the snapshot", []publisher.Change{snapshot("bookings", cancelled)}, recall(update("bookings", cancelled, with(cancelled, "status", "confirmed"))), `
user.u_7.booking.42 {"role":"customer","open":true,"updated":"2026-11-22T10:30:00.123Z"}
user.u_9.booking.42 {"role":"vendor","open":true,"updated":"2026-11-22T10:30:00.123Z"}
* booking.42.status {"bookingId":"42","message":"Booking has been confirmed by the vendor","status":"confirmed","updatedAt":"2026-11-22T10:27:47Z"}
* user.u_7.notification {"type":"BOOKING_UPDATED","title":"Booking updated","message":"Your booking is now confirmed","bookingId":"42","createdAt":"2026-11-22T10:30:00.123Z"}
`},
		{"soft delete", []publisher.Change{insert("bookings", booking)}, recall(update("bookings", booking, deleted)), `
booking.42.access {"participants":{}}
user.u_7.booking.42 {"open":false,"updated":"2026-11-22T10:30:00.123Z","revoked":true}
user.u_9.booking.42 {"open":false,"updated":"2026-11-22T10:30:00.123Z","revoked":true}
`},
		{"undelete", []publisher.Change{insert("bookings", booking), update("bookings", booking, deleted)}, recall(update("bookings", deleted, booking)), `
booking.42.access {"participants":{"u_7":"customer","u_9":"vendor"}}
user.u_7.booking.42 {"role":"customer","open":true,"updated":"2026-11-22T10:30:00.123Z"}
user.u_9.booking.42 {"role":"vendor","open":true,"updated":"2026-11-22T10:30:00.123Z"}
`},
		{"delete", []publisher.Change{insert("bookings", booking)}, key(remove("bookings", booking)), `
booking.42.access {"participants":{}}
user.u_7.booking.42 {"open":false,"updated":"2026-11-22T10:30:00.123Z","revoked":true}
user.u_9.booking.42 {"open":false,"updated":"2026-11-22T10:30:00.123Z","revoked":true}
`},
		{"delete of a gone row", []publisher.Change{insert("bookings", booking), update("bookings", booking, deleted)}, key(remove("bookings", deleted)), ``},
		{"customer replaced", []publisher.Change{insert("bookings", booking)}, recall(update("bookings", booking, with(booking, "user_id", "u_8"))), `
booking.42.access {"participants":{"u_8":"customer","u_9":"vendor"}}
user.u_8.booking.42 {"role":"customer","open":true,"updated":"2026-11-22T10:30:00.123Z"}
user.u_7.booking.42 {"open":false,"updated":"2026-11-22T10:30:00.123Z","revoked":true}
`},
		{"key changed", []publisher.Change{insert("bookings", booking)}, key(update("bookings", booking, with(booking, "id", "43"))), `
booking.42.access {"participants":{}}
booking.43.access {"participants":{"u_7":"customer","u_9":"vendor"}}
user.u_7.booking.43 {"role":"customer","open":true,"updated":"2026-11-22T10:30:00.123Z"}
user.u_9.booking.43 {"role":"vendor","open":true,"updated":"2026-11-22T10:30:00.123Z"}
user.u_7.booking.42 {"open":false,"updated":"2026-11-22T10:30:00.123Z","revoked":true}
user.u_9.booking.42 {"open":false,"updated":"2026-11-22T10:30:00.123Z","revoked":true}
`},
		{"touched", []publisher.Change{insert("bookings", booking), update("services", service, with(service, "provider_id", "u_8"))},
			publisher.Change{Table: "bookings", Op: publisher.Touch, Old: booking, New: booking, Recall: true}, `
booking.42.access {"participants":{"u_7":"customer","u_8":"vendor"}}
user.u_8.booking.42 {"role":"vendor","open":true,"updated":"2026-11-22T10:30:00.123Z"}
user.u_9.booking.42 {"open":false,"updated":"2026-11-22T10:30:00.123Z","revoked":true}
`},
		{"nothing was published", nil, recall(update("bookings", booking, cancelled)), `
booking.42.access {"participants":{"u_7":"customer","u_9":"vendor"}}
user.u_7.booking.42 {"role":"customer","open":false,"updated":"2026-11-22T10:30:00.123Z"}
user.u_9.booking.42 {"role":"vendor","open":false,"updated":"2026-11-22T10:30:00.123Z"}
* booking.42.status {"bookingId":"42","message":"Booking has been updated","status":"cancelled","updatedAt":"2026-11-22T10:27:47Z"}
* user.u_7.notification {"type":"BOOKING_UPDATED","title":"Booking updated","message":"Your booking is now cancelled","bookingId":"42","createdAt":"2026-11-22T10:30:00.123Z"}
`},
		{"delete of what was never published", nil, key(remove("bookings", booking)), `
booking.42.access {"participants":{}}
`},
		{"the old status is in the log", nil, recall(update("bookings", booking, booking), "status"), `
booking.42.access {"participants":{"u_7":"customer","u_9":"vendor"}}
user.u_7.booking.42 {"role":"customer","open":true,"updated":"2026-11-22T10:30:00.123Z"}
user.u_9.booking.42 {"role":"vendor","open":true,"updated":"2026-11-22T10:30:00.123Z"}
`},
		{"inserted behind a touch that found another vendor", []publisher.Change{touch("bookings", with(booking, "service_id", "s2"), "services", "s2", nil), load("services", service)},
			recall(insert("bookings", with(booking, "user_id", nil))), `
booking.42.access {"participants":{"u_9":"vendor"}}
user.u_9.booking.42 {"role":"vendor","open":true,"updated":"2026-11-22T10:30:00.123Z"}
* booking.42.status {"bookingId":"42","message":"Booking created successfully","status":"pending","updatedAt":"2026-11-22T10:30:00Z"}
user.u_1.booking.42 {"open":false,"updated":"2026-11-22T10:30:00.123Z","revoked":true}
user.u_7.booking.42 {"open":false,"updated":"2026-11-22T10:30:00.123Z","revoked":true}
`},
		{"inserted again", []publisher.Change{insert("bookings", booking), remove("bookings", booking)}, recall(insert("bookings", cancelled)), `
booking.42.access {"participants":{"u_7":"customer","u_9":"vendor"}}
user.u_7.booking.42 {"role":"customer","open":false,"updated":"2026-11-22T10:30:00.123Z"}
user.u_9.booking.42 {"role":"vendor","open":false,"updated":"2026-11-22T10:30:00.123Z"}
* booking.42.status {"bookingId":"42","message":"Booking created successfully","status":"cancelled","updatedAt":"2026-11-22T10:27:47Z"}
* user.u_7.notification {"type":"BOOKING_UPDATED","title":"Booking updated","message":"Your booking is now cancelled","bookingId":"42","createdAt":"2026-11-22T10:30:00.123Z"}
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, j := newMapper(t, joined()), &journal{}
			m.Recall(j)
			publishAll(t, m, j, append([]publisher.Change{load("services", service), load("services", with(service, "id", "s2", "provider_id", "u_1"))}, tt.before...)...)
			expect(t, lines(t, m, tt.change), tt.want)
		})
	}
}

// What the last message holds decides, in whatever form it is.
func TestRecallOfPayloads(t *testing.T) {
	mapping := orders(publisher.Event{When: "changed(note) or changed(at)", Subject: "order.{id}.status",
		Payload: map[string]any{"o": map[string]any{"note": "{note}"}, "at": "{at?}", "more": "{status}"}})
	tests := []struct {
		last string
		row  publisher.Row
		want bool
	}{
		{`{"o":{"note":"a"},"at":"2026-11-22T10:30:00Z"}`, with(order, "note", "a"), false},
		{`{"at":"2026-11-22T10:30:00Z","more":7,"o":{"note":"a"}}`, with(order, "note", "a"), false},
		{`{"o":{"note":"a"},"at":"2026-11-22T10:30:00Z"}`, with(order, "note", "a", "at", "2026-11-22 12:30:00+02"), false},
		{`{"o":{"note":"a"},"at":"2026-11-22T10:30:00Z"}`, with(order, "note", "a", "at", "2026-11-22 12:30:00"), true},
		{`{"o":{"note":"a"},"at":"2026-11-22T10:30:00Z"}`, with(order, "note", "b"), true},
		{`{"o":{"note":"a"},"at":"2026-11-22T10:30:00Z"}`, with(order, "note", nil), true},
		{`{"o":{"note":"a"},"at":"2026-11-22T10:30:00Z"}`, with(order, "note", "A"), true},
		{`{"o":{"note":null},"at":"2026-11-22T10:30:00Z"}`, with(order, "note", nil), false},
		{`{"o":{"note":null},"at":"2026-11-22T10:30:00Z"}`, with(order, "note", "null"), true},
		{`{"o":{"note":"null"},"at":"2026-11-22T10:30:00Z"}`, with(order, "note", "null"), false},
		{`{"o":{"note":""},"at":"2026-11-22T10:30:00Z"}`, with(order, "note", nil), true},
		{`{"o":{"note":"a"}}`, with(order, "note", "a"), true},
		{`{"o":{"note":"a"}}`, with(order, "note", "a", "at", nil), false},
		{`{"o":{"note":"a"},"at":"2026-11-22T10:30:00Z"}`, with(order, "note", "a", "at", nil), true},
		{`{"o":{"note":"\u0061\/"},"at":"2026-11-22T10:30:00Z"}`, with(order, "note", "a/"), false},
		{`{"o":{"note":"<\u2028\n\"\\>"},"at":"2026-11-22T10:30:00Z"}`, with(order, "note", "<\u2028\n\"\\>"), false},
		{`{"o":{"note":"a\ufffd"},"at":"2026-11-22T10:30:00Z"}`, with(order, "note", "a\xff"), false},
		// No message of this event.
		{`{"at":"2026-11-22T10:30:00Z"}`, with(order, "note", nil), true},
		{`{"o":{},"at":"2026-11-22T10:30:00Z"}`, with(order, "note", nil), true},
		{`{"o":"a","at":"2026-11-22T10:30:00Z"}`, with(order, "note", "a"), true},
		{`{"o":{"note":7},"at":"2026-11-22T10:30:00Z"}`, with(order, "note", "7"), true},
		{`[]`, with(order, "note", "a"), true},
		{`{`, with(order, "note", "a"), true},
		{``, with(order, "note", nil), true},
	}
	for _, tt := range tests {
		m, j := newMapper(t, mapping), &journal{loose: true}
		m.Recall(j)
		j.publish(publisher.Message{Subject: "order.o1.status", Data: []byte(tt.last), Event: true})
		if got := lines(t, m, recall(update("orders", nil, tt.row))) != ""; got != tt.want {
			t.Errorf("behind %s, %s: published %v, want %v", tt.last, rowText(tt.row), got, tt.want)
		}
	}
}

// Records that somebody else wrote, or a former mapping, are mended.
func TestRecallOfRecords(t *testing.T) {
	row := r("id", "1", "customer_id", "a", "vendor_id", "b", "status", "pending", "updated_at", nil)
	said := "* booking.1.status {\"bookingId\":\"1\",\"message\":\"Booking has been updated\",\"status\":\"pending\",\"updatedAt\":null}\n"
	tests := []struct{ name, access, index, want string }{
		{"as it is", `{"participants":{"a":"customer","b":"vendor"}}`, `{"role":"customer","open":true}`, ``},
		{"somebody more", `{"participants":{"a":"customer","b":"vendor","c":"helper"}}`, `{"role":"customer","open":true}`, `
booking.1.access {"participants":{"a":"customer","b":"vendor"}}
user.c.booking.1 {"open":false,"revoked":true}
`},
		{"no id", `{"participants":{"a":"customer","b":"vendor","*":"helper"}}`, `{"role":"customer","open":true}`, ``},
		{"another role", `{"participants":{"a":"vendor","b":"vendor"}}`, `{"role":"customer","open":true}`, `
booking.1.access {"participants":{"a":"customer","b":"vendor"}}
user.a.booking.1 {"role":"customer","open":true}
`},
		{"closed", `{"participants":{"a":"customer","b":"vendor"}}`, `{"role":"customer","open":false}`, `
user.a.booking.1 {"role":"customer","open":true}
user.b.booking.1 {"role":"vendor","open":true}
`},
		{"index is no JSON", `{"participants":{"a":"customer","b":"vendor"}}`, `{`, `
user.a.booking.1 {"role":"customer","open":true}
user.b.booking.1 {"role":"vendor","open":true}
`},
		{"access is no JSON", `no`, `{"role":"customer","open":true}`, `
booking.1.access {"participants":{"a":"customer","b":"vendor"}}
user.a.booking.1 {"role":"customer","open":true}
user.b.booking.1 {"role":"vendor","open":true}
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, j := newMapper(t, direct()), &journal{loose: true}
			m.Recall(j)
			j.publish(
				publisher.Message{Subject: "booking.1.access", Data: []byte(tt.access)},
				publisher.Message{Subject: "user.a.booking.1", Data: []byte(tt.index)},
			)
			got := strings.ReplaceAll(lines(t, m, recall(update("bookings", nil, row))), `,"updated":"`+at+`"`, "")
			expect(t, strings.Replace(got, said, "", 1), tt.want)
		})
	}
}

// failing is a Past that cannot be asked.
type failing struct{ err error }

func (f failing) Last(string) ([]byte, bool, error) { return nil, false, f.err }

// A Past that fails is no fault of the row: the error is no *MapError, even if
// the row could not be mapped either.
func TestRecallFails(t *testing.T) {
	away := errors.New("no broker")
	mapping := orders(publisher.Event{When: "changed(status)", Subject: "order.{id}.status", Payload: map[string]any{"s": "{status}"}})
	for _, tt := range []struct {
		mapping publisher.Mapping
		change  publisher.Change
	}{
		{joined(), recall(update("bookings", nil, booking))},
		{joined(), recall(update("bookings", nil, with(booking, "user_id", "a@b.c")))},
		{joined(), recall(remove("bookings", booking), "id")},
		{mapping, recall(update("orders", nil, order))},
		{mapping, recall(update("orders", nil, with(order, "status", strings.Repeat("x", 20<<10))))},
	} {
		m := newMapper(t, tt.mapping)
		m.Recall(failing{away})
		messages, err := m.Map(entry(tt.change))
		_, bad := errors.AsType[*publisher.MapError](err)
		if messages != nil || !errors.Is(err, away) || bad {
			t.Errorf("Map = %v, %v; want an error that is no *MapError and wraps that of the Past", messages, err)
		}
		// Once it answers, nothing is left of that.
		m.Recall(&journal{})
		if _, err := m.Map(entry(tt.change)); errors.Is(err, away) {
			t.Errorf("Map again = %v", err)
		}
	}
}

// counting counts the questions.
type counting struct {
	publisher.Past
	asked []string
}

func (c *counting) Last(subject string) ([]byte, bool, error) {
	c.asked = append(c.asked, subject)
	return c.Past.Last(subject)
}

// Questions are round trips: none is asked in vain or twice.
func TestRecallAsksLittle(t *testing.T) {
	again := publisher.Event{When: "inserted() or changed(status) or changed(at)", Subject: "order.{id}.status", Payload: map[string]any{"s": "{status}", "at": "{at}"}}
	two := orders(again, again)
	one := r("id", "1", "customer_id", "a", "vendor_id", nil, "status", "pending", "updated_at", nil)
	tests := []struct {
		name    string
		mapping publisher.Mapping
		before  publisher.Row
		change  publisher.Change
		want    string
	}{
		{"all that decides", joined(), booking, recall(update("bookings", booking, booking)), "booking.42.access user.u_7.booking.42 booking.42.status"},
		{"an insert", joined(), nil, insert("bookings", booking), ""},
		{"an insert that may have been touched", joined(), nil, recall(insert("bookings", booking)), "booking.42.access"},
		{"a snapshot", joined(), nil, recall(snapshot("bookings", booking)), ""},
		{"a delete", joined(), booking, recall(remove("bookings", booking), "id"), "booking.42.access"},
		{"the old status is in the log", joined(), booking, recall(update("bookings", booking, booking), "status"), "booking.42.access user.u_7.booking.42"},
		{"old rows are whole", joined(), booking, update("bookings", booking, with(booking, "status", "confirmed")), ""},
		{"soft delete", joined(), booking, recall(update("bookings", booking, with(booking, "deleted_at", "x", "status", "y"))), "booking.42.access booking.42.status"},
		{"another role", direct(), one, recall(update("bookings", one, with(one, "customer_id", nil, "vendor_id", "a"))), "booking.1.access booking.1.status"},
		{"two events, two columns", two, order, recall(update("orders", order, order)), "order.o1.status"},
		{"nothing changes by itself", orders(publisher.Event{When: "inserted()", Subject: "order.{id}.status", Payload: again.Payload}), order, recall(update("orders", order, order)), ""},
	}
	for _, tt := range tests {
		m, j := newMapper(t, tt.mapping), &journal{}
		if tt.before != nil {
			publishAll(t, m, j, insert(tt.change.Table, tt.before))
		}
		past := &counting{Past: j}
		m.Recall(past)
		lines(t, m, tt.change)
		if got := strings.Join(past.asked, " "); got != tt.want {
			t.Errorf("%s: asked for %q, want %q", tt.name, got, tt.want)
		}
	}
}

// Without a Past everything counts as changed, and records are always written.
func TestRecallWithoutPast(t *testing.T) {
	m := newMapper(t, direct())
	row := r("id", "1", "customer_id", "a", "vendor_id", nil, "status", "pending", "updated_at", nil)
	expect(t, lines(t, m, recall(update("bookings", row, row))), `
booking.1.access {"participants":{"a":"customer"}}
user.a.booking.1 {"role":"customer","open":true,"updated":"`+at+`"}
* booking.1.status {"bookingId":"1","message":"Booking has been updated","status":"pending","updatedAt":null}
`)
}

// A restart in the middle of a row, behind each of its messages: the row is
// mapped again against what was published before it, gives the same messages,
// and the events already there are counted off.
func TestRecallAfterCrash(t *testing.T) {
	others := with(booking, "user_id", "u_8", "status", "completed")
	tests := []struct {
		name   string
		before []publisher.Change
		change publisher.Change
		// events and records it has at least, so that each place is tried
		opening, events, closing int
	}{
		{"opens", []publisher.Change{insert("bookings", others)}, recall(update("bookings", others, booking)), 2, 2, 1},
		{"closes", []publisher.Change{insert("bookings", booking)}, recall(update("bookings", booking, others)), 1, 2, 2},
		{"is inserted", nil, insert("bookings", booking), 2, 2, 0},
		{"is deleted", []publisher.Change{insert("bookings", booking)}, recall(remove("bookings", booking), "id"), 0, 0, 2},
		{"gets another key", []publisher.Change{insert("bookings", booking)}, recall(update("bookings", booking, with(others, "id", "43")), "id"), 2, 2, 2},
		{"is touched", []publisher.Change{insert("bookings", booking), remove("services", service)},
			publisher.Change{Table: "bookings", Op: publisher.Touch, Old: booking, New: booking, Recall: true}, 0, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, j := newMapper(t, joined()), &journal{}
			m.Recall(j)
			publishAll(t, m, j, append([]publisher.Change{load("services", service)}, tt.before...)...)
			whole, err := m.Map(entry(tt.change))
			if err != nil {
				t.Fatal(err)
			}
			count := [3]int{}
			for _, msg := range whole {
				switch {
				case msg.Event:
					count[1]++
				case strings.HasSuffix(msg.Subject, ".access"):
				case count[1] == 0 && strings.Contains(string(msg.Data), `"role"`):
					count[0]++
				default:
					count[2]++
				}
			}
			if count != [3]int{tt.opening, tt.events, tt.closing} {
				t.Fatalf("gives %v opening records, events and closing records", count)
			}
			for crash := range len(whole) + 1 {
				j := &journal{entry: j.entry, entries: j.entries[:len(j.entries):len(j.entries)], messages: j.messages[:len(j.messages):len(j.messages)]}
				m.Recall(j)
				j.publish(whole[:crash]...)
				again, err := m.Map(entry(tt.change))
				if err != nil {
					t.Fatal(err)
				}
				if got, want := fmt.Sprint(again), fmt.Sprint(whole); got != want {
					t.Errorf("behind %d messages: Map = %s, want %s", crash, got, want)
				}
			}
		})
	}
}

// What differs by nature: a value that changed without being published. With
// old rows the event says each change that its condition lets through; recalled,
// it says each value that is not the last one said.
func TestRecallOfWhatWasNotPublished(t *testing.T) {
	mapping := orders(publisher.Event{When: "changed(status) and status != 'draft'", Subject: "order.{id}.state", Payload: map[string]any{"s": "{status}"}})
	rng := rand.New(rand.NewPCG(rand.Uint64(), 0))
	m, j := newMapper(t, mapping), &journal{}
	m.Recall(j)
	publishAll(t, m, j, insert("orders", order))
	said := "" // no insert says it
	for i := range 200 {
		row := with(order, "status", []string{"draft", "paid", "shipped"}[rng.IntN(3)])
		got := lines(t, m, recall(update("orders", nil, row)))
		want := ""
		if status := row["status"].Text; status != "draft" && status != said {
			want = fmt.Sprintf("* order.o1.state {\"s\":%q}\n", status)
			said = status
		}
		if got != want {
			t.Fatalf("update %d to %s: got %q, want %q", i, row["status"].Text, got, want)
		}
		publishAll(t, m, j, recall(update("orders", nil, row)))
	}
}

// Without rooms there are no records to recall.
func TestRecallOfRowsThatAreNoRooms(t *testing.T) {
	m, j := newMapper(t, orders(publisher.Event{When: "inserted() or changed(status)", Subject: "order.{id}.status", Payload: map[string]any{"s": "{status}"}})), &journal{}
	m.Recall(j)
	publishAll(t, m, j,
		insert("orders", order),
		recall(update("orders", order, with(order, "note", "x"))),
		recall(update("orders", order, with(order, "status", "paid"))),
		recall(remove("orders", order), "id"),
	)
	expect(t, untimed(j.all()), "order.o1.status {\"s\":\"new\"}\norder.o1.status {\"s\":\"paid\"}\n")
}

// A column that no message holds counts as changed if the log does not tell its
// old value: a state said twice is harmless, one not said is lost.
func TestRecallOfWhatNoMessageHolds(t *testing.T) {
	m, j := newMapper(t, orders(publisher.Event{When: "inserted() or changed(note)", Subject: "order.{id}.status", Payload: map[string]any{"s": "{status}"}})), &journal{}
	m.Recall(j)
	publishAll(t, m, j, insert("orders", order))
	const said = "* order.o1.status {\"s\":\"new\"}\n"
	expect(t, lines(t, m, recall(update("orders", order, order))), said)
	expect(t, lines(t, m, recall(update("orders", order, order), "note")), "")
	expect(t, lines(t, m, recall(update("orders", order, with(order, "note", "x")), "note")), said)
}
