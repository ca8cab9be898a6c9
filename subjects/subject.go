package subjects

import (
	"fmt"
	"slices"
	"strings"
)

// Fixed subjects, and the last tokens with a meaning of their own.
const (
	EpochSubject    = "fabric.epoch"
	PositionSubject = "fabric.position"
	// IngestPrefix stands before the subject in what services publish themselves.
	IngestPrefix = "ingest."

	AccessType  = "access"
	ControlType = "control"
	StatusType  = "status"
	// NotificationType is the event type of a user's room.
	NotificationType = "notification"
)

// Class says what a message on a subject is.
type Class uint8

// The classes. Event is the only one a client ever sees.
const (
	Unknown  Class = iota
	Event          // <kind>.<id>.<type> or user.<id>.<type>
	Grant          // <kind>.<id>.access
	Indexed        // user.<id>.<kind>.<entity id>
	Logout         // user.<id>.control
	NewEpoch       // fabric.epoch
	Progress       // fabric.position
)

// Name is a parsed subject.
type Name struct {
	Class Class
	// Room the message belongs to; for Indexed the user's room. Empty for
	// NewEpoch and Progress.
	Room Room
	// Type of an Event: the last token.
	Type string
	// Target of an Indexed record: the room it speaks of.
	Target Room
}

// Parse reads a subject of the stream. Class Unknown with an error means the
// subject is none of the contract's.
func (k Kinds) Parse(subject string) (Name, error) {
	switch subject {
	case EpochSubject:
		return Name{Class: NewEpoch}, nil
	case PositionSubject:
		return Name{Class: Progress}, nil
	}
	first, rest, ok := strings.Cut(subject, ".")
	second, rest, ok2 := strings.Cut(rest, ".")
	third, fourth, four := strings.Cut(rest, ".")
	if !ok || !ok2 || third == "" {
		return Name{}, fmt.Errorf("%w: subject %q has fewer than three tokens", ErrID, clip(subject))
	}
	if first != UserKind && !slices.Contains(k, first) {
		return Name{}, fmt.Errorf("%w: subject %q: unknown kind %q, this fabric has %v", ErrID, clip(subject), clip(first), []string(k))
	}
	if err := CheckID(second); err != nil {
		return Name{}, fmt.Errorf("subject %q: %w", clip(subject), err)
	}
	if err := CheckID(third); err != nil {
		return Name{}, fmt.Errorf("subject %q: %w", clip(subject), err)
	}
	n := Name{Room: Room(subject[:len(first)+1+len(second)])}
	switch {
	case four:
		if looksLikeMail(second) {
			return Name{}, fmt.Errorf("%w: subject %q: %q looks like the beginning of an e-mail address, use the account id instead", ErrID, clip(subject), second)
		}
		if first != UserKind || !slices.Contains(k, third) {
			return Name{}, fmt.Errorf("%w: subject %q has four tokens and is no index record", ErrID, clip(subject))
		}
		if err := CheckID(fourth); err != nil {
			return Name{}, fmt.Errorf("subject %q: %w", clip(subject), err)
		}
		n.Class, n.Target = Indexed, Room(subject[len(n.Room)+1:])
	case first == UserKind && third == ControlType:
		n.Class = Logout
	case first != UserKind && third == AccessType:
		n.Class = Grant
	case third == AccessType || third == ControlType || slices.Contains(k, third):
		return Name{}, fmt.Errorf("%w: subject %q: the type %q is reserved", ErrID, clip(subject), third)
	default:
		n.Class, n.Type = Event, third
	}
	return n, nil
}

// IndexSubject is where the index record of room target is kept for a user.
func IndexSubject(user string, target Room) string {
	return string(UserRoom(user)) + "." + string(target)
}

// IndexPattern matches every index record of a user for one kind.
func IndexPattern(user, kind string) string { return string(UserRoom(user)) + "." + kind + ".*" }

// Streamed lists the subjects of the stream FABRIC for these kinds.
func (k Kinds) Streamed() []string {
	s := make([]string, 0, len(k)+2)
	for _, kind := range k {
		s = append(s, kind+".>")
	}
	return append(s, UserKind+".>", "fabric.>")
}
