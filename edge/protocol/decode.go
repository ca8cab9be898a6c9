package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
)

// maxEcho bounds how much of a client's own text an error message repeats.
const maxEcho = 64

// Decode yields the commands of one text frame in order: a Command, or the
// error it gets as its reply. With an error only the Command's ID is set, and
// that only if it could be read. A line that is wrong does not spoil the ones
// after it.
//
// The cost is bounded by the frame, whose size the caller has limited; breaking
// out of the loop leaves the rest of the frame undecoded.
func Decode(frame []byte) iter.Seq2[Command, *Error] {
	return func(yield func(Command, *Error) bool) {
		for n := 1; ; n++ {
			line, rest, more := bytes.Cut(frame, newline)
			// A newline at the end of a frame begins no further object; a frame
			// without anything in it is wrong, not silent.
			if line = bytes.TrimSpace(line); len(line) > 0 || n == 1 && !more {
				if !yield(decodeLine(line, n)) {
					return
				}
			}
			if !more {
				return
			}
			frame = rest
		}
	}
}

var newline = []byte{'\n'}

// decodeLine reads one object; n is its line in the frame.
func decodeLine(line []byte, n int) (Command, *Error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(line, &object); err != nil || object == nil {
		return Command{}, malformed(err, n)
	}
	if len(object) == 0 {
		return Command{Verb: VerbPong}, nil
	}
	var c Command
	id, ok := object["id"]
	if !ok || json.Unmarshal(id, &c.ID) != nil || c.ID <= 0 {
		c.ID = 0
		return c, bad(`every command needs an "id": a whole number greater than 0`)
	}
	delete(object, "id")

	for key := range object {
		if _, known := bodies[Verb(key)]; !known {
			continue
		}
		if c.Verb != "" {
			return Command{ID: c.ID}, bad("a command has one verb, this one has several")
		}
		c.Verb = Verb(key)
	}
	if c.Verb == "" {
		return c, unknown(object)
	}
	if err := bodies[c.Verb](&c, object[string(c.Verb)]); err != nil {
		return Command{ID: c.ID}, bad(bodyError(c.Verb, err))
	}
	return c, nil
}

// bodies decode what stands behind each verb.
var bodies = map[Verb]func(*Command, json.RawMessage) error{
	VerbConnect: func(c *Command, b json.RawMessage) error { return body(b, &c.Connect) },
	VerbJoin:    func(c *Command, b json.RawMessage) error { return body(b, &c.Join) },
	VerbLeave:   func(c *Command, b json.RawMessage) error { return body(b, &c.Leave) },
	VerbRefresh: func(c *Command, b json.RawMessage) error { return body(b, &c.Refresh) },
	VerbHistory: func(c *Command, b json.RawMessage) error { return body(b, &c.History) },
	VerbPing:    func(_ *Command, b json.RawMessage) error { var p *struct{}; return body(b, &p) },
}

func body[T any](b json.RawMessage, into **T) error {
	if b[0] != '{' {
		return errors.New("must be an object")
	}
	return json.Unmarshal(b, into)
}

// roomObject has the fields of RoomRef without its methods.
type roomObject RoomRef

// UnmarshalJSON takes "booking.42" or {"room":"booking.42","cursor":…}.
func (r *RoomRef) UnmarshalJSON(b []byte) error {
	switch b[0] {
	case '"':
		return unquote(b, &r.Room)
	case '{':
		return json.Unmarshal(b, (*roomObject)(r))
	}
	return errors.New(`a room must be a string or {"room":…,"cursor":…}`)
}

// malformed says where a line stopped being a JSON object.
func malformed(err error, n int) *Error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return bad(fmt.Sprintf("not JSON: line %d, byte %d: %s", n, syntax.Offset, syntax))
	}
	return bad(fmt.Sprintf("line %d is no JSON object", n))
}

// unknown says that none of the object's keys is a verb.
func unknown(object map[string]json.RawMessage) *Error {
	if len(object) == 0 {
		return bad(`a command needs a verb beside its "id", for example "join"`)
	}
	// Any of several keys would do; the smallest is the same each time.
	var first string
	for key := range object {
		if first == "" || key < first {
			first = key
		}
	}
	return &Error{Code: CodeVerb, Message: fmt.Sprintf("unknown verb %q", clip(first))}
}

// bodyError is short and names the field, as far as encoding/json tells.
func bodyError(v Verb, err error) string {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		place := strings.Trim(string(v)+"."+strings.ToLower(wrong.Field), ".")
		return fmt.Sprintf("%s: a JSON %s does not fit here", place, wrong.Value)
	}
	return fmt.Sprintf("%s: %s", v, clip(err.Error()))
}

func bad(message string) *Error { return &Error{Code: CodeBadRequest, Message: message} }

func clip(s string) string {
	if len(s) > maxEcho {
		return strings.ToValidUTF8(s[:maxEcho], "") + "…"
	}
	return s
}
