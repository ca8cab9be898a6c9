package subjects

import (
	"encoding/json"
	"fmt"
	"time"
)

// Access is the payload of <kind>.<id>.access: who may be in the room, and as
// what. Empty once nobody may.
type Access struct {
	Participants map[string]string `json:"participants"`
}

// Index is the payload of user.<id>.<kind>.<entity>: the reverse of Access,
// written when role or open changes.
type Index struct {
	Role string `json:"role,omitempty"`
	// Open is false once the entity has reached a terminal state.
	Open bool `json:"open"`
	// Updated is the time of the change that wrote the record, RFC 3339.
	Updated string `json:"updated,omitempty"`
	// Revoked is set once the user is no participant any more.
	Revoked bool `json:"revoked,omitempty"`
}

// Control is the payload of user.<id>.control.
type Control struct {
	// NotBefore, unix seconds: tokens of the user issued before it are dead.
	NotBefore int64 `json:"notBefore"`
}

// Epoch is the payload of fabric.epoch: the identity of this history and the
// limits that govern it.
type Epoch struct {
	Epoch  string `json:"epoch"`
	Reason string `json:"reason"`
	// Keep is the number of messages kept per subject.
	Keep int `json:"keep"`
	// Retention is how long a retired booking's messages are kept at least.
	Retention Duration `json:"retention"`
}

// Duration is a time.Duration written as Go writes it ("2160h0m0s").
type Duration time.Duration

// MarshalJSON writes "2160h0m0s".
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON reads what MarshalJSON writes.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("a duration is a string like \"2160h\": %w", err)
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("duration %q: %w", s, err)
	}
	*d = Duration(v)
	return nil
}
