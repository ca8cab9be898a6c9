package publisher_test

import (
	"strings"
	"testing"

	"github.com/petpro/fabric/publisher"
)

// All that is wrong is said at once, each under its key.
func TestNewMapperComplains(t *testing.T) {
	mapping := publisher.Mapping{
		Terminal: []string{"done"},
		Follow: map[string]publisher.Follow{
			"shops":  {Columns: []string{"name", "name", "a.b"}},
			"orders": {Key: "number"},
		},
		Tables: map[string]publisher.Table{
			"bare": {},
			"orders": {
				Key:     "nr",
				Columns: []string{"id", "user_id", "id"},
				Times:   []string{"at"},
				Access:  &publisher.Access{Kind: "shop", Gone: "deleted() or status == nil or changed(id)"},
				Events: []publisher.Event{
					{},
					{
						When: "changed(userId) && later()", Subject: "order.{nr}.status",
						Payload: map[string]any{
							"a": "{x} {y}", "b": []any{"c"}, "d": map[string]any{"by": "status"}, "e": map[string]any{"f": "{"},
							"g": map[string]any{"by": 1, "else": "{z}"},
						},
						Notify: []publisher.Notify{{To: "admin", Title: "{x}"}},
					},
				},
			},
			"tickets": {
				Key: "id", Columns: []string{"id"},
				Access: &publisher.Access{Kind: "booking", Participants: map[string]string{"{id}": "", "boss": "boss", "{shop[id].owner}": "o"}},
			},
			"visits": {
				Key: "id", Columns: []string{"id"},
				Access: &publisher.Access{Kind: "booking", Participants: map[string]string{"{id}": "visitor"}},
			},
		},
	}
	want := []string{
		`mapping.follow.orders.key: "number" differs from mapping.tables.orders.key, "nr"; a table has one key`,
		`mapping.follow.shops.key: missing; name the column that lookups go by`,
		`mapping.follow.shops.columns[1]: column "name" is listed twice`,
		`mapping.follow.shops.columns[2]: "a.b" is no column name`,
		`mapping.tables.bare.key: missing; name the primary key column`,
		`mapping.tables.orders.columns[2]: column "id" is listed twice`,
		`mapping.tables.orders.key: unknown column "nr"; listed in columns are id, user_id`,
		`mapping.tables.orders.times[0]: unknown column "at"; listed in columns are id, user_id`,
		`mapping.tables.orders.access.kind: unknown kind "shop"; rooms.kinds has booking, order`,
		`mapping.tables.orders.access.participants: nobody could enter; write for example "{user_id}": customer`,
		`mapping.tables.orders.access.gone: deleted() speaks of a change, but this is judged on the row as it is; use set(column) or a comparison`,
		`mapping.tables.orders.access.gone: unknown column "status"; listed in columns are id, user_id`,
		`mapping.tables.orders.access.gone: changed() speaks of a change, but this is judged on the row as it is; use set(column) or a comparison`,
		`mapping.tables.orders.events[0].when: missing; write for example "inserted() || changed(status)"`,
		`mapping.tables.orders.events[0].subject: missing; write for example booking.{id}.status`,
		`mapping.tables.orders.events[0].payload: missing; write for example { bookingId: "{id}", status: "{status}" }`,
		`mapping.tables.orders.events[1].when: unknown column "userId" (did you mean user_id?); listed in columns are id, user_id`,
		`mapping.tables.orders.events[1].when: unknown function later(); there are inserted(), deleted(), changed(column) and set(column)`,
		`mapping.tables.orders.events[1].subject: subject "order.{nr}.status": template "{nr}": unknown column "nr"; listed in columns are id, user_id`,
		`mapping.tables.orders.events[1].payload.a: template "{x} {y}": unknown column "x"; listed in columns are id, user_id`,
		`mapping.tables.orders.events[1].payload.a: template "{x} {y}": unknown column "y"; listed in columns are id, user_id`,
		`mapping.tables.orders.events[1].payload.b: a list is nothing a payload can hold; write a template, a map, or a choice {by: column, <value>: ..., else: ...}`,
		`mapping.tables.orders.events[1].payload.d.by: unknown column "status"; listed in columns are id, user_id`,
		`mapping.tables.orders.events[1].payload.d: a choice without cases; add one such as confirmed: <text>, or else: <text>`,
		`mapping.tables.orders.events[1].payload.e.f: template "{": '{' is never closed; write "{{" for the sign itself`,
		`mapping.tables.orders.events[1].payload.g.by: must be the name of a column`,
		`mapping.tables.orders.events[1].notify[0].to: template "admin" names no {column}, so it would be the same for every row`,
		`mapping.tables.orders.events[1].notify[0].type: missing`,
		`mapping.tables.orders.events[1].notify[0].title: template "{x}": unknown column "x"; listed in columns are id, user_id`,
		`mapping.tables.orders.events[1].notify[0].message: missing`,
		`mapping.tables.tickets.access.participants["boss"]: template "boss" names no {column}, so it would be the same for every row`,
		`mapping.tables.tickets.access.participants["{id}"]: the role is empty; write for example customer`,
		`mapping.tables.tickets.access.participants["{shop[id].owner}"]: template "{shop[id].owner}": unknown table "shop"; mapping.follow has orders, shops`,
		`mapping.tables.visits.access.kind: kind "booking" is taken by mapping.tables.tickets; a kind's rooms are the rows of one table`,
	}
	_, err := publisher.NewMapper(mapping, kinds, 0)
	if err == nil {
		t.Fatal("NewMapper took it")
	}
	expect(t, err.Error(), strings.Join(want, "\n"))
}

func TestSubjectsOfEvents(t *testing.T) {
	tests := []struct{ subject, says string }{
		{"order.{id}.status", ""},
		{"booking.o-{id}-{shop_id}.created", ""},
		{"order.{data.a.b}.status", ""},
		{"user.{shop_id}.notification", ""},
		{"user.{shop_id}.price", ""},
		{"order.{shops[shop_id].name}.status", ""},
		{"order.{id}", "has 2 tokens"},
		{"order.{data.id}", "has 2 tokens"},
		{"order.{id}.status.late", "has 4 tokens"},
		{"user.{id}.booking.{id}", "has 4 tokens"},
		{"order.{id}.access", `the type "access" is reserved`},
		{"order.{id}.control", `the type "control" is reserved`},
		{"user.{id}.control", `the type "control" is reserved`},
		{"order.{id}.booking", `the type "booking" is reserved`},
		{"user.{id}.order", `the type "order" is reserved`},
		{"order.{id}.", "is reserved or no token"},
		{"order.{id}.*", "is reserved or no token"},
		{"order.{id}.{status}", "must be fixed"},
		{"order.{id}.a b", "is reserved or no token"},
		{"invoice.{id}.status", `unknown kind "invoice"; there are booking, order and user`},
		{"{id}.{id}.status", "unknown kind"},
		{"fabric.{id}.status", "unknown kind"},
		{"ingest.{id}.status", "unknown kind"},
		{"order.id.status", "names no {column}"},
		{"order..status", "names no {column}"},
		{"order.{id?}.status", "can leave nothing out"},
		{"order.{id}*.status", "has a meaning in NATS"},
		{"order.a {id}.status", "without blanks"},
	}
	for _, tt := range tests {
		_, err := publisher.NewMapper(orders(publisher.Event{When: "true", Subject: tt.subject, Payload: map[string]any{"a": "b"}}), kinds, 0)
		switch {
		case tt.says == "" && err != nil:
			t.Errorf("subject %q: %v", tt.subject, err)
		case tt.says != "" && (err == nil || !strings.HasPrefix(err.Error(), "mapping.tables.orders.events[0].subject: ") || !strings.Contains(err.Error(), tt.says)):
			t.Errorf("subject %q: %v, want it to say %q", tt.subject, err, tt.says)
		}
	}
}

func TestRelations(t *testing.T) {
	named := func(table, follow string) publisher.Mapping {
		m := joined()
		b, s := m.Tables["bookings"], m.Follow["services"]
		b.From, s.From = table, follow
		m.Tables["bookings"], m.Follow["services"] = b, s
		return m
	}
	both := func(table, follow string) publisher.Mapping {
		m := named(table, "")
		m.Follow["bookings"] = publisher.Follow{From: follow, Key: "id", Columns: []string{"user_id"}}
		return m
	}
	tests := []struct {
		name    string
		mapping publisher.Mapping
		says    string
	}{
		{"other names", named("sales.bookings", "Catalog Services"), `mapping.follow.services.from: "Catalog Services" names no table`},
		{"schemas", named("sales.bookings", "catalog.bookings"), ""},
		{"names of each other", named("services", "bookings"), ""},
		{"three parts", named("db.sales.bookings", ""), `mapping.tables.bookings.from: "db.sales.bookings" names no table; write table or schema.table`},
		{"no schema", named(".bookings", ""), `mapping.tables.bookings.from: ".bookings" names no table`},
		{"no table", named("sales.", ""), `mapping.tables.bookings.from: "sales." names no table`},
		{"braces", named("{bookings}", ""), `mapping.tables.bookings.from: "{bookings}" names no table`},
		{"one place twice", named("x.t", "x.t"), `mapping.tables.bookings.from: "x.t" is mapped as services already`},
		{"the name of another", named("notifications", ""), `mapping.tables.notifications.from: "notifications" is mapped as bookings already`},
		{"followed by that name", named("services", ""), `mapping.tables.bookings.from: "services" is mapped as services already`},
		{"mapped and followed", both("x.b", "x.b"), ""},
		{"mapped and followed, said once", both("", "x.b"), ""},
		{"mapped and followed in two places", both("x.b", "y.b"), `mapping.follow.bookings.from: "y.b" differs from mapping.tables.bookings.from, "x.b"`},
	}
	for _, tt := range tests {
		_, err := publisher.NewMapper(tt.mapping, kinds, 0)
		switch {
		case tt.says == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.says != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.says)):
			t.Errorf("%s: %v, want it to say %q", tt.name, err, tt.says)
		}
	}
	// A table is known by its name in the mapping wherever it is.
	m := named("sales.bookings", "catalog.services")
	if got, want := newMapper(t, m).Hash(), newMapper(t, joined()).Hash(); got != want {
		t.Errorf("Hash() = %q, want that of the same mapping without From, %q", got, want)
	}
	if needs := m.Needs(); needs["bookings"] == nil || needs["services"] == nil || len(needs) != 3 {
		t.Errorf("Needs() = %v, want the names of the mapping", needs)
	}
}

func TestHash(t *testing.T) {
	hash := newMapper(t, joined()).Hash()
	if len(hash) != 8 || strings.Trim(hash, "0123456789abcdef") != "" {
		t.Errorf("Hash() = %q, want 8 hexadecimal digits", hash)
	}
	// Positions in existing streams hold it: it must not change by accident.
	if want := "1d398a8f"; hash != want {
		t.Errorf("Hash() = %q, want %q", hash, want)
	}
	changed := joined()
	changed.Tables["bookings"].Events[0].Notify[0].Title = "Booking changed"
	if newMapper(t, changed).Hash() == hash {
		t.Error("another mapping has the same hash")
	}
	changed.Tables["bookings"].Events[0].Notify[0].Title = "Booking updated"
	if again := newMapper(t, changed).Hash(); again != hash {
		t.Errorf("the same mapping has hash %q, then %q", hash, again)
	}
}
