package protocol_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/petpro/fabric/edge/protocol"
)

func TestAppendEventPayload(t *testing.T) {
	tests := []struct{ name, data, want string }{
		{"as stored", `{"a" : 1, "b":[ ]}`, `{"a" : 1, "b":[ ]}`},
		{"spans lines", "{\n  \"a\": 1,\r\n  \"b\": \"x\\ny\"\n}", `{"a":1,"b":"x\ny"}`},
		{"ends with a newline", "{\"a\":1}\n", `{"a":1}`},
		{"nothing", "", "null"},
		{"spans lines and is no JSON", "{\n", "null"},
		{"large number kept", `{"n":12345678901234567890.10}`, `{"n":12345678901234567890.10}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := protocol.AppendEvent(nil, "booking.1", "status", 7, protocol.Cursor{Epoch: "e", Seq: 7, Time: 36}, false,
				time.UnixMilli(0), []byte(tt.data))
			want := `{"event":{"room":"booking.1","type":"status","seq":7,"cursor":"e-7-10","time":"1970-01-01T00:00:00.000Z","data":` + tt.want + `}}`
			if string(got) != want {
				t.Errorf("AppendEvent\n got %s\nwant %s", got, want)
			}
		})
	}
}

func TestAppendEventTime(t *testing.T) {
	berlin := time.FixedZone("", 3600)
	tests := []struct {
		t    time.Time
		want string
	}{
		{time.Date(2026, 11, 22, 11, 30, 0, 123_999_999, berlin), "2026-11-22T10:30:00.123Z"},
		{time.Date(2024, 2, 29, 23, 59, 59, 999_000_000, time.UTC), "2024-02-29T23:59:59.999Z"},
		{time.Date(1969, 12, 31, 23, 59, 59, 1_000_000, time.UTC), "1969-12-31T23:59:59.001Z"},
		{time.Time{}, "0001-01-01T00:00:00.000Z"},
	}
	for _, tt := range tests {
		frame := protocol.AppendEvent(nil, "b.1", "s", 1, protocol.Cursor{}, false, tt.t, []byte("1"))
		var e struct{ Event struct{ Time string } }
		if err := json.Unmarshal(frame, &e); err != nil {
			t.Fatalf("%s: %v", frame, err)
		}
		if e.Event.Time != tt.want {
			t.Errorf("time of %s = %q, want %q", tt.t, e.Event.Time, tt.want)
		}
	}
}

// Strings from clients and operators reach frames: every one of them must come
// out as encoding/json would read it back.
func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", `a"b\c`, "\x00\x1f\n\t\u007f", "ü🐕\u2028", "\xff\xfe", "a\xc3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		frame := protocol.Append(nil, &protocol.Ping{Cursor: s})
		var got struct{ Ping string }
		if err := json.Unmarshal(frame, &got); err != nil {
			t.Fatalf("%q: %v", frame, err)
		}
		theirs, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var want string
		if err := json.Unmarshal(theirs, &want); err != nil {
			t.Fatal(err)
		}
		if got.Ping != want {
			t.Errorf("%q came back as %q, encoding/json gives %q", s, got.Ping, want)
		}
	})
}

// EventOverhead is a promise: with that much room an event does not allocate.
func TestEventOverhead(t *testing.T) {
	longest := protocol.Cursor{Epoch: "abcdefghijklmnopqrstuvwx", Seq: 1<<64 - 1, Time: 1<<63 - 1}
	data := []byte(`{"status":"confirmed"}`)
	frame := protocol.AppendEvent(nil, "booking.42", "status", 1<<64-1, longest, true, time.Now(), data)
	if over := len(frame) - len("booking.42") - len("status") - len(data); over > protocol.EventOverhead {
		t.Errorf("an event takes %d bytes beside room, type and payload, EventOverhead is %d", over, protocol.EventOverhead)
	}
}

func BenchmarkAppendEvent(b *testing.B) {
	data := []byte(`{"bookingId":"42","status":"confirmed","updatedAt":"2026-11-22T10:30:00Z","message":"Booking has been confirmed by the vendor"}`)
	at := time.Date(2026, 11, 22, 10, 30, 0, 123_000_000, time.UTC)
	cursor := protocol.Cursor{Epoch: "k3f9", Seq: 10513, Time: at.UnixMicro()}
	b.ReportAllocs()
	for b.Loop() {
		frame := make([]byte, 0, protocol.EventOverhead+len("booking.42")+len("status")+len(data))
		sink = protocol.AppendEvent(frame, "booking.42", "status", 10513, cursor, false, at, data)
	}
}

var sink []byte

func BenchmarkDecodeJoin(b *testing.B) {
	frame := []byte(`{"id":2,"join":{"room":"booking.99","cursor":"k3f9-10512-m3x7c2q"}}`)
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range protocol.Decode(frame) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
