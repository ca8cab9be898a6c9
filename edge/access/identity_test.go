package access_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/petpro/fabric/edge/access"
)

func TestCovers(t *testing.T) {
	policy := access.Policy{AdminRoles: []string{"admin", "support"}}
	plain := access.Identity{User: "u_7", Roles: []string{"customer"}}
	tests := []struct {
		name string
		id   access.Identity
		room string
		want bool
	}{
		{"own room", plain, "user.u_7", true},
		{"another's room", plain, "user.u_9", false},
		{"a longer name", plain, "user.u_77", false},
		{"a shorter name", plain, "user.u_", false},
		{"any booking", plain, "booking.42", false},
		{"claimed room", access.Identity{User: "u_7", Rooms: []string{"booking.42"}}, "booking.42", true},
		{"claimed room, a longer id", access.Identity{User: "u_7", Rooms: []string{"booking.42"}}, "booking.421", false},
		{"claimed kind", access.Identity{User: "u_7", Rooms: []string{"booking.*"}}, "booking.42", true},
		{"claimed kind, another", access.Identity{User: "u_7", Rooms: []string{"booking.*"}}, "order.42", false},
		{"claimed kind, a longer one", access.Identity{User: "u_7", Rooms: []string{"book.*"}}, "booking.42", false},
		{"a bare star claims nothing", access.Identity{User: "u_7", Rooms: []string{"*", ".*", ""}}, "booking.42", false},
		{"claims never open a user's room", access.Identity{User: "u_7", Rooms: []string{"user.*", "user.u_9"}}, "user.u_9", false},
		{"admin role", access.Identity{User: "u_1", Roles: []string{"x", "support"}}, "booking.42", true},
		{"admin role never opens a user's room", access.Identity{User: "u_1", Roles: []string{"admin"}}, "user.u_9", false},
		{"role in capitals is another role", access.Identity{User: "u_1", Roles: []string{"Admin"}}, "booking.42", false},
		{"nobody", access.Identity{}, "booking.42", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := policy.Covers(tt.id, tt.room); got != tt.want {
				t.Errorf("Covers(%+v, %q) = %t, want %t", tt.id, tt.room, got, tt.want)
			}
		})
	}
}

// Without a policy no role is worth anything, not even an empty one.
func TestNoPolicy(t *testing.T) {
	for _, roles := range [][]string{nil, {""}, {"admin"}} {
		if id := (access.Identity{User: "u_1", Roles: roles}); (access.Policy{}).Admin(id) {
			t.Errorf("Admin(%q) = true without admin roles", roles)
		}
	}
}

func TestLoggedOut(t *testing.T) {
	at := time.Unix(1_000_000, 0)
	tests := []struct {
		name      string
		issued    time.Time
		notBefore int64
		want      bool
	}{
		{"never logged out", at, 0, false},
		{"never logged out, no iat", time.Time{}, 0, false},
		{"issued before", at, at.Unix() + 1, true},
		{"issued in the same second", at.Add(999 * time.Millisecond), at.Unix(), false},
		{"issued after", at, at.Unix() - 1, false},
		{"no iat", time.Time{}, 1, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := (access.Identity{IssuedAt: tt.issued}).LoggedOut(tt.notBefore); got != tt.want {
				t.Errorf("LoggedOut(%d) of a token issued at %s = %t, want %t", tt.notBefore, tt.issued, got, tt.want)
			}
		})
	}
}

func ExamplePolicy_Covers() {
	policy := access.Policy{AdminRoles: []string{"admin"}}
	groomer := access.Identity{User: "u_7", Rooms: []string{"booking.42"}}
	admin := access.Identity{User: "u_1", Roles: []string{"admin"}}
	for _, room := range []string{"booking.42", "booking.43", "user.u_7"} {
		fmt.Println(room, policy.Covers(groomer, room), policy.Covers(admin, room))
	}
	// Output:
	// booking.42 true true
	// booking.43 false true
	// user.u_7 true false
}
