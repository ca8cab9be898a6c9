package protocol

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// appendString writes s as a JSON string. Bytes that are no UTF-8 become
// U+FFFD, as encoding/json does it.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += size
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// appendTime writes RFC 3339 with milliseconds in UTC. By hand, because
// time.AppendFormat would be a third of an event's cost.
func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(dst, `"2006-01-02T15:04:05.000Z07:00"`)
	}
	hour, minute, second := t.Clock()
	ms := t.Nanosecond() / int(time.Millisecond)
	dst = append2(append2(append(dst, '"'), year/100), year%100)
	dst = append2(append(dst, '-'), int(month))
	dst = append2(append(dst, '-'), day)
	dst = append2(append(dst, 'T'), hour)
	dst = append2(append(dst, ':'), minute)
	dst = append2(append(dst, ':'), second)
	return append(dst, '.', digit(ms/100), digit(ms/10%10), digit(ms%10), 'Z', '"')
}

func append2(dst []byte, n int) []byte { return append(dst, digit(n/10), digit(n%10)) }

func digit(n int) byte { return '0' + byte(n) }

// appendPayload writes stored JSON as it is, on one line. What the publisher
// checked is not checked again; only a payload that spans lines is looked at,
// and one that is no JSON at all becomes null rather than tear the frame.
func appendPayload(dst, data []byte) []byte {
	if len(data) == 0 {
		return append(dst, "null"...)
	}
	if bytes.IndexByte(data, '\n') < 0 {
		return append(dst, data...)
	}
	var line bytes.Buffer
	if json.Compact(&line, data) != nil {
		return append(dst, "null"...)
	}
	return append(dst, line.Bytes()...)
}

// appendCursor writes a cursor, "" for none.
func appendCursor(dst []byte, c Cursor) []byte {
	dst = append(dst, '"')
	if !c.IsZero() {
		dst = c.Append(dst)
	}
	return append(dst, '"')
}

// appendSeconds writes whole seconds, rounded down and never below 0: a client
// that believes a token ends earlier than it does loses nothing.
func appendSeconds(dst []byte, d time.Duration) []byte {
	return strconv.AppendInt(dst, max(0, int64(d/time.Second)), 10)
}

// appendMillis writes whole milliseconds, never below 0.
func appendMillis(dst []byte, d time.Duration) []byte {
	return strconv.AppendInt(dst, max(0, d.Milliseconds()), 10)
}
