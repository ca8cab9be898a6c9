package publisher

import (
	"math"
	"strings"
	"time"
)

// canonicalTime gives a time column as RFC 3339 in UTC. A text that is no time
// in any form known here is passed through as it is: to halt the whole shop for
// one odd date would be worse, and null would hide what the row says.
func canonicalTime(v Value) Value {
	if !v.Valid {
		return v
	}
	t, ok := parseTime(v.Text)
	if !ok {
		return v
	}
	return Value{t.Format(time.RFC3339Nano), true}
}

// parseTime reads the forms in which SQLite and Postgres keep times
// (https://sqlite.org/lang_datefunc.html §2): dates with or without time,
// fraction and zone, a time of day alone, Julian days, and unix time in s, ms,
// µs or ns. Without a zone the time is UTC, as SQLite has it. "now" is no stored
// time: it would mean another one with every look.
func parseTime(text string) (time.Time, bool) {
	text = strings.TrimSpace(text)
	t, ok := parseCalendar(text)
	if !ok {
		t, ok = parseClock(text)
	}
	if !ok {
		t, ok = parseCount(text)
	}
	t = t.UTC()
	return t, ok && t.Year() >= 0 && t.Year() <= 9999 // RFC 3339 has four digits
}

// parseCalendar reads "2026-11-22", "2026-11-22 19:27", "2026-11-22T19:27:47.5Z"
// "2026-11-22 19:27:47.541933+00" and the like.
func parseCalendar(s string) (time.Time, bool) {
	year, s, ok1 := digits(s, 4, "-")
	month, s, ok2 := digits(s, 2, "-")
	day, s, ok3 := digits(s, 2, "")
	if !ok1 || !ok2 || !ok3 || month < 1 || month > 12 {
		return time.Time{}, false
	}
	var hour, minute, second, nano, offset int
	if s != "" {
		if s[0] != ' ' && s[0] != 'T' && s[0] != 't' {
			return time.Time{}, false
		}
		var ok bool
		if hour, minute, second, nano, s, ok = clock(s[1:]); !ok {
			return time.Time{}, false
		}
		if offset, ok = zone(strings.TrimPrefix(s, " ")); !ok {
			return time.Time{}, false
		}
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second-offset, nano, time.UTC)
	// time.Date takes the 31st of February for the 3rd of March.
	exists := day >= 1 && time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Day() == day
	return t, exists
}

// parseClock reads a time of day alone, which SQLite takes for one on
// 2000-01-01.
func parseClock(s string) (time.Time, bool) {
	hour, minute, second, nano, s, ok := clock(s)
	if !ok {
		return time.Time{}, false
	}
	offset, ok := zone(strings.TrimPrefix(s, " "))
	return time.Date(2000, time.January, 1, hour, minute, second-offset, nano, time.UTC), ok
}

// clock reads HH:MM[:SS[.fraction]] and returns what follows.
func clock(s string) (hour, minute, second, nano int, rest string, ok bool) {
	hour, s, ok1 := digits(s, 2, ":")
	minute, s, ok2 := digits(s, 2, "")
	ok = ok1 && ok2 && hour < 24 && minute < 60
	if !ok || !strings.HasPrefix(s, ":") {
		return hour, minute, 0, 0, s, ok
	}
	second, s, ok = digits(s[1:], 2, "")
	if !ok || second > 59 || !strings.HasPrefix(s, ".") {
		return hour, minute, second, 0, s, ok && second <= 59
	}
	s = s[1:]
	unit := int(100 * time.Millisecond)
	rest = strings.TrimLeft(s, "0123456789")
	for _, c := range []byte(s[:len(s)-len(rest)]) {
		nano += int(c-'0') * unit
		unit /= 10
	}
	return hour, minute, second, nano, rest, len(rest) < len(s)
}

// zone reads "", Z, ±HH, ±HHMM or ±HH:MM as seconds east of UTC.
func zone(s string) (seconds int, ok bool) {
	if s == "" || s == "Z" || s == "z" {
		return 0, true
	}
	sign := 1
	switch s[0] {
	case '-':
		sign = -1
	case '+':
	default:
		return 0, false
	}
	hours, s, ok := digits(s[1:], 2, "")
	if !ok || s == "" {
		return sign * hours * 3600, ok && hours < 24
	}
	minutes, s, ok := digits(strings.TrimPrefix(s, ":"), 2, "")
	return sign * (hours*3600 + minutes*60), ok && s == "" && hours < 24 && minutes < 60
}

// digits reads exactly n digits and then the separator.
func digits(s string, n int, separator string) (value int, rest string, ok bool) {
	if len(s) < n {
		return 0, "", false
	}
	for i := range n {
		if s[i] < '0' || s[i] > '9' {
			return 0, "", false
		}
		value = value*10 + int(s[i]-'0')
	}
	rest, ok = strings.CutPrefix(s[n:], separator)
	return value, rest, ok
}

// Julian days from the first day of year 0 to the last of 9999: numbers in this
// range are days, as with SQLite's modifier 'auto'. Read as unix time they would
// lie in the first weeks of 1970.
const (
	julianFrom  = 1721059.5
	julianTo    = 5373484.5
	julianEpoch = 2440587.5 // 1970-01-01T00:00Z
)

// parseCount reads a Julian day, or unix time, whose unit its size tells:
// seconds reach 1e11 in the year 5138, milliseconds 1e14, microseconds 1e17.
func parseCount(text string) (time.Time, bool) {
	n, ok := parseNumber(text)
	if !ok {
		return time.Time{}, false
	}
	size := math.Abs(n.float)
	switch {
	case n.float >= julianFrom && n.float < julianTo:
		// Doubles resolve a day of our time to 40 µs: milliseconds, as SQLite.
		return time.UnixMilli(int64(math.Round((n.float - julianEpoch) * 86_400_000))), true
	case n.whole && size < 1e11:
		return time.Unix(n.integer, 0), true
	case n.whole && size < 1e14:
		return time.UnixMilli(n.integer), true
	case n.whole && size < 1e17:
		return time.UnixMicro(n.integer), true
	case n.whole:
		return time.Unix(0, n.integer), true
	case size < 1e11:
		return time.UnixMicro(int64(math.Round(n.float * 1e6))), true
	case size < 1e14:
		return time.UnixMicro(int64(math.Round(n.float * 1e3))), true
	}
	return time.Time{}, false
}

// formatTime is how times are written into payloads and records; empty for an
// unknown time.
func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
