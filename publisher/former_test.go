package publisher_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/petpro/fabric/publisher"
)

// former of a table, as three lists in one line.
func former(m publisher.Mapping, table string) string {
	f := m.Former()[table]
	join := func(names []string) string { return strings.Join(names, " ") }
	return "updated: " + join(f.Updated) + "; recalled: " + join(f.Recalled) + "; deleted: " + join(f.Deleted)
}

func TestFormerOfPetPro(t *testing.T) {
	access := []string{"deleted_at", "service_id", "status", "user_id"}
	want := map[string]publisher.Former{"bookings": {Updated: access, Recalled: access}, "notifications": {}}
	if got := joined().Former(); !reflect.DeepEqual(got, want) {
		t.Errorf("joined: Former() = %v, want %v", got, want)
	}
	access = []string{"customer_id", "status", "vendor_id"}
	want = map[string]publisher.Former{"bookings": {Updated: access, Recalled: access}}
	if got := direct().Former(); !reflect.DeepEqual(got, want) {
		t.Errorf("direct: Former() = %v, want %v", got, want)
	}
}

func TestFormerOfEvents(t *testing.T) {
	event := func(when, subject string, payload map[string]any) publisher.Event {
		return publisher.Event{When: when, Subject: subject, Payload: payload}
	}
	status := map[string]any{"status": "{status}"}
	tests := []struct {
		name   string
		events []publisher.Event
		want   string
	}{
		{"nothing former", []publisher.Event{event("inserted() or status == 'x' and inserted()", "order.{id}.x", status)}, "updated: ; recalled: ; deleted: "},
		{"lone key", []publisher.Event{event("changed(status)", "order.{id}.status", status)}, "updated: status; recalled: status; deleted: "},
		{"lone optional key", []publisher.Event{event("changed(note)", "order.{id}.status", map[string]any{"n": "{note?}"})}, "updated: note; recalled: note; deleted: "},
		{"lone key of an object", []publisher.Event{event("changed(status)", "order.{id}.status", map[string]any{"o": status})}, "updated: status; recalled: status; deleted: "},
		{"time", []publisher.Event{event("changed(at)", "order.{id}.status", map[string]any{"at": "{at}"})}, "updated: at; recalled: at; deleted: "},
		{"subject with a prefix", []publisher.Event{event("changed(status)", "order.o-{id}.status", status)}, "updated: status; recalled: status; deleted: "},
		{"no key holds it", []publisher.Event{event("changed(status)", "order.{id}.status", map[string]any{"id": "{id}"})}, "updated: status; recalled: ; deleted: "},
		{"beside text", []publisher.Event{event("changed(status)", "order.{id}.status", map[string]any{"s": "is {status}"})}, "updated: status; recalled: ; deleted: "},
		{"a part of it", []publisher.Event{event("changed(data)", "order.{id}.status", map[string]any{"s": "{data.s}"})}, "updated: data; recalled: ; deleted: "},
		{"in a choice", []publisher.Event{event("changed(status)", "order.{id}.status", map[string]any{"s": map[string]any{"by": "status", "else": "{status}"}})},
			"updated: status; recalled: ; deleted: "},
		{"only one of two", []publisher.Event{event("changed(status) or changed(total)", "order.{id}.status", status)}, "updated: status total; recalled: status; deleted: "},
		{"negated", []publisher.Event{event("changed(status) and not (changed(total) or inserted())", "order.{id}.status", map[string]any{"s": "{status}", "t": "{total}"})},
			"updated: status total; recalled: status; deleted: "},
		{"negated twice", []publisher.Event{event("not not changed(status)", "order.{id}.status", status)}, "updated: status; recalled: status; deleted: "},
		{"subject of another column", []publisher.Event{event("changed(status)", "order.{shop_id}.status", status)}, "updated: status; recalled: ; deleted: "},
		{"subject of the key and another column", []publisher.Event{event("changed(status)", "order.{id}-{shop_id}.status", status)}, "updated: status; recalled: ; deleted: "},
		{"subject of a part of the key", []publisher.Event{event("changed(status)", "order.{id.x}.status", status)}, "updated: status; recalled: ; deleted: "},
		{"subject of a lookup by the key", []publisher.Event{event("changed(status)", "order.{shops[id].id}.status", status)}, "updated: status; recalled: ; deleted: "},
		{"subject shared with an event that lacks it", []publisher.Event{
			event("changed(status)", "order.{id}.status", status), event("changed(total)", "order.{id}.status", map[string]any{"total": "{total}"}),
		}, "updated: status total; recalled: ; deleted: "},
		{"subject shared with an event that has it elsewhere", []publisher.Event{
			event("changed(status)", "order.{id}.status", status), event("inserted()", "order.{id}.status", map[string]any{"state": "{status}"}),
		}, "updated: status; recalled: ; deleted: "},
		{"subject shared with an event that has it too", []publisher.Event{
			event("changed(status)", "order.{id}.status", map[string]any{"a": "{status}", "status": "{status}"}), event("inserted()", "order.{id}.status", status),
		}, "updated: status; recalled: status; deleted: "},
		{"subject shared under another id", []publisher.Event{
			event("changed(status)", "order.{id}.status", status), event("inserted()", "order.{shop_id}.status", status),
		}, "updated: status; recalled: ; deleted: "},
		{"recalled for one event, not for another", []publisher.Event{
			event("changed(status)", "order.{id}.status", status), event("changed(status)", "order.{id}.other", map[string]any{"id": "{id}"}),
		}, "updated: status; recalled: ; deleted: "},
		{"notification", []publisher.Event{event("changed(status)", "user.{id}.notification", status)}, "updated: status; recalled: ; deleted: "},
		{"key", []publisher.Event{event("changed(id) or deleted()", "order.{id}.x", map[string]any{"id": "{id}"})}, "updated: ; recalled: ; deleted: "},
		{"deleted", []publisher.Event{{When: "deleted() and total > paid", Subject: "order.{note}.x",
			Payload: map[string]any{"s": "{status}", "c": map[string]any{"by": "data", "inserted": "{at}", "else": "{shops[shop_id].name}"}}}},
			"updated: ; recalled: ; deleted: data note paid shop_id status total"},
		{"deleted, notified", []publisher.Event{{When: "deleted()", Subject: "order.{id}.x", Payload: map[string]any{"a": 1},
			Notify: []publisher.Notify{{To: "{shop_id}", Type: "{status}", Title: "{total}", Message: "{note}"}}}}, "updated: ; recalled: ; deleted: note shop_id status total"},
		{"holds for deleted rows without saying so", []publisher.Event{event("status == 'x'", "order.{id}.x", map[string]any{"a": 1})}, "updated: ; recalled: ; deleted: status"},
		{"holds for deleted rows whatever they are", []publisher.Event{event("deleted() or status == 'x'", "order.{id}.x", map[string]any{"a": 1})}, "updated: ; recalled: ; deleted: "},
		{"true", []publisher.Event{event("true", "order.{id}.x", status)}, "updated: ; recalled: ; deleted: status"},
		{"cannot hold for deleted rows", []publisher.Event{event("status == 'x' and (inserted() or changed(total))", "order.{note}.x", status)}, "updated: total; recalled: ; deleted: "},
		{"not inserted", []publisher.Event{event("not inserted() and (set(note) or changed(note))", "order.{id}.x", map[string]any{"n": "{note}"})}, "updated: note; recalled: note; deleted: note"},
		{"decided by half of it", []publisher.Event{event("(set(note) or deleted()) and status in ['x', total]", "order.{id}.x", map[string]any{"a": 1})},
			"updated: ; recalled: ; deleted: status total"},
		{"no such value", []publisher.Event{event("status in []", "order.{id}.x", status)}, "updated: ; recalled: ; deleted: "},
		{"malformed", []publisher.Event{event("changed(status", "order.{id", status), event("changed(x)", "order.{id}.x.y", status)}, "updated: ; recalled: ; deleted: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := former(orders(tt.events...), "orders"); got != tt.want {
				t.Errorf("Former() = %s\nwant %s", got, tt.want)
			}
		})
	}
}

// Another table that publishes on the same subjects makes the last message
// nobody's in particular.
func TestFormerOfTwoTables(t *testing.T) {
	payload := map[string]any{"status": "{status}"}
	m := orders(publisher.Event{When: "changed(status)", Subject: "order.{id}.status", Payload: payload})
	m.Tables["payments"] = publisher.Table{Key: "id", Columns: []string{"id", "status"},
		Events: []publisher.Event{{When: "changed(status)", Subject: "order.{id}.status", Payload: payload}}}
	if got, want := former(m, "orders"), "updated: status; recalled: ; deleted: "; got != want {
		t.Errorf("Former() = %s, want %s", got, want)
	}
	if _, listed := m.Former()["shops"]; listed {
		t.Error("Former lists a followed table")
	}
}

func TestFormerOfAccess(t *testing.T) {
	table := func(change func(*publisher.Mapping, *publisher.Table)) publisher.Mapping {
		m := joined()
		b := m.Tables["bookings"]
		b.Access = &publisher.Access{Kind: "booking", Participants: map[string]string{"{user_id}": "customer"}, Gone: "set(deleted_at) and status == 'x'"}
		b.Events = nil
		change(&m, &b)
		m.Tables["bookings"] = b
		return m
	}
	tests := []struct {
		name   string
		change func(*publisher.Mapping, *publisher.Table)
		want   string
	}{
		{"gone by two columns", func(*publisher.Mapping, *publisher.Table) {}, "deleted_at status user_id"},
		{"nothing is terminal", func(m *publisher.Mapping, b *publisher.Table) { m.Terminal, b.Access.Gone = nil, "" }, "user_id"},
		{"no column status", func(_ *publisher.Mapping, b *publisher.Table) {
			b.Columns, b.Access.Gone = []string{"id", "user_id"}, ""
		}, "user_id"},
		{"participant by the key", func(m *publisher.Mapping, b *publisher.Table) {
			m.Terminal, b.Access.Gone, b.Access.Participants = nil, "", map[string]string{"{id}": "owner", "{services[id].provider_id}": "v"}
		}, ""},
		{"malformed", func(m *publisher.Mapping, b *publisher.Table) {
			m.Terminal, b.Access.Gone, b.Access.Participants = nil, "set(", map[string]string{"{user_id": "owner", "{nothing}": "v"}
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := "updated: " + tt.want + "; recalled: " + tt.want + "; deleted: "
			if got := former(table(tt.change), "bookings"); got != want {
				t.Errorf("Former() = %s, want %s", got, want)
			}
		})
	}
	// What changed() asks for too must be recalled in both ways.
	m := table(func(_ *publisher.Mapping, b *publisher.Table) {
		b.Events = []publisher.Event{{When: "changed(user_id)", Subject: "booking.{id}.x", Payload: map[string]any{"id": "{id}"}}}
	})
	if got, want := former(m, "bookings"), "updated: deleted_at status user_id; recalled: deleted_at status; deleted: "; got != want {
		t.Errorf("Former() = %s, want %s", got, want)
	}
}

// FuzzFormer: whatever the mapping, Former and Lookups answer, the same twice,
// and what they say holds: a deleted row of which Former's columns are known,
// and an update behind what was published, can be mapped.
func FuzzFormer(f *testing.F) {
	for _, seed := range [][5]string{
		{"inserted() || changed(status)", "order.{id}.status", "{status}", "{user_id}", "set(note)"},
		{"deleted() and (set(note) or total > 3)", "order.{shop_id}.x", "{shops[shop_id].name?}", "{shops[note].name}", ""},
		{"not (changed(total) and changed(note)) or status in ['a', total]", "user.{id}.notification", "{note?} {at}", "{id}", "status == nil"},
		{"changed(at)", "booking.o-{id}.status", "{at}", "{data.a.b}", "paid != true"},
		{"(", "order.{id", "{", "{}", ")"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4])
	}
	f.Fuzz(func(t *testing.T, when, subject, payload, user, gone string) {
		m := orders(
			publisher.Event{When: when, Subject: subject, Payload: map[string]any{"a": payload, "o": map[string]any{"status": "{status}", "by2": payload}},
				Notify: []publisher.Notify{{To: user, Type: payload, Title: "t", Message: "m"}}},
			publisher.Event{When: "inserted() or changed(status)", Subject: "order.{id}.status", Payload: map[string]any{"a": "{status}"}},
		)
		table := m.Tables["orders"]
		table.Access = &publisher.Access{Kind: "order", Participants: map[string]string{user: "customer"}, Gone: gone}
		m.Tables["orders"] = table
		m.Terminal = []string{"done"}

		former, lookups := m.Former(), m.Lookups()
		if again := m.Former(); !reflect.DeepEqual(former, again) {
			t.Errorf("Former() = %v, then %v", former, again)
		}
		if again := m.Lookups(); !reflect.DeepEqual(lookups, again) {
			t.Errorf("Lookups() = %v, then %v", lookups, again)
		}
		mapper, err := publisher.NewMapper(m, kinds, 0)
		if err != nil {
			return
		}
		orders := former["orders"]
		for _, list := range [][]string{orders.Updated, orders.Recalled, orders.Deleted} {
			if !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) || slices.Contains(list, "id") {
				t.Errorf("%v is not sorted, each once, without the key", list)
			}
		}
		for _, column := range orders.Recalled {
			if !slices.Contains(orders.Updated, column) {
				t.Errorf("%s is recalled, but not asked for: %+v", column, orders)
			}
		}
		only := func(row publisher.Row, columns []string) publisher.Row {
			left := publisher.Row{"id": row["id"]}
			for _, c := range columns {
				left[c] = row[c]
			}
			return left
		}
		j := &journal{}
		mapper.Recall(j)
		was := order
		for _, status := range []string{"done", "new", "new"} {
			row := with(order, "status", status, "note", "p1")
			c := update("orders", only(was, orders.Updated), row)
			c.Recall = true
			if _, err := mapper.Map(entry(c)); errors.Is(err, publisher.ErrNoValue) {
				t.Errorf("Former() = %+v: %v", orders, err)
			}
			was = row
		}
		if _, err := mapper.Map(entry(remove("orders", only(was, orders.Deleted)))); errors.Is(err, publisher.ErrNoValue) {
			t.Errorf("Former() = %+v: %v", orders, err)
		}
		// A row that brings what Lookups names needs no memory.
		for _, l := range lookups["orders"] {
			was[l.Name()] = publisher.Value{Text: "u_1", Valid: true}
		}
		if _, err := mapper.Map(entry(insert("orders", was))); errors.Is(err, publisher.ErrNoValue) {
			t.Errorf("Lookups() = %v: %v", lookups, err)
		}
	})
}
