package publisher_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/subjects"
)

func TestMapRefuses(t *testing.T) {
	long := strings.Repeat("x", 300)
	notification := r("id", "n1", "user_id", nil, "type", "T", "title", "t", "message", "m", "data", nil)
	tests := []struct {
		name   string
		change publisher.Change
		column string
		is     error
		says   string
	}{
		{"key with a dot", insert("bookings", with(booking, "id", "4.2")), "id", subjects.ErrID, "has a meaning in NATS"},
		{"key with a wildcard", insert("bookings", with(booking, "id", "4>")), "id", subjects.ErrID, "has a meaning in NATS"},
		{"key with a blank", insert("bookings", with(booking, "id", "4 2")), "id", subjects.ErrID, "without blanks"},
		{"empty key", insert("bookings", with(booking, "id", "")), "id", subjects.ErrID, "empty"},
		{"key of 300 bytes", insert("bookings", with(booking, "id", long)), "id", subjects.ErrID, "at most 128"},
		{"NULL key", insert("bookings", with(booking, "id", nil)), "id", publisher.ErrNullSubject, "names the room"},
		{"key not given", insert("bookings", without(booking, "id")), "id", publisher.ErrNoValue, "former mapping"},
		{"e-mail as participant", insert("bookings", with(booking, "user_id", "a@b.c")), "{user_id}", subjects.ErrID, "account id"},
		{"empty participant", insert("bookings", with(booking, "user_id", "")), "{user_id}", subjects.ErrID, "account id"},
		{"participant not given", insert("bookings", without(booking, "user_id")), "user_id", publisher.ErrNoValue, "user_id"},
		{"payload column not given", insert("bookings", without(booking, "updated_at")), "updated_at", publisher.ErrNoValue, "updated_at"},
		{"NULL in a subject", insert("notifications", notification), "{user_id}", publisher.ErrNullSubject, "set(column)"},
		{"bad id in a subject", insert("notifications", with(notification, "user_id", "*")), "{user_id}", subjects.ErrID, "holds an id"},
		{"payload too large", insert("notifications", with(notification, "user_id", "u", "message", strings.Repeat("m", 20<<10))), "",
			publisher.ErrTooLarge, "user.u.notification has 20517 bytes, publisher.max_payload is 16384"},
		{"no row", insert("bookings", nil), "", publisher.ErrChange, "without its row"},
		{"no operation", publisher.Change{Table: "bookings", New: booking}, "", publisher.ErrChange, "operation 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMapper(t, joined())
			messages, err := m.Map(entry(tt.change))
			if messages != nil {
				t.Errorf("Map gave %d messages beside its error", len(messages))
			}
			e, ok := errors.AsType[*publisher.MapError](err)
			if !ok {
				t.Fatalf("Map = %v, want a *MapError", err)
			}
			if e.Table != tt.change.Table || e.Column != tt.column || !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Map = %v (table %q, column %q), want column %q, %v, saying %q", err, e.Table, e.Column, tt.column, tt.is, tt.says)
			}
			if len(err.Error()) > 600 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
			if again, err2 := m.Map(entry(tt.change)); again != nil || err2 == nil || err2.Error() != err.Error() {
				t.Errorf("again: %v, %v", again, err2)
			}
		})
	}
}

func TestMapErrorText(t *testing.T) {
	m := newMapper(t, joined())
	_, err := m.Map(entry(insert("bookings", with(booking, "user_id", "a@b.c"))))
	const want = `map bookings "42", {user_id}: not a valid id: "a@b.c" holds a '.'; it looks like an e-mail address, use the account id instead; ` +
		`a participant is named by one account id such as u_7: map the column that holds it`
	if err == nil || err.Error() != want {
		t.Errorf("Map =\n%v, want\n%s", err, want)
	}
}
