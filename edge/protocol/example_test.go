package protocol_test

import (
	"fmt"
	"time"

	"github.com/petpro/fabric/edge/protocol"
)

func ExampleDecode() {
	frame := []byte(`{"id":1,"connect":{"token":"…","rooms":["booking.42"]}}
{"id":2,"jion":{"room":"booking.99"}}
{}`)
	for command, err := range protocol.Decode(frame) {
		switch {
		case err != nil:
			fmt.Printf("reply to %d: error %d, %s\n", command.ID, err.Code, err.Message)
		case command.Verb == protocol.VerbPong:
			fmt.Println("pong")
		default:
			fmt.Println(command.ID, command.Verb)
		}
	}
	// Output:
	// 1 connect
	// reply to 2: error 104, unknown verb "jion"
	// pong
}

func ExampleAppend() {
	fmt.Printf("%s\n", protocol.Append(nil, &protocol.Joined{ID: 2, Room: "booking.99", Resumed: true, Recovered: true}))
	fmt.Printf("%s\n", protocol.Append(nil, &protocol.Gap{Room: "booking.42", Type: "status", After: 10377, Before: 10520, Reason: protocol.GapTrimmed}))
	// Output:
	// {"id":2,"join":{"room":"booking.99","recovered":true}}
	// {"gap":{"room":"booking.42","type":"status","after":10377,"before":10520,"reason":"trimmed"}}
}

func ExampleAppendEvent() {
	cursor, _ := protocol.ParseCursor("k3f9-10513-m3x7c9a")
	at := time.Date(2026, 11, 22, 10, 30, 0, 123e6, time.UTC)
	fmt.Printf("%s\n", protocol.AppendEvent(nil, "booking.42", "status", 10513, cursor, false, at, []byte(`{"status":"confirmed"}`)))
	// Output:
	// {"event":{"room":"booking.42","type":"status","seq":10513,"cursor":"k3f9-10513-m3x7c9a","time":"2026-11-22T10:30:00.123Z","data":{"status":"confirmed"}}}
}
