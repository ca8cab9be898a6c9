package publisher_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/petpro/fabric/publisher"
)

// payloadOf maps an insert into orders and decodes its one message.
func payloadOf(t testing.TB, m *publisher.TableMapper, row publisher.Row) map[string]any {
	t.Helper()
	messages, err := m.Map(entry(insert("orders", row)))
	if err != nil {
		t.Fatal(err)
	}
	var payload map[string]any
	if err := json.Unmarshal(messages[0].Data, &payload); err != nil {
		t.Fatalf("payload %q: %v", messages[0].Data, err)
	}
	return payload
}

func TestTemplatesRefused(t *testing.T) {
	tests := []struct{ template, says string }{
		{"{", "'{' is never closed"},
		{"{id", "'{' is never closed"},
		{"id}", "'}' without '{'"},
		{"{}", `"" is no name`},
		{"{?}", `"" is no name`},
		{"{ id }", `" id " is no name`},
		{"{id.}", `"" is no name`},
		{"{.id}", `"" is no name`},
		{"{a{b}", `"a{b" is no name`},
		{"{id??}", `"id?" is no name`},
		{"{shops[shop_id]}", "a lookup is {table[column].column}"},
		{"{shops[].name}", "a lookup is {table[column].column}"},
		{"{[shop_id].name}", "a lookup is {table[column].column}"},
		{"{nmae}", `unknown column "nmae"; listed in columns are id, status, total`},
		{"{shops[shop].name}", `unknown column "shop"`},
		{"{shops[shop_id].nmae}", `unknown column "nmae" of shops; mapping.follow.shops lists id, name, meta`},
		{"{shop[shop_id].name}", `unknown table "shop"; mapping.follow has shops`},
		{"a\xff", "is not UTF-8"},
	}
	for _, tt := range tests {
		_, err := publisher.NewMapper(orders(publisher.Event{When: "true", Subject: "order.{id}.x", Payload: map[string]any{"a": tt.template}}), kinds, 0)
		if err == nil || !strings.HasPrefix(err.Error(), "mapping.tables.orders.events[0].payload.a: template ") || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("template %q: %v, want it to say %q", tt.template, err, tt.says)
		}
	}
}

// FuzzTemplate: an error, or a JSON object, the same twice.
func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{"{id}", "a {status} b {note?}", "{{}}", "{data.a.b?}", "{shops[shop_id].name}", "{data.a.", "}", "{\x00}"} {
		f.Add(seed, "value")
	}
	f.Add("{note} {data.x}", "{\"x\": \"\\ud800\"}")
	f.Fuzz(func(t *testing.T, template, value string) {
		m, err := publisher.NewMapper(orders(publisher.Event{When: "true", Subject: "order.{id}.x", Payload: map[string]any{"a": template, "note": "{note}"}}), kinds, 0)
		if err != nil {
			return
		}
		row := with(order, "note", value, "data", value)
		payload := payloadOf(t, m, row)
		if want := strings.ToValidUTF8(value, "\ufffd"); utf8.ValidString(value) && payload["note"] != want {
			t.Errorf("column %q came out as %q", value, payload["note"])
		}
		if first, again := lines(t, m, insert("orders", row)), lines(t, m, insert("orders", row)); first != again {
			t.Errorf("template %q gives %q, then %q", template, first, again)
		}
	})
}
