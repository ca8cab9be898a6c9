package subjects

import "strings"

// Match reports whether a literal subject is matched by a pattern in which a
// token '*' stands for any one token and a last token '>' for one or more. It
// agrees with nats-server's own matching for valid subjects and patterns, and
// is false for subjects that are not literal or have an empty token. A '*' or
// '>' within a longer token is an ordinary byte.
func Match(pattern, subject string) bool {
	for {
		p, prest, pmore := strings.Cut(pattern, ".")
		s, srest, smore := strings.Cut(subject, ".")
		switch {
		case s == "" || s == "*" || s == ">" || p == "":
			return false
		case p == ">":
			return !pmore && literal(subject)
		case p != "*" && p != s:
			return false
		case !pmore && !smore:
			return true
		case pmore != smore:
			return false
		}
		pattern, subject = prest, srest
	}
}

func literal(subject string) bool {
	for {
		s, rest, more := strings.Cut(subject, ".")
		if s == "" || s == "*" || s == ">" {
			return false
		}
		if !more {
			return true
		}
		subject = rest
	}
}
