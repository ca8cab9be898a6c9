package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// Ready is what `fabric dev` tells once a client can connect and will miss
// nothing. With --json it is the one line on standard output.
type Ready struct {
	// Edges are the base URLs of the two edges.
	Edges []string `json:"edges"`
	Page  string   `json:"page"`
	NATS  string   `json:"nats"`
	// Database is the absolute path of the shop's SQLite file, or the DSN of the
	// developer's database without its password.
	Database string `json:"database"`
	Tokens   Tokens `json:"tokens"`
	// Bookings in which both the vendor and the customer take part.
	Bookings []string `json:"bookings"`

	// For people: vendor is a user, change a command line that changes the first
	// booking, note what to know about the database, end what happens at the end.
	vendor, change, note, end string
}

// Tokens are good for a day. The stranger takes part in no booking.
type Tokens struct {
	Vendor   string `json:"vendor"`
	Customer string `json:"customer"`
	Stranger string `json:"stranger"`
}

// writeJSON writes exactly one line.
func (r Ready) writeJSON(w io.Writer) error {
	return json.NewEncoder(w).Encode(r)
}

// writeText greets whoever started it by hand.
func (r Ready) writeText(w io.Writer, data string) error {
	booking, change := "bk-1001", "(there is no booking of two people yet: make one)"
	if len(r.Bookings) > 0 {
		booking, change = r.Bookings[0], r.change
	}
	note := ""
	if r.note != "" {
		note = "  " + strings.ReplaceAll(r.note, "\n", "\n  ") + "\n\n"
	}
	end := r.end
	if end == "" {
		end = "Everything is kept in " + data + ", the next start resumes."
	}
	flag := ""
	if data != defaultData {
		flag = " --data " + data
	}
	_, err := fmt.Fprintf(w, `
  The fabric is up: one database, one publisher, one NATS, two edges.

    page       %[1]s
    edges      %[2]s
    nats       %[3]s
    database   %[4]s

%[13]s  Open the page, then change a booking with any client of the database:

    %[14]s

  Watch the stream, or publish something that is no row:

    %[12]s tail%[6]s
    %[12]s publish%[6]s booking.%[5]s.reminder '{"text":"see you at ten"}'

  Speak the protocol yourself (any WebSocket client):

    npx wscat -s fabric.v1.json -c %[7]s/v1/ws
    > {"id":1,"connect":{"token":"<vendor's token>","rooms":["booking.%[5]s"]}}

  Tokens, good for 24 hours (more: %[12]s token%[6]s --user %[15]s):

    vendor     %[8]s

    customer   %[9]s

    stranger   %[10]s

  Ctrl-C ends it. %[11]s

`, r.Page, strings.Join(r.Edges, "  "), r.NATS, r.Database, booking, flag, webSocket(r.Edges[0]),
		r.Tokens.Vendor, r.Tokens.Customer, r.Tokens.Stranger, end, self(), note, change, r.vendor)
	return err
}

// self is how this command is called again.
func self() string {
	if exe, err := os.Executable(); err == nil && strings.Contains(exe, "go-build") {
		return "go run ./cmd/fabric"
	}
	return "fabric"
}

// webSocket turns http://… into ws://….
func webSocket(base string) string { return "ws" + strings.TrimPrefix(base, "http") }
