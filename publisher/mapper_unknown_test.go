package publisher_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/petpro/fabric/publisher"
)

// unknown is a change of a row of which columns cannot be known any more.
func unknown(c publisher.Change, columns ...string) publisher.Change {
	c.Unknown = true
	c.New = without(c.New, columns...)
	if c.Old != nil {
		c.Old = without(c.Old, columns...)
	}
	return c
}

func TestUnknownInEvents(t *testing.T) {
	event := func(when, subject string, payload map[string]any) publisher.Event {
		return publisher.Event{When: when, Subject: subject, Payload: payload}
	}
	status := map[string]any{"id": "{id}", "note": "{note}"}
	paid := update("orders", order, with(order, "status", "paid"))
	tests := []struct {
		name   string
		event  publisher.Event
		change publisher.Change
		want   string
		// decided: the column that is missing is not asked for.
		decided bool
	}{
		{"key left out", event("changed(status)", "order.{id}.x", status), unknown(paid, "note"), `{"id":"o1"}`, false},
		{"text left out", event("true", "order.{id}.x", map[string]any{"a": "Note: {note}", "b": "{data.s}", "c": "{shops[shop_id].name}", "d": "{id}"}),
			unknown(paid, "note", "data", "shop_id"), `{"d":"o1"}`, false},
		{"key of an object left out", event("true", "order.{id}.x", map[string]any{"o": status}), unknown(paid, "note"), `{"o":{"id":"o1"}}`, false},
		{"choice left out", event("true", "order.{id}.x", map[string]any{"id": "{id}", "c": map[string]any{"by": "note", "inserted": "new", "else": "other"}}), unknown(paid, "note"), `{"id":"o1"}`, false},
		{"choice of an insert", event("true", "order.{id}.x", map[string]any{"c": map[string]any{"by": "note", "inserted": "new", "else": "other"}}), unknown(insert("orders", order), "note"), `{"c":"new"}`, true},
		{"choice with a case left out", event("true", "order.{id}.x", map[string]any{"c": map[string]any{"by": "status", "paid": "{note}", "else": "other"}}), unknown(paid, "note"), `{}`, false},
		{"subject", event("true", "order.{shop_id}.x", status), unknown(paid, "shop_id"), ``, false},
		{"part of a subject", event("true", "order.{id}-{shop_id}.x", status), unknown(paid, "shop_id"), ``, false},
		{"lookup in a subject", event("true", "order.{shops[shop_id].id}.x", status), unknown(paid, "shop_id"), ``, false},
		{"condition", event("note == nil", "order.{id}.x", status), unknown(paid, "note"), ``, false},
		{"negated condition", event("not set(note)", "order.{id}.x", status), unknown(paid, "note"), ``, false},
		{"condition decided before", event("changed(status) or set(note)", "order.{id}.x", status), unknown(paid, "note"), `{"id":"o1"}`, false},
		{"condition decided behind", event("set(note) or changed(status)", "order.{id}.x", status), unknown(paid, "note"), `{"id":"o1"}`, false},
		{"condition refuted behind", event("not (set(note) or changed(status))", "order.{id}.x", status), unknown(paid, "note"), ``, true},
		{"changed: what is in neither row did not change", event("changed(note)", "order.{id}.x", status), unknown(paid, "note"), ``, true},
		{"not changed", event("not changed(note)", "order.{id}.x", status), unknown(paid, "note"), `{"id":"o1"}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMapper(t, orders(tt.event))
			want := ""
			if tt.want != "" {
				want = "* order.o1.x " + tt.want + "\n"
			}
			expect(t, lines(t, m, tt.change), want)
			tt.change.Unknown = false
			if _, err := m.Map(entry(tt.change)); errors.Is(err, publisher.ErrNoValue) == tt.decided {
				t.Errorf("could be known: Map = %v", err)
			}
		})
	}
	t.Run("notification", func(t *testing.T) {
		m := newMapper(t, orders(publisher.Event{When: "true", Subject: "order.{note}.x", Payload: status, Notify: []publisher.Notify{
			{To: "{note}", Type: "A", Title: "a", Message: "a"}, {To: "{shop_id}", Type: "B", Title: "{note}", Message: "Note: {note}"}}}))
		expect(t, lines(t, m, unknown(paid, "note")), `
* user.p1.notification {"type":"B","bookingId":"o1","createdAt":"`+at+`"}
`)
	})
}

// Nobody is let in because of what is not known.
func TestUnknownInAccess(t *testing.T) {
	published := []publisher.Change{load("services", service), insert("bookings", booking)}
	tests := []struct {
		name   string
		change publisher.Change
		want   string
	}{
		{"participant", unknown(recall(update("bookings", nil, booking)), "user_id"), `
booking.42.access {"participants":{"u_9":"vendor"}}
user.u_7.booking.42 {"open":false,"revoked":true}
`},
		{"key of a lookup", unknown(recall(update("bookings", nil, booking)), "service_id"), `
booking.42.access {"participants":{"u_7":"customer"}}
user.u_9.booking.42 {"open":false,"revoked":true}
`},
		{"whether it is gone", unknown(recall(update("bookings", nil, booking)), "deleted_at"), `
booking.42.access {"participants":{}}
user.u_7.booking.42 {"open":false,"revoked":true}
user.u_9.booking.42 {"open":false,"revoked":true}
`},
		{"whether it is open", unknown(recall(update("bookings", nil, booking)), "status"), `
user.u_7.booking.42 {"role":"customer","open":false}
user.u_9.booking.42 {"role":"vendor","open":false}
`},
		{"who was in it", unknown(update("bookings", booking, booking), "user_id"), `
booking.42.access {"participants":{"u_9":"vendor"}}
user.u_9.booking.42 {"role":"vendor","open":true}
`},
		{"all", unknown(insert("bookings", booking), "user_id", "service_id", "status", "deleted_at"), `
booking.42.access {"participants":{}}
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, j := newMapper(t, joined()), &journal{}
			m.Recall(j)
			publishAll(t, m, j, published...)
			expect(t, records(t, m, tt.change), tt.want)
			tt.change.Unknown = false
			if _, err := m.Map(entry(tt.change)); !errors.Is(err, publisher.ErrNoValue) {
				t.Errorf("could be known: Map = %v, want ErrNoValue", err)
			}
		})
	}
	t.Run("gone as far as known", func(t *testing.T) {
		mapping := joined()
		table := mapping.Tables["bookings"]
		access := *table.Access
		access.Gone = "set(deleted_at) or status == 'void'"
		table.Access = &access
		mapping.Tables["bookings"] = table
		m := newMapper(t, mapping)
		// deleted_at is missing, but status decides: no error even without Unknown.
		change := update("bookings", with(booking, "status", "void"), with(booking, "status", "void"))
		change.Old, change.New = without(change.Old, "deleted_at", "user_id"), without(change.New, "deleted_at", "user_id")
		expect(t, lines(t, m, change), ``)
	})
	t.Run("no status is terminal", func(t *testing.T) {
		mapping := joined()
		mapping.Terminal = nil
		table := mapping.Tables["bookings"]
		table.Events = nil
		mapping.Tables["bookings"] = table
		m := newMapper(t, mapping)
		expect(t, records(t, m, load("services", service), insert("bookings", without(booking, "status"))), `
booking.42.access {"participants":{"u_7":"customer","u_9":"vendor"}}
user.u_7.booking.42 {"role":"customer","open":true}
user.u_9.booking.42 {"role":"vendor","open":true}
`)
	})
	t.Run("key", func(t *testing.T) {
		m := newMapper(t, joined())
		if _, err := m.Map(entry(unknown(insert("bookings", booking), "id"))); !errors.Is(err, publisher.ErrNoValue) {
			t.Errorf("Map = %v, want ErrNoValue", err)
		}
	})
}

// Of a deleted row only what its events need must be known.
func TestDeletedWithKeyOnly(t *testing.T) {
	tests := []struct {
		when string
		want bool
		err  error
	}{
		{"inserted() or changed(status)", false, nil},
		{"status == 'paid' and changed(status)", false, nil},
		{"set(note) and status in ['a', 'b'] and inserted()", false, nil},
		{"deleted() or status == 'paid'", true, nil},
		{"status == 'paid' or deleted()", true, nil},
		{"not (status == 'paid' and not deleted())", true, nil},
		{"deleted() and status == 'paid'", false, publisher.ErrNoValue},
		{"status == 'paid' and deleted()", false, publisher.ErrNoValue},
		{"not set(note)", false, publisher.ErrNoValue},
	}
	for _, tt := range tests {
		mapping := orders(publisher.Event{When: tt.when, Subject: "order.{id}.x", Payload: map[string]any{"id": "{id}"}})
		m := newMapper(t, mapping)
		messages, err := m.Map(entry(recall(remove("orders", order), "id")))
		if (len(messages) > 0) != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: Map = %d messages, %v; want %v, %v", tt.when, len(messages), err, tt.want, tt.err)
		}
		if err != nil && !strings.Contains(err.Error(), "replica identity") {
			t.Errorf("%s: the error does not say what to do: %v", tt.when, err)
		}
		// Former tells beforehand.
		if needed := len(mapping.Former()["orders"].Deleted) > 0; needed != (tt.err != nil) {
			t.Errorf("%s: Former().Deleted = %v", tt.when, mapping.Former()["orders"].Deleted)
		}
	}
}
