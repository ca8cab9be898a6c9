package subjects_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/petpro/fabric/subjects"
)

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, subject string
		want             bool
	}{
		{"booking.42.status", "booking.42.status", true},
		{"booking.*.status", "booking.42.status", true},
		{"booking.42.*", "booking.42.status", true},
		{"booking.>", "booking.42.status", true},
		{">", "booking", true},
		{"*", "booking", true},
		{"booking.*", "booking.42.status", false},
		{"booking.>", "booking", false},
		{"booking.42.*", "booking.42", false},
		{"booking.42.status", "booking.42.access", false},
		{"user.u_7.*", "user.u_7.booking.42", false},
		{"user.u_7.booking.*", "user.u_7.booking.42", true},
		// No literal subjects, no valid patterns.
		{"booking.*", "booking.*", false},
		{">", "booking.>", false},
		{">", "", false},
		{">", "a..b", false},
		{"", "", false},
		{"a.>.c", "a.b.c", false},
		{"*0", "0", false},
		{"*0", "*0", true},
	} {
		if got := subjects.Match(tt.pattern, tt.subject); got != tt.want {
			t.Errorf("Match(%q, %q) = %t, want %t", tt.pattern, tt.subject, got, tt.want)
		}
	}
}

// FuzzMatch compares Match with nats-server's own matching.
func FuzzMatch(f *testing.F) {
	for _, s := range [][2]string{
		{"booking.*.status", "booking.42.status"}, {"booking.>", "booking.42.status"}, {">", "a"}, {"*.*", "a.b"},
		{"a.>", "a"}, {"a.*.>", "a.b"}, {"a*.b", "a*.b"}, {"a>", "a>"}, {"a..b", "a.x.b"}, {".", "."}, {"a.>.b", "a.c.b"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, subject string) {
		got := subjects.Match(pattern, subject)
		if !server.IsValidSubject(pattern) || !server.IsValidLiteralSubject(subject) {
			if got && !server.IsValidLiteralSubject(subject) && tokens(subject) {
				t.Errorf("Match(%q, %q) is true for a subject that is not literal", pattern, subject)
			}
			return
		}
		if quirk(pattern) {
			return
		}
		if want := server.SubjectMatchesFilter(subject, pattern); got != want {
			t.Errorf("Match(%q, %q) = %t, nats-server says %t", pattern, subject, got, want)
		}
	})
}

// quirk says whether a token of the pattern begins with a wildcard and goes on.
// nats-server takes it for an ordinary token when it routes, and for the
// wildcard in SubjectMatchesFilter (2.15.2); no pattern of ours has one.
func quirk(pattern string) bool {
	for token := range strings.SplitSeq(pattern, ".") {
		if len(token) > 1 && (token[0] == '*' || token[0] == '>') {
			return true
		}
	}
	return false
}

// tokens says whether s holds no byte that Match does not look at but
// nats-server refuses: blanks.
func tokens(s string) bool {
	for _, c := range s {
		if c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' {
			return false
		}
	}
	return true
}
