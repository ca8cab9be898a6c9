package subjects_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/petpro/fabric/subjects"
)

func TestRoom(t *testing.T) {
	r, err := kinds.Room("booking.42")
	if err != nil || r.Kind() != "booking" || r.ID() != "42" || r.Subject("status") != "booking.42.status" || r.Pattern() != "booking.42.*" {
		t.Errorf("Room(booking.42) = %q (%q, %q), %v", r, r.Kind(), r.ID(), err)
	}
	if u, err := kinds.Room("user.u_7"); err != nil || u != subjects.UserRoom("u_7") {
		t.Errorf("Room(user.u_7) = %q, %v", u, err)
	}
	for _, tt := range []struct{ room, why string }{
		{"", "a room is <kind>.<id>"},
		{"booking", "a room is <kind>.<id>"},
		{"booking.", "id: not a valid id: it is empty"},
		{".42", "kind: not a valid id: it is empty"},
		{"booking.4.2", "id: "},
		{"booking.*", "id: "},
		{"fabric.epoch", `unknown kind "fabric"`},
		{"shop.42", `unknown kind "shop", this fabric has [booking order]`},
		{"user.jane@example.com", "use the account id instead"},
	} {
		if r, err := kinds.Room(tt.room); !errors.Is(err, subjects.ErrID) || r != "" || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("Room(%q) = %q, %v, want an error with %q", tt.room, r, err, tt.why)
		}
	}
}

func TestKindsCheck(t *testing.T) {
	for _, tt := range []struct {
		kinds subjects.Kinds
		why   string // empty: good
	}{
		{subjects.Kinds{"booking"}, ""},
		{subjects.Kinds{"booking", "order", "pet-visit"}, ""},
		{nil, "at least one kind"},
		{subjects.Kinds{"user"}, `kind "user" is reserved`},
		{subjects.Kinds{"booking", "fabric"}, `kind "fabric" is reserved`},
		{subjects.Kinds{"ingest"}, `kind "ingest" is reserved`},
		{subjects.Kinds{"a", "a"}, `kind "a" is named twice`},
		{subjects.Kinds{"a.b"}, "not a valid id"},
		{subjects.Kinds{"$JS"}, "belong to NATS"},
		{subjects.Kinds{"_INBOX"}, "belong to NATS"},
		{subjects.Kinds{""}, "it is empty"},
	} {
		err := tt.kinds.Check()
		if (err == nil) != (tt.why == "") || err != nil && !strings.Contains(err.Error(), tt.why) {
			t.Errorf("Check(%q) = %v, want %q", tt.kinds, err, tt.why)
		}
	}
	if got, want := kinds.Streamed(), []string{"booking.>", "order.>", "user.>", "fabric.>"}; !slices.Equal(got, want) {
		t.Errorf("Streamed = %q, want %q", got, want)
	}
}
