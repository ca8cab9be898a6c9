// Package access says who a session is and what its token alone entitles it
// to. Participation in a booking is not here: it comes from the stream's
// access records, judged in the hub at the position where an event is
// delivered.
package access

import (
	"slices"
	"strings"
	"time"
)

// Identity is a verified token.
type Identity struct {
	// User is the token's subject: a valid id (subjects.CheckID).
	User string
	// Roles of the user.
	Roles []string
	// Rooms the token covers by itself: "booking.42" or "booking.*".
	Rooms []string
	// IssuedAt is zero if the token does not say; such a token is dead as soon
	// as a log-out was ever recorded for the user.
	IssuedAt time.Time
	// Expires is when the session ends unless it is refreshed.
	Expires time.Time
	// Key names the key that verified the token, so that sessions can be ended
	// when it is withdrawn.
	Key string
}

// Policy is what an operator grants beyond participation.
type Policy struct {
	// AdminRoles may enter every room but the users' own.
	AdminRoles []string
}

// userPrefix starts the rooms that belong to one user alone.
const userPrefix = "user."

// Covers reports whether id may be in room whatever the access record says:
// by the user's own room, the token's rooms claim, or an admin role. A user's
// room is that user's alone, whatever the token claims.
func (p Policy) Covers(id Identity, room string) bool {
	if strings.HasPrefix(room, userPrefix) {
		return room[len(userPrefix):] == id.User
	}
	for _, claim := range id.Rooms {
		if claim == room {
			return true
		}
		if kind, ok := strings.CutSuffix(claim, ".*"); ok && strings.HasPrefix(room, kind+".") {
			return true
		}
	}
	return p.Admin(id)
}

// Admin reports whether one of the roles of id is an admin role.
func (p Policy) Admin(id Identity) bool {
	return slices.ContainsFunc(id.Roles, func(r string) bool { return slices.Contains(p.AdminRoles, r) })
}

// LoggedOut reports whether a log-out at notBefore (unix seconds, 0 = never)
// killed the token. A token of the same second lives: a user who logs in again
// at once must get in.
func (id Identity) LoggedOut(notBefore int64) bool {
	return notBefore > 0 && (id.IssuedAt.IsZero() || id.IssuedAt.Unix() < notBefore)
}
