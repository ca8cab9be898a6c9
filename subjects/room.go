package subjects

import (
	"fmt"
	"slices"
	"strings"
)

// UserKind is the kind of a user's own room, which its sessions join by
// themselves and nobody else may enter.
const UserKind = "user"

// Room is what a client joins: "<kind>.<id>", for example "booking.42" or
// "user.u_7". A Room made by ParseRoom, Kinds.Room or UserRoom is valid.
type Room string

// ParseRoom checks the form of s, not whether its kind is configured; that is
// Kinds.Room. The error says which half is wrong.
func ParseRoom(s string) (Room, error) {
	kind, id, ok := strings.Cut(s, ".")
	if !ok {
		return "", fmt.Errorf("%w: %q is no room; a room is <kind>.<id>, for example booking.42", ErrID, clip(s))
	}
	if err := CheckID(kind); err != nil {
		return "", fmt.Errorf("room %q: kind: %w", clip(s), err)
	}
	if err := CheckID(id); err != nil {
		return "", fmt.Errorf("room %q: id: %w", clip(s), err)
	}
	return Room(s), nil
}

// UserRoom is the room of one user's notifications. The id must have passed
// CheckID.
func UserRoom(user string) Room { return Room(UserKind + "." + user) }

// Kind is the part before the dot.
func (r Room) Kind() string { kind, _, _ := strings.Cut(string(r), "."); return kind }

// ID is the part behind the dot.
func (r Room) ID() string { _, id, _ := strings.Cut(string(r), "."); return id }

// Subject of one type of this room: "booking.42" and "status" give
// "booking.42.status".
func (r Room) Subject(typ string) string { return string(r) + "." + typ }

// Pattern matches every subject of the room, its access or control record
// included, and no index record (those have four tokens).
func (r Room) Pattern() string { return string(r) + ".*" }

// Kinds names the entity kinds that may be rooms, for example ["booking"].
type Kinds []string

// reserved first tokens: they have a meaning of their own.
var reserved = []string{UserKind, "fabric", "ingest"}

// Check returns an error if a kind is no valid token, reserved, or named twice.
func (k Kinds) Check() error {
	if len(k) == 0 {
		return fmt.Errorf("at least one kind is needed, for example [booking]")
	}
	for i, kind := range k {
		if err := CheckID(kind); err != nil {
			return fmt.Errorf("kind %q: %w", kind, err)
		}
		if kind[0] == '$' || kind[0] == '_' {
			return fmt.Errorf("kind %q: names that begin with '$' or '_' belong to NATS", kind)
		}
		if slices.Contains(reserved, kind) {
			return fmt.Errorf("kind %q is reserved", kind)
		}
		if slices.Contains(k[:i], kind) {
			return fmt.Errorf("kind %q is named twice", kind)
		}
	}
	return nil
}

// Room parses s and checks that its kind is one of k, or a user's own room.
func (k Kinds) Room(s string) (Room, error) {
	r, err := ParseRoom(s)
	if err != nil {
		return "", err
	}
	if kind := r.Kind(); kind != UserKind && !slices.Contains(k, kind) {
		return "", fmt.Errorf("%w: room %q: unknown kind %q, this fabric has %v", ErrID, s, kind, []string(k))
	}
	return r, nil
}

// clip keeps hostile input out of error messages and logs.
func clip(s string) string {
	if len(s) > 2*MaxID {
		return s[:2*MaxID] + "…"
	}
	return s
}
