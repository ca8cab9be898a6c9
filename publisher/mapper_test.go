package publisher_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/subjects"
)

// commit is the time of every change in these tests.
var commit = time.Date(2026, 11, 22, 10, 30, 0, 123_000_000, time.UTC)

const at = "2026-11-22T10:30:00.123Z"

var statusPayload = map[string]any{
	"bookingId": "{id}", "status": "{status}", "updatedAt": "{updated_at}",
	"message": map[string]any{
		"by": "status", "inserted": "Booking created successfully",
		"confirmed": "Booking has been confirmed by the vendor", "else": "Booking has been updated",
	},
}

// joined is PetPro's mapping where the vendor is found through services.
func joined() publisher.Mapping {
	return publisher.Mapping{
		Terminal: []string{"completed", "cancelled", "no_show"},
		Follow:   map[string]publisher.Follow{"services": {Key: "id", Columns: []string{"provider_id"}}},
		Tables: map[string]publisher.Table{
			"bookings": {
				Key:     "id",
				Columns: []string{"id", "user_id", "service_id", "status", "updated_at", "deleted_at"},
				Times:   []string{"updated_at"},
				Access: &publisher.Access{
					Kind:         "booking",
					Participants: map[string]string{"{user_id}": "customer", "{services[service_id].provider_id}": "vendor"},
					Gone:         "set(deleted_at)",
				},
				Events: []publisher.Event{{
					When: "inserted() || changed(status)", Subject: "booking.{id}.status", Payload: statusPayload,
					Notify: []publisher.Notify{{To: "{user_id}", Type: "BOOKING_UPDATED", Title: "Booking updated", Message: "Your booking is now {status}"}},
				}},
			},
			"notifications": {
				Key:     "id",
				Columns: []string{"id", "user_id", "type", "title", "message", "data"},
				Events: []publisher.Event{{
					When: "inserted()", Subject: "user.{user_id}.notification",
					Payload: map[string]any{"type": "{type}", "title": "{title}", "message": "{message}", "bookingId": "{data.bookingId?}"},
				}},
			},
		},
	}
}

// direct is PetPro's mapping where bookings name both sides themselves.
func direct() publisher.Mapping {
	return publisher.Mapping{
		Terminal: []string{"completed", "cancelled", "no_show"},
		Tables: map[string]publisher.Table{"bookings": {
			Key:     "id",
			Columns: []string{"id", "customer_id", "vendor_id", "status", "updated_at"},
			Times:   []string{"updated_at"},
			Access: &publisher.Access{
				Kind:         "booking",
				Participants: map[string]string{"{customer_id}": "customer", "{vendor_id}": "vendor"},
			},
			Events: []publisher.Event{{When: "inserted() || changed(status)", Subject: "booking.{id}.status", Payload: statusPayload}},
		}},
	}
}

// r builds a row from names and values in turn; nil is NULL.
func r(pairs ...any) publisher.Row {
	row := publisher.Row{}
	for i := 0; i < len(pairs); i += 2 {
		row[pairs[i].(string)] = publisher.Value{}
		if pairs[i+1] != nil {
			row[pairs[i].(string)] = publisher.Value{Text: pairs[i+1].(string), Valid: true}
		}
	}
	return row
}

// with copies a row and changes some columns.
func with(row publisher.Row, pairs ...any) publisher.Row {
	changed := r(pairs...)
	for name, v := range row {
		if _, ok := changed[name]; !ok {
			changed[name] = v
		}
	}
	return changed
}

// without copies a row and leaves columns out, as a source does that does not
// know them.
func without(row publisher.Row, columns ...string) publisher.Row {
	left := with(row)
	for _, name := range columns {
		delete(left, name)
	}
	return left
}

var kinds = subjects.Kinds{"booking", "order"}

func newMapper(t testing.TB, m publisher.Mapping) *publisher.TableMapper {
	t.Helper()
	mapper, err := publisher.NewMapper(m, kinds, 16<<10)
	if err != nil {
		t.Fatal(err)
	}
	return mapper
}

func entry(c publisher.Change) publisher.Entry {
	return publisher.Entry{Place: "1/0", Time: commit, Change: &c}
}

func insert(table string, row publisher.Row) publisher.Change {
	return publisher.Change{Table: table, Op: publisher.Insert, New: row}
}

func update(table string, old, row publisher.Row) publisher.Change {
	return publisher.Change{Table: table, Op: publisher.Update, Old: old, New: row}
}

func remove(table string, old publisher.Row) publisher.Change {
	return publisher.Change{Table: table, Op: publisher.Delete, Old: old}
}

func snapshot(table string, row publisher.Row) publisher.Change {
	return publisher.Change{Table: table, Op: publisher.Snapshot, New: row}
}

func load(table string, row publisher.Row) publisher.Change {
	return publisher.Change{Table: table, Op: publisher.Load, New: row}
}

func touch(table string, row publisher.Row, followed, key string, old publisher.Row) publisher.Change {
	return publisher.Change{Table: table, Op: publisher.Touch, Old: row, New: row,
		Cause: &publisher.Cause{Table: followed, Key: key, Old: old}}
}

// lines maps changes and writes a line for each message, events with a star.
func lines(t testing.TB, m *publisher.TableMapper, changes ...publisher.Change) string {
	t.Helper()
	var b strings.Builder
	for _, c := range changes {
		messages, err := m.Map(entry(c))
		if err != nil {
			t.Fatalf("Map(%s, op %d): %v", c.Table, c.Op, err)
		}
		for _, msg := range messages {
			if !msg.Time.Equal(commit) {
				t.Errorf("%s: Time = %v, want %v", msg.Subject, msg.Time, commit)
			}
			if _, err := kinds.Parse(msg.Subject); err != nil {
				t.Errorf("subject of no class: %v", err)
			}
			star := ""
			if msg.Event {
				star = "* "
			}
			fmt.Fprintf(&b, "%s%s %s\n", star, msg.Subject, msg.Data)
		}
	}
	return b.String()
}

// expect compares text line by line.
func expect(t testing.TB, got, want string) {
	t.Helper()
	want = strings.TrimLeft(want, "\n")
	if got == want {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		switch {
		case i >= len(g):
			t.Errorf("line %d missing: %s", i+1, w[i])
		case i >= len(w):
			t.Errorf("line %d too many: %s", i+1, g[i])
		case g[i] != w[i]:
			t.Errorf("line %d\n got %s\nwant %s", i+1, g[i], w[i])
		}
	}
}

var (
	service = r("id", "s1", "provider_id", "u_9")
	booking = r("id", "42", "user_id", "u_7", "service_id", "s1", "status", "pending",
		"updated_at", "2026-11-22 10:30:00", "deleted_at", nil)
)

func TestPetProJoined(t *testing.T) {
	confirmed := with(booking, "status", "confirmed", "updated_at", "2026-11-22 19:27:47.541933+00")
	cancelled := with(booking, "status", "cancelled", "updated_at", "1795343267")
	deleted := with(booking, "deleted_at", "2026-11-22 20:00:00")
	tests := []struct {
		name   string
		change publisher.Change
		want   string
	}{
		{"insert", insert("bookings", booking), `
booking.42.access {"participants":{"u_7":"customer","u_9":"vendor"}}
user.u_7.booking.42 {"role":"customer","open":true,"updated":"2026-11-22T10:30:00.123Z"}
user.u_9.booking.42 {"role":"vendor","open":true,"updated":"2026-11-22T10:30:00.123Z"}
* booking.42.status {"bookingId":"42","message":"Booking created successfully","status":"pending","updatedAt":"2026-11-22T10:30:00Z"}
* user.u_7.notification {"type":"BOOKING_UPDATED","title":"Booking updated","message":"Your booking is now pending","bookingId":"42","createdAt":"2026-11-22T10:30:00.123Z"}
`},
		{"status", update("bookings", booking, confirmed), `
* booking.42.status {"bookingId":"42","message":"Booking has been confirmed by the vendor","status":"confirmed","updatedAt":"2026-11-22T19:27:47.541933Z"}
* user.u_7.notification {"type":"BOOKING_UPDATED","title":"Booking updated","message":"Your booking is now confirmed","bookingId":"42","createdAt":"2026-11-22T10:30:00.123Z"}
`},
		{"other column", update("bookings", booking, with(booking, "updated_at", "2026-11-22 10:31:00")), ``},
		{"terminal", update("bookings", booking, cancelled), `
* booking.42.status {"bookingId":"42","message":"Booking has been updated","status":"cancelled","updatedAt":"2026-11-22T10:27:47Z"}
* user.u_7.notification {"type":"BOOKING_UPDATED","title":"Booking updated","message":"Your booking is now cancelled","bookingId":"42","createdAt":"2026-11-22T10:30:00.123Z"}
user.u_7.booking.42 {"role":"customer","open":false,"updated":"2026-11-22T10:30:00.123Z"}
user.u_9.booking.42 {"role":"vendor","open":false,"updated":"2026-11-22T10:30:00.123Z"}
`},
		{"reopened", update("bookings", cancelled, confirmed), `
user.u_7.booking.42 {"role":"customer","open":true,"updated":"2026-11-22T10:30:00.123Z"}
user.u_9.booking.42 {"role":"vendor","open":true,"updated":"2026-11-22T10:30:00.123Z"}
* booking.42.status {"bookingId":"42","message":"Booking has been confirmed by the vendor","status":"confirmed","updatedAt":"2026-11-22T19:27:47.541933Z"}
* user.u_7.notification {"type":"BOOKING_UPDATED","title":"Booking updated","message":"Your booking is now confirmed","bookingId":"42","createdAt":"2026-11-22T10:30:00.123Z"}
`},
		{"soft delete", update("bookings", booking, deleted), `
booking.42.access {"participants":{}}
user.u_7.booking.42 {"open":false,"updated":"2026-11-22T10:30:00.123Z","revoked":true}
user.u_9.booking.42 {"open":false,"updated":"2026-11-22T10:30:00.123Z","revoked":true}
`},
		{"undelete", update("bookings", deleted, booking), `
booking.42.access {"participants":{"u_7":"customer","u_9":"vendor"}}
user.u_7.booking.42 {"role":"customer","open":true,"updated":"2026-11-22T10:30:00.123Z"}
user.u_9.booking.42 {"role":"vendor","open":true,"updated":"2026-11-22T10:30:00.123Z"}
`},
		{"delete", remove("bookings", booking), `
booking.42.access {"participants":{}}
user.u_7.booking.42 {"open":false,"updated":"2026-11-22T10:30:00.123Z","revoked":true}
user.u_9.booking.42 {"open":false,"updated":"2026-11-22T10:30:00.123Z","revoked":true}
`},
		{"delete of a gone row", remove("bookings", deleted), ``},
		{"delete of which only the key is known", remove("bookings", r("id", "42")), `
booking.42.access {"participants":{}}
`},
		{"customer replaced", update("bookings", booking, with(booking, "user_id", "u_8")), `
booking.42.access {"participants":{"u_8":"customer","u_9":"vendor"}}
user.u_8.booking.42 {"role":"customer","open":true,"updated":"2026-11-22T10:30:00.123Z"}
user.u_7.booking.42 {"open":false,"updated":"2026-11-22T10:30:00.123Z","revoked":true}
`},
		{"snapshot", snapshot("bookings", confirmed), `
booking.42.access {"participants":{"u_7":"customer","u_9":"vendor"}}
user.u_7.booking.42 {"role":"customer","open":true,"updated":"2026-11-22T10:30:00.123Z"}
user.u_9.booking.42 {"role":"vendor","open":true,"updated":"2026-11-22T10:30:00.123Z"}
* booking.42.status {"bookingId":"42","message":"Booking has been confirmed by the vendor","status":"confirmed","updatedAt":"2026-11-22T19:27:47.541933Z"}
`},
		{"snapshot of a closed one", snapshot("bookings", cancelled), `
booking.42.access {"participants":{"u_7":"customer","u_9":"vendor"}}
* booking.42.status {"bookingId":"42","message":"Booking has been updated","status":"cancelled","updatedAt":"2026-11-22T10:27:47Z"}
`},
		{"insert of a closed one", insert("bookings", cancelled), `
booking.42.access {"participants":{"u_7":"customer","u_9":"vendor"}}
user.u_7.booking.42 {"role":"customer","open":false,"updated":"2026-11-22T10:30:00.123Z"}
user.u_9.booking.42 {"role":"vendor","open":false,"updated":"2026-11-22T10:30:00.123Z"}
* booking.42.status {"bookingId":"42","message":"Booking created successfully","status":"cancelled","updatedAt":"2026-11-22T10:27:47Z"}
* user.u_7.notification {"type":"BOOKING_UPDATED","title":"Booking updated","message":"Your booking is now cancelled","bookingId":"42","createdAt":"2026-11-22T10:30:00.123Z"}
`},
		{"notification", insert("notifications", r("id", "n1", "user_id", "u_7", "type", "REMINDER", "title", "Tomorrow",
			"message", nil, "data", `{"bookingId":"42"}`)), `
* user.u_7.notification {"bookingId":"42","message":null,"title":"Tomorrow","type":"REMINDER"}
`},
		{"notification without data", insert("notifications", r("id", "n1", "user_id", "u_7", "type", "HELLO", "title", "<Hi> & \"bye\"",
			"message", "a\nb", "data", nil)), `
* user.u_7.notification {"message":"a\nb","title":"<Hi> & \"bye\"","type":"HELLO"}
`},
		{"snapshot of a notification", snapshot("notifications", r("id", "n1", "user_id", "u_7", "type", "HELLO", "title", nil, "message", nil, "data", nil)), ``},
		{"table that is not mapped", insert("invoices", r("id", "1")), ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMapper(t, joined())
			if got := lines(t, m, load("services", service)); got != "" {
				t.Fatalf("Load published %s", got)
			}
			expect(t, lines(t, m, tt.change), tt.want)
		})
	}
}

func TestPetProDirect(t *testing.T) {
	row := r("id", "b-1", "customer_id", "c1", "vendor_id", "v1", "status", "pending", "updated_at", "2461367.3125")
	m := newMapper(t, direct())
	got := lines(t, m,
		insert("bookings", row),
		update("bookings", row, with(row, "vendor_id", nil)),
		update("bookings", with(row, "vendor_id", nil), with(row, "vendor_id", "v2", "status", "no_show")),
		remove("bookings", with(row, "vendor_id", "v2", "status", "no_show")),
	)
	expect(t, got, `
booking.b-1.access {"participants":{"c1":"customer","v1":"vendor"}}
user.c1.booking.b-1 {"role":"customer","open":true,"updated":"`+at+`"}
user.v1.booking.b-1 {"role":"vendor","open":true,"updated":"`+at+`"}
* booking.b-1.status {"bookingId":"b-1","message":"Booking created successfully","status":"pending","updatedAt":"2026-11-22T19:30:00Z"}
booking.b-1.access {"participants":{"c1":"customer"}}
user.v1.booking.b-1 {"open":false,"updated":"`+at+`","revoked":true}
booking.b-1.access {"participants":{"c1":"customer","v2":"vendor"}}
user.v2.booking.b-1 {"role":"vendor","open":false,"updated":"`+at+`"}
* booking.b-1.status {"bookingId":"b-1","message":"Booking has been updated","status":"no_show","updatedAt":"2026-11-22T19:30:00Z"}
user.c1.booking.b-1 {"role":"customer","open":false,"updated":"`+at+`"}
booking.b-1.access {"participants":{}}
user.c1.booking.b-1 {"open":false,"updated":"`+at+`","revoked":true}
user.v2.booking.b-1 {"open":false,"updated":"`+at+`","revoked":true}
`)
}

func TestMapWithoutChange(t *testing.T) {
	m := newMapper(t, joined())
	if got, err := m.Map(publisher.Entry{Place: "7"}); err != nil || got != nil {
		t.Errorf("Map(no change) = %v, %v, want nothing", got, err)
	}
	msg := publisher.Message{Subject: "booking.42.reminder", Data: []byte("{}"), Event: true}
	got, err := m.Map(publisher.Entry{Place: "7", Direct: &msg})
	if err != nil || len(got) != 1 || got[0].Subject != msg.Subject {
		t.Errorf("Map(direct) = %v, %v, want the message itself", got, err)
	}
}

// An unknown commit time leaves out what would tell it.
func TestMapWithoutTime(t *testing.T) {
	m := newMapper(t, joined())
	c := insert("bookings", booking)
	messages, err := m.Map(publisher.Entry{Place: "1/0", Change: &c})
	if err != nil {
		t.Fatal(err)
	}
	for _, msg := range messages {
		if s := string(msg.Data); strings.Contains(s, `"updated":`) || strings.Contains(s, "createdAt") {
			t.Errorf("%s tells a time nobody knows: %s", msg.Subject, s)
		}
	}
}

// Whatever order maps are walked in, the same change gives the same bytes.
func TestMapIsDeterministic(t *testing.T) {
	first := ""
	for range 50 {
		m := newMapper(t, joined())
		got := m.Hash() + lines(t, m, load("services", service), insert("bookings", booking), remove("bookings", booking),
			insert("notifications", r("id", "n", "user_id", "u", "type", "T", "title", "t", "message", "m", "data", `{"bookingId":"1"}`)))
		if first == "" {
			first = got
		}
		expect(t, got, first)
	}
}

// The mapper keeps no part of what it was given.
func TestMapKeepsInputs(t *testing.T) {
	m := newMapper(t, joined())
	before := with(booking)
	first, err := m.Map(entry(insert("bookings", booking)))
	if err != nil {
		t.Fatal(err)
	}
	kept := string(first[0].Data)
	lines(t, m, update("bookings", booking, with(booking, "user_id", "someone-else")))
	if string(first[0].Data) != kept {
		t.Errorf("a later change wrote over an earlier message: %s", first[0].Data)
	}
	if !reflect.DeepEqual(before, booking) {
		t.Errorf("Map changed the row it was given")
	}
}
