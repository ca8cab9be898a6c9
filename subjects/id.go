package subjects

import (
	"errors"
	"fmt"
)

// MaxID is the longest id in bytes. 128 leaves room for any UUID, ULID or
// prefixed key and keeps subjects far below what NATS accepts.
const MaxID = 128

// ErrID is returned, wrapped with the reason, for an id or type that cannot be
// one subject token.
var ErrID = errors.New("not a valid id")

// CheckID reports whether id can stand as one token of a subject: 1 to MaxID
// bytes of printable ASCII without space, '.', '*' and '>'. The error wraps
// ErrID and says what is wrong and what to do about it.
func CheckID(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("%w: it is empty", ErrID)
	case len(id) > MaxID:
		return fmt.Errorf("%w: %d bytes long, at most %d are allowed", ErrID, len(id), MaxID)
	}
	for i := 0; i < len(id); i++ {
		switch c := id[i]; {
		case c == '.' && looksLikeMail(id):
			return fmt.Errorf("%w: %q holds a '.'; it looks like an e-mail address, use the account id instead", ErrID, id)
		case c == '.' || c == '*' || c == '>':
			return fmt.Errorf("%w: %q holds %q, which has a meaning in NATS subjects", ErrID, id, c)
		case c <= ' ' || c > '~':
			return fmt.Errorf("%w: %q holds byte 0x%02x; only printable ASCII without blanks is allowed", ErrID, id, c)
		}
	}
	return nil
}

func looksLikeMail(id string) bool {
	for i := 1; i < len(id); i++ {
		if id[i] == '@' {
			return true
		}
	}
	return false
}
