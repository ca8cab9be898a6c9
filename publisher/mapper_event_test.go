package publisher_test

import (
	"testing"

	"github.com/petpro/fabric/publisher"
)

// orders is a mapping of one table that the tests give events.
func orders(events ...publisher.Event) publisher.Mapping {
	return publisher.Mapping{
		Follow: map[string]publisher.Follow{"shops": {Key: "id", Columns: []string{"name", "meta"}}},
		Tables: map[string]publisher.Table{"orders": {
			Key:     "id",
			Columns: []string{"id", "status", "total", "paid", "note", "shop_id", "data", "at"},
			Times:   []string{"at"},
			Events:  events,
		}},
	}
}

var order = r("id", "o1", "status", "new", "total", "10", "paid", "0", "note", nil, "shop_id", "p1",
	"data", `{"a":{"b":"deep","n":1.50,"t":true,"z":null,"l":[1, 2],"dot.ted":1},"s":"text"}`, "at", "2026-11-22 10:30")

func TestEventOrder(t *testing.T) {
	payload := map[string]any{"id": "{id}"}
	m := newMapper(t, orders(
		publisher.Event{When: "inserted()", Subject: "order.{id}.created", Payload: payload,
			Notify: []publisher.Notify{{To: "{shop_id}", Type: "A", Title: "{note}", Message: "{note?}"}, {To: "{note}", Type: "B", Title: "b", Message: "b"}}},
		publisher.Event{When: "inserted() || changed(status)", Subject: "order.{id}.status", Payload: payload,
			Notify: []publisher.Notify{{To: "u-{id}", Type: "C", Title: "{status}", Message: "{id}: {status}"}}},
		publisher.Event{When: "deleted()", Subject: "order.{id}.removed", Payload: map[string]any{"was": "{status}"}},
		publisher.Event{When: "changed(total)", Subject: "user.{shop_id}.price", Payload: map[string]any{"total": "{total}"}},
		publisher.Event{When: "changed(total)", Subject: "order.{id}.status", Payload: map[string]any{"total": "{total}"}},
		publisher.Event{When: "total == 7", Subject: "order.{id}.seven", Payload: payload},
	))
	expect(t, lines(t, m,
		insert("orders", order),
		update("orders", order, with(order, "total", "12", "status", "paid")),
		remove("orders", order),
		snapshot("orders", order),
		touch("orders", with(order, "total", "7"), "shops", "p1", nil),
	), `
* order.o1.status {"id":"o1"}
* order.o1.created {"id":"o1"}
* user.u-o1.notification {"type":"C","title":"new","message":"o1: new","bookingId":"o1","createdAt":"`+at+`"}
* user.p1.notification {"type":"A","title":null,"bookingId":"o1","createdAt":"`+at+`"}
* order.o1.status {"id":"o1"}
* order.o1.status {"total":"12"}
* user.p1.price {"total":"12"}
* user.u-o1.notification {"type":"C","title":"paid","message":"o1: paid","bookingId":"o1","createdAt":"`+at+`"}
* order.o1.removed {"was":"new"}
* order.o1.status {"id":"o1"}
* order.o1.status {"total":"10"}
`)
}

// A snapshot tells the states that an insert or an update of all columns would.
func TestEventsOfSnapshot(t *testing.T) {
	payload := map[string]any{"id": "{id}"}
	tests := []struct {
		when string
		want bool
	}{
		{"inserted()", true},
		{"changed(status)", true},
		{"changed(status) && !inserted()", true},
		{"status == 'new'", true},
		{"changed(status) and status == 'paid'", false},
		{"deleted()", false},
		{"set(note)", false},
	}
	for _, tt := range tests {
		m := newMapper(t, orders(publisher.Event{When: tt.when, Subject: "order.{id}.status", Payload: payload}))
		if got := lines(t, m, snapshot("orders", order)) != ""; got != tt.want {
			t.Errorf("snapshot with when %q: published %v, want %v", tt.when, got, tt.want)
		}
	}
}

func TestPayload(t *testing.T) {
	choice := map[string]any{"by": "status", "inserted": "made", "paid": "Paid {total}", "shipped": map[string]any{"to": "{note}"}, "else": "is {status}"}
	tests := []struct {
		name    string
		payload map[string]any
		row     publisher.Row
		want    string
	}{
		{"string whatever the column", map[string]any{"x": "{total}"}, order, `{"x":"10"}`},
		{"NULL alone", map[string]any{"x": "{note}"}, order, `{"x":null}`},
		{"NULL beside text", map[string]any{"x": "Note: {note}."}, order, `{"x":"Note: ."}`},
		{"NULL left out", map[string]any{"a": "{note?}", "b": "{id}", "c": "Note: {note?}"}, order, `{"b":"o1"}`},
		{"all left out", map[string]any{"a": "{note?}"}, order, `{}`},
		{"concatenated", map[string]any{"x": "{id}/{status}:{total}"}, order, `{"x":"o1/new:10"}`},
		{"braces", map[string]any{"x": "{{{id}}} {{}}"}, order, `{"x":"{o1} {}"}`},
		{"empty template", map[string]any{"x": ""}, order, `{"x":""}`},
		{"escaped literal and key", map[string]any{`k"`: "a\"b\\\n\x01\u2028é"}, order, `{"k\"":"a\"b\\\n\u0001` + "\u2028é" + `"}`},
		{"bytes that are no UTF-8", map[string]any{"x": "{note}"}, with(order, "note", "a\xffb\xc3"), `{"x":"a\ufffdb\ufffd"}`},
		{"path", map[string]any{"x": "{data.s}", "y": "{data.a.b}"}, order, `{"x":"text","y":"deep"}`},
		{"path to number, boolean, list, object", map[string]any{"b": "{data.a.t}", "l": "{data.a.l}", "n": "{data.a.n}", "o": "{data.a}"}, order,
			`{"b":"true","l":"[1,2]","n":"1.50","o":"{\"b\":\"deep\",\"n\":1.50,\"t\":true,\"z\":null,\"l\":[1,2],\"dot.ted\":1}"}`},
		{"path that is not there", map[string]any{"a": "{data.x}", "b": "{data.a.z}", "c": "{data.s.x}", "d": "{data.a.l.x}"}, order, `{"a":null,"b":null,"c":null,"d":null}`},
		{"path that is not there, left out", map[string]any{"a": "{data.x?}", "b": "{data.a.z?}", "c": "{data.s.x?}", "d": "{data.s?}"}, order, `{"d":"text"}`},
		{"path into NULL", map[string]any{"a": "{data.s?}", "b": "{data.s}"}, with(order, "data", nil), `{"b":null}`},
		{"path into no JSON", map[string]any{"a": "{data.s?}", "b": "{data.s}"}, with(order, "data", "{broken"), `{"b":null}`},
		{"lookup", map[string]any{"x": "{shops[shop_id].name}", "y": "{shops[shop_id].meta.city}", "k": "{shops[shop_id].id}"}, order, `{"k":"p1","x":"Paws","y":"Ulm"}`},
		{"lookup of nothing", map[string]any{"x": "{shops[shop_id].name}", "y": "{shops[note].name?}"}, with(order, "shop_id", "p9"), `{"x":null}`},
		{"nested", map[string]any{"o": map[string]any{"id": "{id}", "in": map[string]any{"n": "{note?}"}}}, order, `{"o":{"id":"o1","in":{}}}`},
		{"constants", map[string]any{"a": true, "b": 7, "c": 1.5, "d": nil}, order, `{"a":true,"b":7,"c":1.5,"d":null}`},
		{"time", map[string]any{"x": "{at}", "y": "at {at}"}, order, `{"x":"2026-11-22T10:30:00Z","y":"at 2026-11-22T10:30:00Z"}`},
		{"booleans as the source writes them", map[string]any{"x": "{paid}", "y": "{status}", "c": map[string]any{"by": "paid", "true": "yes", "else": "no"}},
			with(order, "paid", "true", "status", "f"), `{"c":"yes","x":"true","y":"f"}`},
		{"key named by at the top", map[string]any{"by": "{id}"}, order, `{"by":"o1"}`},
		{"choice else", map[string]any{"x": choice}, order, `{"x":"is new"}`},
		{"choice of a value", map[string]any{"x": choice}, with(order, "status", "paid"), `{"x":"Paid 10"}`},
		{"choice of a map", map[string]any{"x": choice}, with(order, "status", "shipped"), `{"x":{"to":null}}`},
		{"choice by NULL", map[string]any{"x": choice}, with(order, "status", nil), `{"x":"is "}`},
		{"choice by a value with a meaning of its own", map[string]any{"x": choice}, with(order, "status", "inserted"), `{"x":"is inserted"}`},
		{"choice without else", map[string]any{"x": map[string]any{"by": "status", "paid": "yes"}, "y": "{id}"}, order, `{"y":"o1"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMapper(t, orders(publisher.Event{When: "true", Subject: "order.{id}.status", Payload: tt.payload}))
			lines(t, m, load("shops", r("id", "p1", "name", "Paws", "meta", `{"city":"Ulm"}`)))
			expect(t, lines(t, m, update("orders", order, tt.row)), "* order.o1.status "+tt.want+"\n")
		})
	}
	t.Run("choice of an insert", func(t *testing.T) {
		m := newMapper(t, orders(publisher.Event{When: "true", Subject: "order.{id}.status", Payload: map[string]any{"x": choice}}))
		expect(t, lines(t, m, insert("orders", order), snapshot("orders", order)),
			"* order.o1.status {\"x\":\"made\"}\n* order.o1.status {\"x\":\"is new\"}\n")
	})
}
