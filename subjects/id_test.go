package subjects_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/petpro/fabric/subjects"
)

func TestCheckID(t *testing.T) {
	for _, id := range []string{"1", "u_7", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "2c5ea4c0-4067-11e9-8bad-9b1deb4d3b7d", "a@b", "$SYS", "~!#%&'()+,-/:;<=?[]^`{|}", strings.Repeat("x", subjects.MaxID)} {
		if err := subjects.CheckID(id); err != nil {
			t.Errorf("CheckID(%q) = %v", id, err)
		}
	}
	for _, tt := range []struct{ id, why string }{
		{"", "it is empty"},
		{strings.Repeat("x", subjects.MaxID+1), "129 bytes long, at most 128"},
		{"a.b", `holds '.'`},
		{"jane@example.com", "use the account id instead"},
		{"jane.doe@example.com", "use the account id instead"},
		{"*", `holds '*'`},
		{"a>", `holds '>'`},
		{"a b", "0x20"},
		{"a\n", "0x0a"},
		{"a\x7f", "0x7f"},
		{"é", "0xc3"},
		{"a\x00", "0x00"},
	} {
		if err := subjects.CheckID(tt.id); !errors.Is(err, subjects.ErrID) || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("CheckID(%.40q) = %v, want ErrID with %q", tt.id, err, tt.why)
		}
	}
}

// FuzzCheckID: an id that passes is exactly one token to nats-server.
func FuzzCheckID(f *testing.F) {
	for _, s := range []string{"u_7", "a.b", "*", ">", "a@b.c", "", " ", "é", "\x7f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if err := subjects.CheckID(id); err != nil {
			if !errors.Is(err, subjects.ErrID) {
				t.Errorf("CheckID(%q) = %v, want ErrID", id, err)
			}
			return
		}
		subject := "booking." + id + ".status"
		if !server.IsValidLiteralSubject(subject) {
			t.Errorf("CheckID takes %q, of which nats-server makes no literal subject", id)
		}
		if !server.SubjectMatchesFilter(subject, "booking.*.status") {
			t.Errorf("CheckID takes %q, which is not one token to nats-server", id)
		}
	})
}
