package protocol_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/petpro/fabric/edge/protocol"
)

// vector is one file of testdata/vectors; see the README there.
type vector struct {
	Name     string          `json:"name"`
	From     string          `json:"from"`
	Frame    string          `json:"frame"`
	Commands []wantCommand   `json:"commands"`
	Means    json.RawMessage `json:"means"`
}

type wantCommand struct {
	ID     int64         `json:"id"`
	Verb   protocol.Verb `json:"verb"`
	Error  protocol.Code `json:"error"`
	Token  string        `json:"token"`
	Client string        `json:"client"`
	Rooms  []wantRoom    `json:"rooms"`
	Limit  int           `json:"limit"`
	Before uint64        `json:"before"`
	wantRoom
}

type wantRoom struct {
	Room   string `json:"room"`
	From   string `json:"from"`
	Cursor string `json:"cursor"`
}

func readVectors(t *testing.T, from string) map[string]vector {
	t.Helper()
	files, err := filepath.Glob("testdata/vectors/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors in testdata/vectors: %v", err)
	}
	vectors := map[string]vector{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var v vector
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if v.From != "client" && v.From != "server" || v.Name == "" {
			t.Errorf("%s: needs a name, and from must be client or server", file)
		}
		if v.From == from {
			vectors[strings.TrimSuffix(filepath.Base(file), ".json")] = v
		}
	}
	return vectors
}

// command builds what Decode must yield from a vector.
func (w wantCommand) command() protocol.Command {
	c := protocol.Command{ID: w.ID, Verb: w.Verb}
	switch w.Verb {
	case protocol.VerbConnect:
		c.Connect = &protocol.Connect{Token: w.Token, Cursor: w.Cursor, Client: w.Client}
		for _, r := range w.Rooms {
			c.Connect.Rooms = append(c.Connect.Rooms, r.ref("connect"))
		}
	case protocol.VerbJoin:
		ref := w.ref("fresh")
		c.Join = &ref
	case protocol.VerbLeave:
		c.Leave = &protocol.RoomRef{Room: w.Room}
	case protocol.VerbRefresh:
		c.Refresh = &protocol.Refresh{Token: w.Token}
	case protocol.VerbHistory:
		c.History = &protocol.HistoryAsk{Room: w.Room, Limit: w.Limit, Before: w.Before}
	}
	return c
}

// ref builds a room whose absent cursor means what absent says.
func (w wantRoom) ref(absent string) protocol.RoomRef {
	return protocol.RoomRef{Room: w.Room, Cursor: protocol.CursorRef{Given: w.From != absent, Value: w.Cursor}}
}

func TestClientVectors(t *testing.T) {
	seen := map[protocol.Verb]bool{}
	for file, v := range readVectors(t, "client") {
		t.Run(file, func(t *testing.T) {
			var n int
			for got, err := range protocol.Decode([]byte(v.Frame)) {
				if n == len(v.Commands) {
					t.Fatalf("Decode yields more than %d commands: %+v, %v", n, got, err)
				}
				want := v.Commands[n]
				n++
				switch {
				case want.Error != 0:
					if err == nil || err.Code != want.Error || got.ID != want.ID {
						t.Errorf("command %d = id %d, %+v, want id %d and error %d", n, got.ID, err, want.ID, want.Error)
					}
				case err != nil:
					t.Errorf("command %d: error %d: %s", n, err.Code, err.Message)
				case !reflect.DeepEqual(got, want.command()):
					t.Errorf("command %d\n got %+v\nwant %+v", n, got, want.command())
				default:
					seen[got.Verb] = true
				}
			}
			if n != len(v.Commands) {
				t.Errorf("Decode yields %d commands, want %d", n, len(v.Commands))
			}
		})
	}
	for _, verb := range []protocol.Verb{protocol.VerbConnect, protocol.VerbJoin, protocol.VerbLeave,
		protocol.VerbRefresh, protocol.VerbHistory, protocol.VerbPing, protocol.VerbPong} {
		if !seen[verb] {
			t.Errorf("no vector for verb %q", verb)
		}
	}
}

// means is a union of what the server's frames say.
type means struct {
	What    string `json:"what"`
	ID      int64  `json:"id"`
	Session string `json:"session"`
	User    string `json:"user"`

	PingSeconds    int `json:"pingSeconds"`
	ExpiresSeconds int `json:"expiresSeconds"`
	AfterMs        int `json:"afterMs"`

	Resumed   bool       `json:"resumed"`
	Recovered bool       `json:"recovered"`
	Rooms     []wantFate `json:"rooms"`
	Error     *wantError `json:"error"`

	wantEvent
	Events []wantEvent `json:"events"`
	More   bool        `json:"more"`

	After, Before uint64
	Reason        string    `json:"reason"`
	Stale         bool      `json:"stale"`
	Since         time.Time `json:"since"`

	Code        int    `json:"code"`
	Reconnect   bool   `json:"reconnect"`
	CloseReason string `json:"closeReason"`
}

type wantFate struct {
	Room      string     `json:"room"`
	Resumed   bool       `json:"resumed"`
	Recovered bool       `json:"recovered"`
	Error     *wantError `json:"error"`
}

type wantError struct {
	Code      protocol.Code `json:"code"`
	Message   string        `json:"message"`
	Temporary bool          `json:"temporary"`
	AfterMs   int           `json:"afterMs"`
}

type wantEvent struct {
	Room     string          `json:"room"`
	Type     string          `json:"type"`
	Seq      uint64          `json:"seq"`
	Cursor   string          `json:"cursor"`
	Snapshot bool            `json:"snapshot"`
	Time     time.Time       `json:"time"`
	Data     json.RawMessage `json:"data"`
	DataText string          `json:"dataText"`
}

func (e *wantError) error() *protocol.Error {
	if e == nil {
		return nil
	}
	return &protocol.Error{Code: e.Code, Message: e.Message, After: time.Duration(e.AfterMs) * time.Millisecond}
}

func (w wantEvent) event(t *testing.T) protocol.Event {
	t.Helper()
	var data bytes.Buffer
	if err := json.Compact(&data, w.Data); err != nil {
		t.Fatal(err)
	}
	e := protocol.Event{Room: w.Room, Type: w.Type, Seq: w.Seq, Cursor: cursor(t, w.Cursor),
		Snapshot: w.Snapshot, Time: w.Time, Data: data.Bytes()}
	if w.DataText != "" {
		e.Data = []byte(w.DataText)
	}
	return e
}

func cursor(t *testing.T, s string) protocol.Cursor {
	t.Helper()
	c, err := protocol.ParseCursor(s)
	if err != nil {
		t.Fatalf("cursor %q: %v", s, err)
	}
	return c
}

func fates(want []wantFate) []protocol.RoomFate {
	var f []protocol.RoomFate
	for _, w := range want {
		f = append(f, protocol.RoomFate{Room: w.Room, Resumed: w.Resumed, Recovered: w.Recovered, Error: w.Error.error()})
	}
	return f
}

// out builds the reply or push from its meaning; nil for an event.
func (m means) out(t *testing.T) protocol.Out {
	t.Helper()
	seconds := func(n int) time.Duration { return time.Duration(n) * time.Second }
	switch m.What {
	case "connected":
		return &protocol.Connected{ID: m.ID, Session: m.Session, User: m.User, Ping: seconds(m.PingSeconds),
			Expires: seconds(m.ExpiresSeconds), Recovered: m.Recovered, Rooms: fates(m.Rooms)}
	case "joined":
		return &protocol.Joined{ID: m.ID, Room: m.Room, Resumed: m.Resumed, Recovered: m.Recovered, Rooms: fates(m.Rooms)}
	case "left":
		return &protocol.Left{ID: m.ID, Room: m.Room}
	case "refreshed":
		return &protocol.Refreshed{ID: m.ID, Expires: seconds(m.ExpiresSeconds)}
	case "history":
		h := &protocol.HistoryReply{ID: m.ID, Room: m.Room, More: m.More}
		for _, e := range m.Events {
			h.Events = append(h.Events, e.event(t))
		}
		return h
	case "probed":
		return &protocol.Pong{ID: m.ID, Cursor: m.Cursor}
	case "error":
		return &protocol.Failed{ID: m.ID, Error: *m.Error.error()}
	case "live":
		return &protocol.Live{Room: m.Room, Cursor: cursor(t, m.Cursor)}
	case "gap":
		return &protocol.Gap{Room: m.Room, Type: m.Type, After: m.After, Before: m.Before, Reason: protocol.GapReason(m.Reason)}
	case "room-joined":
		return &protocol.RoomJoined{Room: m.Room}
	case "room-left":
		return &protocol.RoomLeft{Room: m.Room, Reason: m.Reason}
	case "revoked":
		return &protocol.Revoked{Room: m.Room, Reason: m.Reason}
	case "state":
		return &protocol.State{Stale: m.Stale, Since: m.Since}
	case "ping":
		return &protocol.Ping{Cursor: m.Cursor}
	case "disconnect":
		return &protocol.Disconnect{Close: m.close()}
	case "event":
		return nil
	}
	t.Fatalf("a vector means %q, which is nothing a server says", m.What)
	return nil
}

func (m means) close() protocol.Close {
	return protocol.Close{Code: m.Code, Reason: m.Reason, After: time.Duration(m.AfterMs) * time.Millisecond}
}

// TestServerVectors encodes the meaning of each frame and compares bytes; what
// is derived while encoding (temporary, reconnect) is compared by itself.
func TestServerVectors(t *testing.T) {
	seen := map[string]bool{}
	for file, v := range readVectors(t, "server") {
		t.Run(file, func(t *testing.T) {
			var m means
			if err := json.Unmarshal(v.Means, &m); err != nil {
				t.Fatal(err)
			}
			o := m.out(t)
			var got []byte
			if o == nil {
				e := m.event(t)
				got = protocol.AppendEvent(nil, e.Room, e.Type, e.Seq, e.Cursor, e.Snapshot, e.Time, e.Data)
				seen["event"] = true
			} else {
				got = protocol.Append(nil, o)
				seen[reflect.TypeOf(o).Elem().Name()] = true
			}
			if string(got) != v.Frame {
				t.Errorf("encoded\n got %s\nwant %s", got, v.Frame)
			}
			if !json.Valid(got) || bytes.ContainsRune(got, '\n') {
				t.Errorf("the frame is not one line of JSON: %s", got)
			}
			if m.What == "disconnect" {
				if c := m.close(); c.Reconnect() != m.Reconnect {
					t.Errorf("Close(%d).Reconnect() = %t, want %t", c.Code, c.Reconnect(), m.Reconnect)
				}
				if got := string(m.close().AppendReason(nil)); got != m.CloseReason {
					t.Errorf("close reason = %q, want %q", got, m.CloseReason)
				}
			}
			for _, e := range slices.Concat([]*wantError{m.Error}, fateErrors(m.Rooms)) {
				if e != nil && e.Code.Temporary() != e.Temporary {
					t.Errorf("Code(%d).Temporary() = %t, want %t", e.Code, e.Code.Temporary(), e.Temporary)
				}
			}
		})
	}
	for _, name := range []string{"Connected", "Joined", "Left", "Refreshed", "HistoryReply", "Pong", "Failed", "Live",
		"Gap", "RoomJoined", "RoomLeft", "Revoked", "State", "Ping", "Disconnect", "event"} {
		if !seen[name] {
			t.Errorf("no vector for %s", name)
		}
	}
}

func fateErrors(fates []wantFate) []*wantError {
	var errs []*wantError
	for _, f := range fates {
		errs = append(errs, f.Error)
	}
	return errs
}
