package protocol_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/petpro/fabric/edge/protocol"
)

// decoded is what Decode yields, for comparison.
type decoded struct {
	c   protocol.Command
	err *protocol.Error
}

func decode(frame string) []decoded {
	var all []decoded
	for c, err := range protocol.Decode([]byte(frame)) {
		all = append(all, decoded{c, err})
	}
	return all
}

func TestDecodeRefuses(t *testing.T) {
	tests := []struct {
		name, frame string
		id          int64
		code        protocol.Code
		says        string
	}{
		{"nothing", "", 0, protocol.CodeBadRequest, "not JSON: line 1"},
		{"blanks", "  \t ", 0, protocol.CodeBadRequest, "not JSON: line 1"},
		{"garbage", "\x00\xff\x17", 0, protocol.CodeBadRequest, "not JSON: line 1, byte 1"},
		{"HTTP", "GET / HTTP/1.1", 0, protocol.CodeBadRequest, "not JSON: line 1, byte 1"},
		{"position", `{"id":1,,}`, 0, protocol.CodeBadRequest, "line 1, byte 9"},
		{"second line", "{}\n{\"id\":1", 0, protocol.CodeBadRequest, "line 2"},
		{"array", `[{"id":1}]`, 0, protocol.CodeBadRequest, "line 1 is no JSON object"},
		{"null", `null`, 0, protocol.CodeBadRequest, "line 1 is no JSON object"},
		{"string", `"{}"`, 0, protocol.CodeBadRequest, "line 1 is no JSON object"},
		{"two on a line", `{}{}`, 0, protocol.CodeBadRequest, "not JSON"},
		{"id 0", `{"id":0,"ping":{}}`, 0, protocol.CodeBadRequest, "whole number"},
		{"id below 0", `{"id":-1,"ping":{}}`, 0, protocol.CodeBadRequest, "whole number"},
		{"id a fraction", `{"id":1.5,"ping":{}}`, 0, protocol.CodeBadRequest, "whole number"},
		{"id a string", `{"id":"1","ping":{}}`, 0, protocol.CodeBadRequest, "whole number"},
		{"id null", `{"id":null,"ping":{}}`, 0, protocol.CodeBadRequest, "whole number"},
		{"id too large", `{"id":9223372036854775808,"ping":{}}`, 0, protocol.CodeBadRequest, "whole number"},
		{"no id wins over unknown verb", `{"jion":{}}`, 0, protocol.CodeBadRequest, `"id"`},
		{"verb in capitals", `{"id":3,"Join":{"room":"booking.1"}}`, 3, protocol.CodeVerb, `"Join"`},
		{"long verb", `{"id":3,"` + strings.Repeat("x", 5000) + `":1}`, 3, protocol.CodeVerb, "…"},
		{"body null", `{"id":3,"join":null}`, 3, protocol.CodeBadRequest, "join: must be an object"},
		{"body a string", `{"id":3,"join":"booking.1"}`, 3, protocol.CodeBadRequest, "join: must be an object"},
		{"body an array", `{"id":3,"ping":[]}`, 3, protocol.CodeBadRequest, "ping: must be an object"},
		{"token a number", `{"id":3,"refresh":{"token":7}}`, 3, protocol.CodeBadRequest, "refresh.token: a JSON number"},
		{"rooms a string", `{"id":3,"connect":{"rooms":"booking.1"}}`, 3, protocol.CodeBadRequest, "connect.rooms: a JSON string"},
		{"room null", `{"id":3,"connect":{"rooms":[null]}}`, 3, protocol.CodeBadRequest, "a room must be"},
		{"room a number", `{"id":3,"connect":{"rooms":[7]}}`, 3, protocol.CodeBadRequest, "a room must be"},
		{"cursor a number", `{"id":3,"join":{"room":"booking.1","cursor":7}}`, 3, protocol.CodeBadRequest, "join"},
		{"before below 0", `{"id":3,"history":{"room":"booking.1","before":-1}}`, 3, protocol.CodeBadRequest, "history.before: a JSON number"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all := decode(tt.frame)
			if len(all) == 0 {
				t.Fatalf("Decode(%.80q) yields nothing", tt.frame)
			}
			last := all[len(all)-1]
			if last.err == nil || last.err.Code != tt.code || !strings.Contains(last.err.Message, tt.says) {
				t.Errorf("Decode(%.80q) = %+v, want code %d with %q", tt.frame, last.err, tt.code, tt.says)
			}
			if want := (protocol.Command{ID: tt.id}); !reflect.DeepEqual(last.c, want) {
				t.Errorf("Decode(%.80q) = command %+v, want only id %d", tt.frame, last.c, tt.id)
			}
			if last.err != nil && len(last.err.Message) > 200 {
				t.Errorf("the message repeats %d bytes of the client's text", len(last.err.Message))
			}
		})
	}
}

func TestDecodeLines(t *testing.T) {
	tests := []struct {
		name, frame string
		want        int
	}{
		{"one", `{}`, 1},
		{"ends with a newline", "{}\n", 1},
		{"empty lines between", "{}\n\n\r\n{}", 2},
		{"carriage returns", "{}\r\n{}\r\n", 2},
		{"only newlines", "\n\n", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all := decode(tt.frame)
			if len(all) != tt.want {
				t.Errorf("Decode(%q) yields %d, want %d", tt.frame, len(all), tt.want)
			}
			for _, d := range all {
				if d.err != nil {
					t.Errorf("Decode(%q): %v", tt.frame, d.err)
				}
			}
		})
	}
}

// A frame full of commands costs what is taken from it, not what is in it.
func TestDecodeStops(t *testing.T) {
	frame := strings.Repeat("{}\n", 10_000)
	allocs := testing.AllocsPerRun(10, func() {
		for range protocol.Decode([]byte(frame)) {
			break
		}
	})
	if allocs > 20 {
		t.Errorf("taking one command of 10 000 costs %.0f allocations", allocs)
	}
}

// Decode keeps nothing of the frame: transports reuse the buffer.
func TestDecodeCopies(t *testing.T) {
	frame := []byte(`{"id":1,"connect":{"token":"abc","cursor":"def","rooms":["booking.1"],"client":"x"}}`)
	var got protocol.Command
	for c := range protocol.Decode(frame) {
		got = c
	}
	clear(frame)
	if c := got.Connect; c.Token != "abc" || c.Cursor != "def" || c.Rooms[0].Room != "booking.1" || c.Client != "x" {
		t.Errorf("after the buffer was cleared: %+v", c)
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"id":1,"connect":{"token":"t","rooms":["booking.42",{"room":"booking.77","cursor":null}]}}`,
		"{}\n{\"id\":2,\"join\":{\"room\":\"mine\"}}", `{"id":1,"publish":{}}`, "\n", `{"id":9e99,"ping":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		for c, err := range protocol.Decode(frame) {
			set := 0
			for _, body := range []bool{c.Connect != nil, c.Join != nil, c.Leave != nil, c.Refresh != nil, c.History != nil} {
				if body {
					set++
				}
			}
			switch {
			case err != nil:
				if set != 0 || c.Verb != "" || err.Code == 0 || err.Message == "" {
					t.Fatalf("error %+v comes with %+v", err, c)
				}
				// What the client gets must itself be a frame.
				reply := protocol.Append(nil, &protocol.Failed{ID: c.ID, Error: *err})
				if !json.Valid(reply) || !utf8.Valid(reply) {
					t.Fatalf("the reply is no JSON: %q", reply)
				}
			case c.Verb == protocol.VerbPong:
				if c.ID != 0 || set != 0 {
					t.Fatalf("a pong with content: %+v", c)
				}
			case c.ID <= 0 || set > 1 || set == 0 && c.Verb != protocol.VerbPing:
				t.Fatalf("a command without id or with other than one body: %+v", c)
			}
		}
	})
}
