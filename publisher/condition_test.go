package publisher_test

import (
	"strings"
	"testing"

	"github.com/petpro/fabric/publisher"
)

// whether reports whether an event with that condition is made of a change.
func whether(t testing.TB, when string, c publisher.Change) bool {
	t.Helper()
	m := newMapper(t, orders(publisher.Event{When: when, Subject: "order.{id}.checked", Payload: map[string]any{"id": "{id}"}}))
	return lines(t, m, c) != ""
}

func TestConditionsOnChanges(t *testing.T) {
	noted := with(order, "note", "hi")
	dirty := with(order)
	dirty["note"] = publisher.Value{Text: "whatever"} // NULL all the same
	made, kept, gone := insert("orders", order), update("orders", order, order), remove("orders", order)
	paid := update("orders", order, with(order, "status", "paid"))
	tests := []struct {
		when   string
		change publisher.Change
		want   bool
	}{
		{"inserted()", made, true},
		{"inserted()", kept, false},
		{"inserted()", gone, false},
		{"deleted()", gone, true},
		{"deleted()", kept, false},
		{"changed(status)", paid, true},
		{"changed(status)", kept, false},
		{"changed(status)", made, false},
		{"changed(status)", gone, false},
		{"changed(note)", update("orders", order, noted), true},
		{"changed(note)", update("orders", noted, order), true},
		{"changed(note)", update("orders", with(order, "note", ""), order), true},
		{"changed(status)", update("orders", without(order, "status"), order), true},
		{"changed(status)", update("orders", without(order, "status"), without(order, "status")), false},
		{"changed(status)", update("orders", order, without(order, "status")), false},
		{"changed(status)", update("orders", nil, order), true},
		{"changed(note)", update("orders", dirty, order), false},
		{"set(note)", made, false},
		{"set(note)", update("orders", order, noted), true},
		{"set(note)", update("orders", noted, noted), true},
		{"set(note)", update("orders", noted, order), false},
		{"set(note)", remove("orders", noted), true},
		{"inserted() || changed(status)", paid, true},
		{"inserted() or changed(status)", kept, false},
		{"changed(status) && status == 'paid'", paid, true},
		{"changed(status) and not (status == 'paid')", paid, false},
		{"!inserted()", paid, true},
		{"true", kept, true},
		{"false or inserted()", kept, false},
	}
	for _, tt := range tests {
		if got := whether(t, tt.when, tt.change); got != tt.want {
			t.Errorf("%s of op %d = %v, want %v", tt.when, tt.change.Op, got, tt.want)
		}
	}
}

func TestConditionsOnValues(t *testing.T) {
	// status new, total 10, paid 0, note NULL
	tests := []struct {
		when string
		row  publisher.Row
		want bool
	}{
		{`status == "new"`, order, true},
		{`"new" == status`, order, true},
		{`status != "new"`, order, false},
		{`status < "old"`, order, true},
		{`"old" > status`, order, true},
		{`"old" < status`, order, false},
		{`status in ["new", "old"]`, order, true},
		{`status in ["old"]`, order, false},
		{`status not in ["old"]`, order, true},
		{`status in []`, order, false},
		{`total in [9, 10]`, order, true},
		// Numbers in text.
		{`total == 10`, order, true},
		{`total == 10.0`, order, true},
		{`total == "10.0"`, order, false},
		{`total > 9`, order, true},
		{`total > "9"`, order, false},
		{`9 < total`, order, true},
		{`total >= 10 and total <= 10`, order, true},
		{`total < 10`, order, false},
		{`total > -1`, order, true},
		{`total > -1.5`, order, true},
		{`total == 10`, with(order, "total", "10.00"), true},
		{`total == 9007199254740993`, with(order, "total", "9007199254740993"), true},
		{`total == 9007199254740992`, with(order, "total", "9007199254740993"), false},
		{`total == 1`, with(order, "total", "one"), false},
		{`total != 1`, with(order, "total", "one"), true},
		{`total < 1 or total >= 1`, with(order, "total", "one"), false},
		{`total > 0`, with(order, "total", "Inf"), false},
		{`total == 16`, with(order, "total", "0x10"), false},
		// NULL.
		{`note == nil`, order, true},
		{`note != nil`, order, false},
		{`nil == note`, order, true},
		{`total == nil`, order, false},
		{`note == "x"`, order, false},
		{`note != "x"`, order, true},
		{`note < "x" or note >= "x"`, order, false},
		{`note < 1 or note >= 1`, order, false},
		{`note != 1`, order, true},
		{`note == ""`, order, false},
		{`note == ""`, with(order, "note", ""), true},
		// Booleans as SQLite and Postgres write them.
		{`paid == false`, order, true},
		{`paid == true`, order, false},
		{`paid != true`, order, true},
		{`paid == true`, with(order, "paid", "t"), true},
		{`paid == true`, with(order, "paid", "1"), true},
		{`paid == true`, with(order, "paid", "true"), true},
		{`paid == true`, with(order, "paid", "false"), false},
		{`paid == false`, with(order, "paid", "f"), true},
		{`paid == false`, with(order, "paid", "false"), true},
		{`paid != false`, with(order, "paid", "true"), true},
		{`paid != false`, with(order, "paid", nil), true},
		{`true == paid`, with(order, "paid", "t"), true},
		{`paid in [true]`, with(order, "paid", "true"), true},
		{`paid in [true, nil]`, with(order, "paid", "f"), false},
		{`not (paid == true)`, with(order, "paid", "f"), true},
		{`paid == "true"`, with(order, "paid", "t"), false},
		{`paid == true or paid == false`, with(order, "paid", "maybe"), false},
		{`paid == true or paid == false`, with(order, "paid", nil), false},
		// Two columns.
		{`status == shop_id`, order, false},
		{`status == shop_id`, with(order, "shop_id", "new"), true},
		{`note == note`, order, true},
		{`note <= note`, order, false},
		{`note == status`, order, false},
		{`note != status`, order, true},
		{`note < status or note > status`, order, false},
		{`total > paid`, with(order, "paid", "9"), true},
		{`total == paid`, with(order, "paid", "10.0"), true},
		{`total > paid`, with(order, "paid", "nine"), false},
	}
	for _, tt := range tests {
		if got := whether(t, tt.when, insert("orders", tt.row)); got != tt.want {
			t.Errorf("%s = %v, want %v", tt.when, got, tt.want)
		}
	}
}

func TestConditionsRefused(t *testing.T) {
	tests := []struct{ when, says string }{
		{"", "missing"},
		{"changed(", "of \"changed(\""},
		{"changed(statsu)", `unknown column "statsu"; listed in columns are id, status`},
		{"statsu == 'x'", `unknown column "statsu"`},
		{"status == statsu", `unknown column "statsu"`},
		{"set(statsu) or changed(other)", `unknown column "other"`},
		{"updated()", "unknown function updated()"},
		{"len(status) > 3", "len() > a number: one side of a comparison must be a column"},
		{"now()", "unknown function now()"},
		{"any([1], true)", "unknown function any()"},
		{"changed()", "takes one column"},
		{"changed(status, total)", "takes one column"},
		{"changed('status')", "takes a bare column name"},
		{"inserted(status)", "takes no argument"},
		{"status", "column status is no condition by itself"},
		{"staatus", "unknown column"},
		{"status and inserted()", "column status is no condition by itself"},
		{"5", "a number is no condition"},
		{"'x'", `the text "x" is no condition`},
		{"nil", "nil is no condition"},
		{"1 == 1", "one side of a comparison must be a column"},
		{"inserted() == true", "one side of a comparison must be a column"},
		{"status < nil", "nil is neither less nor greater"},
		{"paid > true", "true or false is neither less nor greater"},
		{"total + 1", `operator "+" is not known here`},
		{"-total", `operator "-" gives no true or false`},
		{"total + 1 > 3", "one side"},
		{"total > 3 + 1", "cannot be compared"},
		{"status matches '^n'", `operator "matches" is not known here`},
		{"status in total", "in wants a list"},
		{"status in [shop_id, [1]]", "cannot be compared"},
		{"inserted() ? true : false", "a choice (?:) is no condition"},
		{"data.a == 1", "one side"},
		{"inserted", `unknown column "inserted"`},
		{"let x = 1; true", "is no condition"},
		{"inserted(); true", "is no condition"},
		{strings.Repeat("(", 5000), "at most 4096"},
	}
	for _, tt := range tests {
		_, err := publisher.NewMapper(orders(publisher.Event{When: tt.when, Subject: "order.{id}.x", Payload: map[string]any{"a": "b"}}), kinds, 0)
		if err == nil || !strings.HasPrefix(err.Error(), "mapping.tables.orders.events[0].when: ") || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("when %q: %v, want it to say %q", tt.when, err, tt.says)
		}
	}
}

// Columns may be called what expr-lang calls its own functions.
func TestConditionsOnColumnsNamedLikeFunctions(t *testing.T) {
	columns := []string{"id", "count", "type", "date", "len", "map", "filter", "first", "now", "inserted"}
	for _, name := range columns {
		for _, when := range []string{"set(" + name + ")", name + " == '1'", "changed(" + name + ") or " + name + " in ['1']"} {
			_, err := publisher.NewMapper(publisher.Mapping{Tables: map[string]publisher.Table{"orders": {
				Key: "id", Columns: columns,
				Events: []publisher.Event{{When: when, Subject: "order.{id}.x", Payload: map[string]any{"a": "b"}}},
			}}}, kinds, 0)
			if err != nil {
				t.Errorf("%s: %v", when, err)
			}
		}
	}
}

// FuzzCondition: an error, or the same answer twice.
func FuzzCondition(f *testing.F) {
	for _, seed := range []string{
		"inserted() || changed(status)", `status in ["a"] and not set(note)`, "total >= -1.5e3", "nil != note", "#", "map([1], #)", "status?.x ?? 1",
		"let a = 1; a", "`", "inserted()()", "{a: 1}", "total > 0x_1", "1 < total < 3", "not not true", "status | trim()", "$env.status",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, when string) {
		mapping := orders(publisher.Event{When: when, Subject: "order.{id}.x", Payload: map[string]any{"a": "{id}"}})
		m, err := publisher.NewMapper(mapping, kinds, 0)
		if err != nil {
			return
		}
		for _, c := range []publisher.Change{insert("orders", order), update("orders", order, with(order, "status", nil)), remove("orders", order)} {
			if first, again := lines(t, m, c), lines(t, m, c); first != again {
				t.Errorf("when %q gives %q, then %q", when, first, again)
			}
		}
	})
}
