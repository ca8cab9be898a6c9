package subjects_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/petpro/fabric/subjects"
)

var kinds = subjects.Kinds{"booking", "order"}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		subject string
		want    subjects.Name
	}{
		{"fabric.epoch", subjects.Name{Class: subjects.NewEpoch}},
		{"fabric.position", subjects.Name{Class: subjects.Progress}},
		{"booking.42.status", subjects.Name{Class: subjects.Event, Room: "booking.42", Type: "status"}},
		{"order.ab-1.shipped", subjects.Name{Class: subjects.Event, Room: "order.ab-1", Type: "shipped"}},
		{"booking.42.access", subjects.Name{Class: subjects.Grant, Room: "booking.42"}},
		{"user.u_7.notification", subjects.Name{Class: subjects.Event, Room: "user.u_7", Type: "notification"}},
		{"user.u_7.control", subjects.Name{Class: subjects.Logout, Room: "user.u_7"}},
		{"user.u_7.booking.42", subjects.Name{Class: subjects.Indexed, Room: "user.u_7", Target: "booking.42"}},
		{"user.u_7.order.9", subjects.Name{Class: subjects.Indexed, Room: "user.u_7", Target: "order.9"}},
		// Ids may look like anything but the signs of NATS.
		{"booking.booking.status", subjects.Name{Class: subjects.Event, Room: "booking.booking", Type: "status"}},
		{"booking.$x/y=z.status", subjects.Name{Class: subjects.Event, Room: "booking.$x/y=z", Type: "status"}},
	} {
		got, err := kinds.Parse(tt.subject)
		if err != nil || got != tt.want {
			t.Errorf("Parse(%q) = %+v, %v, want %+v", tt.subject, got, err, tt.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ subject, why string }{
		{"", "fewer than three tokens"},
		{"booking", "fewer than three tokens"},
		{"booking.42", "fewer than three tokens"},
		{"booking.42.", "fewer than three tokens"},
		{"fabric.other", "fewer than three tokens"},
		{"fabric.epoch.x", `unknown kind "fabric"`},
		{"room.42.status", `unknown kind "room", this fabric has [booking order]`},
		{"ingest.booking.42", `unknown kind "ingest"`},
		{"booking..status", "it is empty"},
		{"booking.*.status", "meaning in NATS"},
		{"booking.42.>", "meaning in NATS"},
		{"booking.42.a.b", "four tokens and is no index record"},
		{"booking.42.booking.7", "four tokens and is no index record"},
		{"user.u_7.notification.x", "four tokens and is no index record"},
		{"user.u_7.booking.4.2", "meaning in NATS"},
		{"user.u_7.booking.", "it is empty"},
		{"booking.42.control", `the type "control" is reserved`},
		{"booking.42.booking", `the type "booking" is reserved`},
		{"booking.42.order", `the type "order" is reserved`},
		{"user.u_7.access", `the type "access" is reserved`},
		{"user.u_7.booking", `the type "booking" is reserved`},
		{"booking." + strings.Repeat("x", 300) + ".status", "at most 128"},
	} {
		got, err := kinds.Parse(tt.subject)
		if !errors.Is(err, subjects.ErrID) || got.Class != subjects.Unknown || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("Parse(%.60q) = %+v, %v, want an error with %q", tt.subject, got, err, tt.why)
		}
		if err != nil && len(err.Error()) > 1024 {
			t.Errorf("Parse(%.60q) repeats %d bytes of hostile input", tt.subject, len(err.Error()))
		}
	}
}

func TestIndexSubject(t *testing.T) {
	s := subjects.IndexSubject("u_7", "booking.42")
	if s != "user.u_7.booking.42" || !subjects.Match(subjects.IndexPattern("u_7", "booking"), s) {
		t.Errorf("IndexSubject = %q, not matched by %q", s, subjects.IndexPattern("u_7", "booking"))
	}
	if subjects.Match(subjects.UserRoom("u_7").Pattern(), s) {
		t.Errorf("the pattern of a room matches the index record %q", s)
	}
}

// FuzzParse: what Parse takes can be published, lies in the stream, and is
// made of the parts it names.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"fabric.epoch", "fabric.position", "booking.42.status", "booking.42.access", "user.u_7.notification",
		"user.u_7.control", "user.u_7.booking.42", "booking.42.booking", "order.a.b.c", "user.a@b.c.notification", "booking.é.status",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, subject string) {
		n, err := kinds.Parse(subject)
		if err != nil {
			if !errors.Is(err, subjects.ErrID) || n != (subjects.Name{}) {
				t.Errorf("Parse(%q) = %+v, %v, want the zero Name and ErrID", subject, n, err)
			}
			return
		}
		if !server.IsValidLiteralSubject(subject) {
			t.Errorf("Parse takes %q, nats-server does not", subject)
		}
		in := false
		for _, pattern := range kinds.Streamed() {
			in = in || server.SubjectMatchesFilter(subject, pattern)
		}
		if !in {
			t.Errorf("Parse takes %q, which is in none of %q", subject, kinds.Streamed())
		}
		if n.Class == subjects.NewEpoch || n.Class == subjects.Progress {
			return
		}
		if room, err := kinds.Room(string(n.Room)); err != nil || room != n.Room {
			t.Errorf("room of %q: %q, %v", subject, n.Room, err)
		}
		want := map[subjects.Class]string{
			subjects.Event:   n.Room.Subject(n.Type),
			subjects.Grant:   n.Room.Subject(subjects.AccessType),
			subjects.Logout:  n.Room.Subject(subjects.ControlType),
			subjects.Indexed: subjects.IndexSubject(n.Room.ID(), n.Target),
		}[n.Class]
		if want != subject {
			t.Errorf("Parse(%q) = %+v, which is %q", subject, n, want)
		}
	})
}
