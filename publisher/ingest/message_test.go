package ingest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/petpro/fabric/publisher/ingest"
	"github.com/petpro/fabric/subjects"
)

var kinds = subjects.Kinds{"booking"}

func TestParse(t *testing.T) {
	const most = 64
	for _, tt := range []struct {
		subject, data string
		want          error
		target        string
		event         bool
	}{
		{subject: "ingest.booking.42.reminder", data: `{"a": 1}`, target: "booking.42.reminder", event: true},
		{subject: "ingest.booking.42.status", data: "null", target: "booking.42.status", event: true},
		{subject: "ingest.user.u_7.notification", data: `"hi"`, target: "user.u_7.notification", event: true},
		{subject: "ingest.user.u_7.control", data: `{"notBefore":1700000000}`, target: "user.u_7.control"},

		{subject: "booking.42.reminder", data: `{}`, want: ingest.ErrSubject},
		{subject: "ingest.booking.42.access", data: `{}`, want: ingest.ErrSubject},
		{subject: "ingest.booking.42.control", data: `{}`, want: ingest.ErrSubject},
		{subject: "ingest.booking.42", data: `{}`, want: ingest.ErrSubject},
		{subject: "ingest.booking.42.a.b", data: `{}`, want: ingest.ErrSubject},
		{subject: "ingest.order.42.status", data: `{}`, want: ingest.ErrSubject},
		{subject: "ingest.user.u_7.booking.42", data: `{}`, want: ingest.ErrSubject},
		{subject: "ingest.user.u_7.message", data: `{}`, want: ingest.ErrSubject},
		{subject: "ingest.user.a@b.example.notification", data: `{}`, want: ingest.ErrSubject},
		{subject: "ingest.fabric.epoch", data: `{}`, want: ingest.ErrSubject},
		{subject: "ingest.fabric.position", data: `{}`, want: ingest.ErrSubject},
		{subject: "ingest.ingest.booking.42.status", data: `{}`, want: ingest.ErrSubject},
		{subject: "ingest.booking.*.status", data: `{}`, want: ingest.ErrSubject},
		{subject: "ingest.booking." + strings.Repeat("x", 300) + ".status", data: `{}`, want: ingest.ErrSubject},

		{subject: "ingest.booking.42.reminder", data: "", want: ingest.ErrJSON},
		{subject: "ingest.booking.42.reminder", data: "hello", want: ingest.ErrJSON},
		{subject: "ingest.booking.42.reminder", data: `{} {}`, want: ingest.ErrJSON},
		{subject: "ingest.booking.42.reminder", data: "\"\xff\"", want: ingest.ErrJSON},
		{subject: "ingest.user.u_7.control", data: `{}`, want: ingest.ErrJSON},
		{subject: "ingest.user.u_7.control", data: `{"notBefore":"now"}`, want: ingest.ErrJSON},
		{subject: "ingest.user.u_7.control", data: `{"notBefore":-1}`, want: ingest.ErrJSON},
		{subject: "ingest.user.u_7.control", data: `{"notBefore":1795412666000}`, want: ingest.ErrJSON},

		{subject: "ingest.booking.42.reminder", data: `"` + strings.Repeat("x", most-2) + `"`, target: "booking.42.reminder", event: true},
		{subject: "ingest.booking.42.reminder", data: `"` + strings.Repeat("x", most-1) + `"`, want: ingest.ErrSize},
		{subject: "ingest.booking.42.reminder", data: `"` + strings.Repeat("x", 1<<20), want: ingest.ErrSize},
	} {
		m, err := ingest.Parse(kinds, tt.subject, []byte(tt.data), most)
		if !errors.Is(err, tt.want) {
			t.Errorf("Parse(%.40q, %.40q) = %v, want %v", tt.subject, tt.data, err, tt.want)
		}
		if m.Subject != tt.target || m.Event != tt.event {
			t.Errorf("Parse(%.40q) = %q, event %t, want %q, %t", tt.subject, m.Subject, m.Event, tt.target, tt.event)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("ingest.booking.42.reminder", []byte(`{ "a" : [1, 2] }`))
	f.Add("ingest.user.u_7.control", []byte(`{"notBefore":1}`))
	f.Add("ingest.fabric.epoch", []byte("\"\u2028\""))
	f.Fuzz(func(t *testing.T, subject string, data []byte) {
		m, err := ingest.Parse(kinds, subject, data, 1024)
		if err != nil {
			return
		}
		name, err := kinds.Parse(m.Subject)
		if err != nil || name.Class != subjects.Event && name.Class != subjects.Logout {
			t.Errorf("Parse(%q) lets %q through: %+v, %v", subject, m.Subject, name, err)
		}
		if subject != subjects.IngestPrefix+m.Subject {
			t.Errorf("Parse(%q) goes to %q", subject, m.Subject)
		}
		if !json.Valid(m.Data) || !utf8.Valid(m.Data) || len(m.Data) > 1024 || strings.ContainsAny(string(m.Data), "\r\n") {
			t.Errorf("Parse lets %q through", m.Data)
		}
	})
}

func ExampleParse() {
	m, err := ingest.Parse(subjects.Kinds{"booking"}, "ingest.booking.42.reminder", []byte(`{ "in": "1h" }`), 16<<10)
	fmt.Println(m.Subject, string(m.Data), err)
	_, err = ingest.Parse(subjects.Kinds{"booking"}, "ingest.booking.42.access", []byte(`{}`), 16<<10)
	fmt.Println(err)
	// Output:
	// booking.42.reminder {"in":"1h"} <nil>
	// not a subject for services: "ingest.booking.42.access": only the publisher writes these records, from the database
}
