package publisher_test

import (
	"reflect"
	"testing"

	"github.com/petpro/fabric/publisher"
)

func TestLookups(t *testing.T) {
	provider := publisher.Lookup{Follow: "services", Via: "service_id", Column: "provider_id"}
	if got, want := provider.Name(), "services[service_id].provider_id"; got != want {
		t.Errorf("Name() = %q, want %q", got, want)
	}
	everywhere := orders(publisher.Event{
		When: "true", Subject: "order.{shops[shop_id].name}.status",
		Payload: map[string]any{
			"a": "{shops[note].meta.city?} {shops[note].meta}", "b": map[string]any{"c": "{shops[shop_id].id}"},
			"d": map[string]any{"by": "status", "inserted": "{shops[total].id}", "else": map[string]any{"by": "{shops[at].id}"}},
		},
		Notify: []publisher.Notify{{To: "{shops[to].id}", Type: "{shops[type].id}", Title: "{shops[title].id}", Message: "{shops[message].id}"}},
	})
	shop := func(via, column string) publisher.Lookup {
		return publisher.Lookup{Follow: "shops", Via: via, Column: column}
	}
	tests := []struct {
		name    string
		mapping publisher.Mapping
		want    map[string][]publisher.Lookup
	}{
		{"none", direct(), map[string][]publisher.Lookup{}},
		{"participant", joined(), map[string][]publisher.Lookup{"bookings": {provider}}},
		{"everywhere", everywhere, map[string][]publisher.Lookup{"orders": {
			shop("message", "id"), shop("note", "meta"), shop("shop_id", "id"), shop("shop_id", "name"),
			shop("title", "id"), shop("to", "id"), shop("total", "id"), shop("type", "id"),
		}}},
		{"malformed", orders(publisher.Event{When: "(", Subject: "{", Payload: map[string]any{"a": "{shops[}", "b": []any{"{shops[a].b}"}, "c": map[string]any{"by": 7}}}),
			map[string][]publisher.Lookup{}},
	}
	for _, tt := range tests {
		if got := tt.mapping.Lookups(); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: Lookups() = %v, want %v", tt.name, got, tt.want)
		}
	}
}

// A row that brings its lookups needs no memory.
func TestRowsWithLookups(t *testing.T) {
	const provider = "services[service_id].provider_id"
	mine, other := with(booking, provider, "u_9"), with(booking, provider, "u_8")
	step := func(name, want string, c publisher.Change) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			expect(t, records(t, newMapper(t, joined()), c), want)
		})
	}
	step("insert", `
booking.42.access {"participants":{"u_7":"customer","u_9":"vendor"}}
user.u_7.booking.42 {"role":"customer","open":true}
user.u_9.booking.42 {"role":"vendor","open":true}
`, insert("bookings", mine))
	step("nothing found", `
booking.42.access {"participants":{"u_7":"customer"}}
user.u_7.booking.42 {"role":"customer","open":true}
`, insert("bookings", with(booking, provider, nil)))
	step("update", ``, update("bookings", mine, with(mine, "updated_at", nil)))
	step("another service", `
booking.42.access {"participants":{"u_7":"customer","u_8":"vendor"}}
user.u_8.booking.42 {"role":"vendor","open":true}
user.u_9.booking.42 {"open":false,"revoked":true}
`, update("bookings", mine, with(other, "service_id", "s2")))
	step("delete", `
booking.42.access {"participants":{}}
user.u_7.booking.42 {"open":false,"revoked":true}
user.u_9.booking.42 {"open":false,"revoked":true}
`, remove("bookings", mine))
	step("touch", `
booking.42.access {"participants":{"u_7":"customer","u_8":"vendor"}}
user.u_8.booking.42 {"role":"vendor","open":true}
user.u_9.booking.42 {"open":false,"revoked":true}
`, publisher.Change{Table: "bookings", Op: publisher.Touch, Old: mine, New: other})
	step("touch that finds the same", ``, publisher.Change{Table: "bookings", Op: publisher.Touch, Old: mine, New: mine})
	step("touch that does not know what was found", `
booking.42.access {"participants":{"u_7":"customer","u_9":"vendor"}}
user.u_7.booking.42 {"role":"customer","open":true}
user.u_9.booking.42 {"role":"vendor","open":true}
`, publisher.Change{Table: "bookings", Op: publisher.Touch, Old: booking, New: mine})
	step("touch of a gone row", ``,
		publisher.Change{Table: "bookings", Op: publisher.Touch, Old: with(mine, "deleted_at", "x"), New: with(other, "deleted_at", "x")})

	t.Run("before the memory", func(t *testing.T) {
		m := newMapper(t, joined())
		expect(t, records(t, m, load("services", with(service, "provider_id", "u_1")), insert("bookings", mine), insert("bookings", booking)), `
booking.42.access {"participants":{"u_7":"customer","u_9":"vendor"}}
user.u_7.booking.42 {"role":"customer","open":true}
user.u_9.booking.42 {"role":"vendor","open":true}
booking.42.access {"participants":{"u_1":"vendor","u_7":"customer"}}
user.u_1.booking.42 {"role":"vendor","open":true}
user.u_7.booking.42 {"role":"customer","open":true}
`)
	})
	t.Run("in events", func(t *testing.T) {
		m := newMapper(t, orders(publisher.Event{
			When: "true", Subject: "order.{shops[shop_id].id}.x",
			Payload: map[string]any{"name": "{shops[shop_id].name}", "city": "{shops[shop_id].meta.city?}"},
			Notify:  []publisher.Notify{{To: "{shops[note].id}", Type: "T", Title: "{shops[shop_id].name}", Message: "m"}},
		}))
		found := with(order, "shops[shop_id].id", "p1", "shops[shop_id].name", "Paws", "shops[shop_id].meta", `{"city":"Ulm"}`, "shops[note].id", "u_1")
		expect(t, lines(t, m, insert("orders", found), remove("orders", with(found, "shops[shop_id].name", nil, "shops[note].id", nil))), `
* order.p1.x {"city":"Ulm","name":"Paws"}
* user.u_1.notification {"type":"T","title":"Paws","message":"m","bookingId":"o1","createdAt":"`+at+`"}
* order.p1.x {"city":"Ulm","name":null}
`)
	})
}
