package publisher_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/subjects"
)

// records are the lines that are no events.
func records(t *testing.T, m *publisher.TableMapper, changes ...publisher.Change) string {
	t.Helper()
	var kept strings.Builder
	for line := range strings.Lines(lines(t, m, changes...)) {
		if !strings.HasPrefix(line, "* ") {
			kept.WriteString(strings.ReplaceAll(line, `,"updated":"`+at+`"`, ""))
		}
	}
	return kept.String()
}

func TestAccessOfParticipants(t *testing.T) {
	t.Run("both sides are one user: the role of the first template in alphabetical order", func(t *testing.T) {
		m := newMapper(t, joined())
		expect(t, records(t, m, load("services", service), insert("bookings", with(booking, "user_id", "u_9"))), `
booking.42.access {"participants":{"u_9":"vendor"}}
user.u_9.booking.42 {"role":"vendor","open":true}
`)
	})
	t.Run("role changes", func(t *testing.T) {
		m := newMapper(t, direct())
		row := r("id", "1", "customer_id", "a", "vendor_id", "b", "status", "pending", "updated_at", nil)
		expect(t, records(t, m, update("bookings", row, with(row, "customer_id", "b", "vendor_id", "a"))), `
booking.1.access {"participants":{"a":"vendor","b":"customer"}}
user.a.booking.1 {"role":"vendor","open":true}
user.b.booking.1 {"role":"customer","open":true}
`)
		closed := with(row, "status", "completed")
		expect(t, records(t, m, update("bookings", closed, with(closed, "customer_id", "b", "vendor_id", "a"))), `
booking.1.access {"participants":{"a":"vendor","b":"customer"}}
user.a.booking.1 {"role":"vendor","open":false}
user.b.booking.1 {"role":"customer","open":false}
`)
	})
	t.Run("nobody: the record is written all the same", func(t *testing.T) {
		m := newMapper(t, joined())
		expect(t, records(t, m, insert("bookings", with(booking, "user_id", nil))), `
booking.42.access {"participants":{}}
`)
	})
	t.Run("inserted as gone", func(t *testing.T) {
		m := newMapper(t, joined())
		expect(t, records(t, m, insert("bookings", with(booking, "deleted_at", "2026-11-22"))), `
booking.42.access {"participants":{}}
`)
	})
	t.Run("a template of several parts is left out if one is NULL", func(t *testing.T) {
		mapping := direct()
		table := mapping.Tables["bookings"]
		table.Access = &publisher.Access{Kind: "booking", Participants: map[string]string{"{vendor_id}-{customer_id}": "pair"}}
		mapping.Tables["bookings"] = table
		m := newMapper(t, mapping)
		row := r("id", "1", "customer_id", "a", "vendor_id", "b", "status", nil, "updated_at", nil)
		expect(t, records(t, m, insert("bookings", row), insert("bookings", with(row, "vendor_id", nil))), `
booking.1.access {"participants":{"b-a":"pair"}}
user.b-a.booking.1 {"role":"pair","open":true}
booking.1.access {"participants":{}}
`)
	})
	t.Run("the key changes", func(t *testing.T) {
		m := newMapper(t, joined())
		expect(t, records(t, m, load("services", service), update("bookings", booking, with(booking, "id", "43"))), `
booking.42.access {"participants":{}}
booking.43.access {"participants":{"u_7":"customer","u_9":"vendor"}}
user.u_7.booking.43 {"role":"customer","open":true}
user.u_9.booking.43 {"role":"vendor","open":true}
user.u_7.booking.42 {"open":false,"revoked":true}
user.u_9.booking.42 {"open":false,"revoked":true}
`)
		closed := with(booking, "status", "completed", "user_id", nil)
		expect(t, lines(t, m, update("bookings", closed, with(closed, "id", "43", "status", "no_show"))), `
booking.42.access {"participants":{}}
booking.43.access {"participants":{"u_9":"vendor"}}
user.u_9.booking.43 {"role":"vendor","open":false,"updated":"`+at+`"}
* booking.43.status {"bookingId":"43","message":"Booking has been updated","status":"no_show","updatedAt":"2026-11-22T10:30:00Z"}
user.u_9.booking.42 {"open":false,"updated":"`+at+`","revoked":true}
`)
	})
	t.Run("old row unknown: said again, never left out", func(t *testing.T) {
		m := newMapper(t, joined())
		expect(t, records(t, m, load("services", service), update("bookings", nil, booking)), `
booking.42.access {"participants":{"u_7":"customer","u_9":"vendor"}}
user.u_7.booking.42 {"role":"customer","open":true}
user.u_9.booking.42 {"role":"vendor","open":true}
`)
	})
	t.Run("a column left out of the new row did not change", func(t *testing.T) {
		m := newMapper(t, joined())
		expect(t, lines(t, m, load("services", service), update("bookings", booking, without(booking, "user_id", "status"))), ``)
	})
	t.Run("an id that was never valid is passed over in the old row", func(t *testing.T) {
		m := newMapper(t, direct())
		row := r("id", "1", "customer_id", "a@b.c", "vendor_id", "b", "status", "pending", "updated_at", nil)
		expect(t, records(t, m, update("bookings", row, with(row, "customer_id", "a"))), `
booking.1.access {"participants":{"a":"customer","b":"vendor"}}
user.a.booking.1 {"role":"customer","open":true}
`)
	})
}

func TestAccessFollowsLookups(t *testing.T) {
	m := newMapper(t, joined())
	moved := with(service, "provider_id", "u_8")
	step := func(name, want string, changes ...publisher.Change) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			expect(t, records(t, m, changes...), want)
		})
	}
	step("no such service yet", `
booking.42.access {"participants":{"u_7":"customer"}}
user.u_7.booking.42 {"role":"customer","open":true}
`, insert("bookings", booking))
	step("service appears", `
booking.42.access {"participants":{"u_7":"customer","u_9":"vendor"}}
user.u_9.booking.42 {"role":"vendor","open":true}
`, insert("services", service), touch("bookings", booking, "services", "s1", nil))
	step("provider changes", `
booking.42.access {"participants":{"u_7":"customer","u_8":"vendor"}}
user.u_8.booking.42 {"role":"vendor","open":true}
user.u_9.booking.42 {"open":false,"revoked":true}
`, update("services", service, moved), touch("bookings", booking, "services", "s1", service))
	step("another column of the service changes", ``,
		update("services", moved, moved), touch("bookings", booking, "services", "s1", moved))
	step("touch of a closed booking", `
booking.42.access {"participants":{"u_7":"customer","u_9":"vendor"}}
user.u_9.booking.42 {"role":"vendor","open":false}
user.u_8.booking.42 {"open":false,"revoked":true}
`, update("services", moved, service), touch("bookings", with(booking, "status", "completed"), "services", "s1", moved))
	step("touch of a gone booking", ``, touch("bookings", with(booking, "deleted_at", "2026-11-22"), "services", "s1", moved))
	step("service is renamed", `
booking.42.access {"participants":{"u_7":"customer"}}
user.u_9.booking.42 {"open":false,"revoked":true}
`, update("services", service, with(service, "id", "s2")), touch("bookings", booking, "services", "s1", service))
	step("booking moves to it", `
booking.42.access {"participants":{"u_7":"customer","u_9":"vendor"}}
user.u_9.booking.42 {"role":"vendor","open":true}
`, update("bookings", booking, with(booking, "service_id", "s2")))
	step("service is deleted", `
booking.42.access {"participants":{"u_7":"customer"}}
user.u_9.booking.42 {"open":false,"revoked":true}
`, remove("services", with(service, "id", "s2")),
		touch("bookings", with(booking, "service_id", "s2"), "services", "s2", with(service, "id", "s2")))
	step("a touch without cause says all", `
booking.42.access {"participants":{"u_7":"customer"}}
user.u_7.booking.42 {"role":"customer","open":true}
`, publisher.Change{Table: "bookings", Op: publisher.Touch, Old: booking, New: booking})
	lines(t, m, load("services", service))
	m.Forget()
	step("forgotten", `
booking.42.access {"participants":{"u_7":"customer"}}
user.u_7.booking.42 {"role":"customer","open":true}
`, snapshot("bookings", booking))
	step("loaded again", `
booking.42.access {"participants":{"u_7":"customer","u_9":"vendor"}}
user.u_7.booking.42 {"role":"customer","open":true}
user.u_9.booking.42 {"role":"vendor","open":true}
`, load("services", service), snapshot("bookings", booking))
}

// A table may be mapped and followed at once; the row's own change is then seen
// by its lookups.
func TestAccessOfFollowedTable(t *testing.T) {
	mapping := publisher.Mapping{
		Follow: map[string]publisher.Follow{"bookings": {Key: "id", Columns: []string{"owner"}}},
		Tables: map[string]publisher.Table{"bookings": {
			Key: "id", Columns: []string{"id", "parent", "owner"},
			Access: &publisher.Access{Kind: "booking", Participants: map[string]string{"{bookings[parent].owner}": "owner"}},
		}},
	}
	m := newMapper(t, mapping)
	row := r("id", "1", "parent", "1", "owner", "a")
	expect(t, records(t, m, insert("bookings", row), update("bookings", row, with(row, "owner", "b"))), `
booking.1.access {"participants":{"a":"owner"}}
user.a.booking.1 {"role":"owner","open":true}
booking.1.access {"participants":{"b":"owner"}}
user.b.booking.1 {"role":"owner","open":true}
user.a.booking.1 {"open":false,"revoked":true}
`)
}

// A followed row keeps what its log leaves out: the key that did not change, and
// columns that are costly to tell.
func TestFollowedRowsInParts(t *testing.T) {
	mapping := orders(publisher.Event{When: "true", Subject: "order.{id}.x", Payload: map[string]any{"n": "{shops[shop_id].name?}", "m": "{shops[shop_id].meta?}"}})
	m := newMapper(t, mapping)
	shop := r("id", "p1", "name", "Paws", "meta", "long")
	change := insert("orders", order)
	step := func(name, want string, c publisher.Change) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			expect(t, lines(t, m, c, change), "* order.o1.x "+want+"\n")
		})
	}
	step("insert", `{"m":"long","n":"Paws"}`, insert("shops", shop))
	step("update without old row", `{"m":"long","n":"Claws"}`, update("shops", nil, r("id", "p1", "name", "Claws")))
	step("update with an old row in parts", `{"m":"long","n":"Fins"}`, update("shops", r("id", "p1"), r("id", "p1", "name", "Fins")))
	step("another key", `{}`, update("shops", r("id", "p1"), r("id", "p2", "name", "Fins")))
	step("and back", `{"m":"long","n":"Fins"}`, update("shops", r("id", "p2"), r("id", "p1", "name", "Fins")))
	step("to NULL", `{"m":"long"}`, update("shops", nil, r("id", "p1", "name", nil)))
	step("delete", `{}`, remove("shops", r("id", "p1")))
	if _, err := m.Map(entry(insert("shops", r("id", "p1", "name", "Paws")))); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Map(entry(change)); !errors.Is(err, publisher.ErrNoValue) {
		t.Errorf("Map = %v, want ErrNoValue: nothing of the row that was deleted is remembered", err)
	}
}

// Records are what subjects' types decode, nothing more.
func TestRecordsDecode(t *testing.T) {
	m := newMapper(t, joined())
	for _, c := range []publisher.Change{load("services", service), insert("bookings", booking), remove("bookings", booking)} {
		messages, err := m.Map(entry(c))
		if err != nil {
			t.Fatal(err)
		}
		for _, msg := range messages {
			name, err := kinds.Parse(msg.Subject)
			if err != nil {
				t.Fatal(err)
			}
			var record any
			switch name.Class {
			case subjects.Grant:
				record = &subjects.Access{}
			case subjects.Indexed:
				record = &subjects.Index{}
			default:
				continue
			}
			if err := json.Unmarshal(msg.Data, record); err != nil {
				t.Errorf("%s: %v", msg.Subject, err)
			}
			if again, _ := json.Marshal(record); string(again) != string(msg.Data) {
				t.Errorf("%s: %T writes %s, the mapper %s", msg.Subject, record, again, msg.Data)
			}
		}
	}
}
