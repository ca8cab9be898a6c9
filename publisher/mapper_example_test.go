package publisher_test

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/subjects"
)

// A booking is confirmed: one row, one event, no record, because neither
// participants nor openness changed.
func ExampleNewMapper() {
	mapper, err := publisher.NewMapper(publisher.Mapping{
		Terminal: []string{"completed", "cancelled"},
		Tables: map[string]publisher.Table{"bookings": {
			Key:     "id",
			Columns: []string{"id", "customer_id", "vendor_id", "status"},
			Access: &publisher.Access{
				Kind:         "booking",
				Participants: map[string]string{"{customer_id}": "customer", "{vendor_id}": "vendor"},
			},
			Events: []publisher.Event{{
				When:    "inserted() || changed(status)",
				Subject: "booking.{id}.status",
				Payload: map[string]any{"bookingId": "{id}", "status": "{status}"},
			}},
		}},
	}, subjects.Kinds{"booking"}, 16<<10)
	if err != nil {
		fmt.Println(err)
		return
	}
	row := func(status string) publisher.Row {
		text := func(s string) publisher.Value { return publisher.Value{Text: s, Valid: true} }
		return publisher.Row{"id": text("42"), "customer_id": text("u_7"), "vendor_id": text("u_9"), "status": text(status)}
	}
	for _, change := range []publisher.Change{
		{Table: "bookings", Op: publisher.Update, Old: row("pending"), New: row("confirmed")},
		{Table: "bookings", Op: publisher.Update, Old: row("confirmed"), New: row("completed")},
	} {
		messages, err := mapper.Map(publisher.Entry{Time: time.Unix(1795343400, 0), Change: &change})
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, m := range messages {
			fmt.Printf("%s %s\n", m.Subject, m.Data)
		}
	}
	// Output:
	// booking.42.status {"bookingId":"42","status":"confirmed"}
	// booking.42.status {"bookingId":"42","status":"completed"}
	// user.u_7.booking.42 {"role":"customer","open":false,"updated":"2026-11-22T10:30:00Z"}
	// user.u_9.booking.42 {"role":"vendor","open":false,"updated":"2026-11-22T10:30:00Z"}
}

// Complaints name the key and what would be right.
func ExampleNewMapper_complaints() {
	_, err := publisher.NewMapper(publisher.Mapping{
		Tables: map[string]publisher.Table{"bookings": {
			Key:     "id",
			Columns: []string{"id", "user_id", "status"},
			Events: []publisher.Event{{
				When:    "changed(statsu)",
				Subject: "booking.{id}.access",
				Payload: map[string]any{"user": "{userId}"},
			}},
		}},
	}, subjects.Kinds{"booking"}, 16<<10)
	fmt.Println(err)
	// Output:
	// mapping.tables.bookings.events[0].when: unknown column "statsu"; listed in columns are id, user_id, status
	// mapping.tables.bookings.events[0].subject: subject "booking.{id}.access": the type "access" is reserved or no token; use another, such as status
	// mapping.tables.bookings.events[0].payload.user: template "{userId}": unknown column "userId" (did you mean user_id?); listed in columns are id, user_id, status
}

func ExampleMapping_Needs() {
	needs := joined().Needs()
	for _, table := range slices.Sorted(maps.Keys(needs)) {
		fmt.Println(table, needs[table])
	}
	// Output:
	// bookings [deleted_at id service_id status updated_at user_id]
	// notifications [data id message title type user_id]
	// services [id provider_id]
}

func ExampleMapping_Touches() {
	for _, rule := range joined().Touches() {
		fmt.Printf("%+v\n", rule)
	}
	// Output:
	// {Followed:services FollowKey:id Table:bookings Column:service_id}
}

// The services that a booking is looked up in may be joined by the source.
func ExampleMapping_Lookups() {
	for _, lookup := range joined().Lookups()["bookings"] {
		fmt.Println(lookup.Name())
	}
	// Output:
	// services[service_id].provider_id
}

// A log without old rows will do: what was last published tells them.
func ExampleMapping_Former() {
	fmt.Printf("%+v\n", joined().Former()["bookings"])
	// Output:
	// {Updated:[deleted_at service_id status user_id] Recalled:[deleted_at service_id status user_id] Deleted:[]}
}
