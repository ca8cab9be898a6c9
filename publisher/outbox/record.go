package outbox

import (
	"fmt"
	"strings"

	"github.com/petpro/fabric/publisher"
)

// A row is written, by triggers and for snapshots, as ROW(…)::text: the output
// form of a composite type
// (https://www.postgresql.org/docs/current/rowtypes.html#ROWTYPES-IO-SYNTAX).
// It is one call for all columns, and gives of each column what the output
// function of its type does, whatever casts to text the database has; NULL is
// told apart from the empty text.

// recordSQL is the expression that writes columns of the row called by that
// name in the statement (NEW, OLD or an alias). Of a column named "" it writes
// NULL.
func recordSQL(row string, columns []string) string {
	var b strings.Builder
	b.WriteString("ROW(")
	for i, c := range columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(row + "." + quote(c))
	}
	b.WriteString(")::text")
	return b.String()
}

// parseRecord reads the fields of "(b1,,\"a text\",\"\")" into fields, which
// must be as many. They share s where nothing in them is quoted.
func parseRecord(s string, fields []publisher.Value) error {
	if len(s) < 2 || s[0] != '(' || s[len(s)-1] != ')' {
		return fmt.Errorf("a record must stand in parentheses, %d bytes do not", len(s))
	}
	rest := s[1 : len(s)-1]
	for i := range fields {
		if i > 0 {
			if rest == "" || rest[0] != ',' {
				return fmt.Errorf("record has %d fields, want %d", i, len(fields))
			}
			rest = rest[1:]
		}
		var err error
		if fields[i], rest, err = cutField(rest); err != nil {
			return fmt.Errorf("field %d of a record: %w", i, err)
		}
	}
	if rest != "" {
		return fmt.Errorf("record goes on behind %d fields", len(fields))
	}
	return nil
}

// cutField takes a field off s, up to the comma or the end.
func cutField(s string) (v publisher.Value, rest string, err error) {
	if s == "" || s[0] == ',' {
		return publisher.Value{}, s, nil
	}
	if s[0] != '"' {
		end := strings.IndexByte(s, ',')
		if end < 0 {
			end = len(s)
		}
		return publisher.Value{Text: s[:end], Valid: true}, s[end:], nil
	}
	// Inside quotes, quotes and backslashes stand doubled.
	i := 1
	for ; i < len(s); i++ {
		if s[i] != '"' && s[i] != '\\' {
			continue
		}
		if i+1 < len(s) && s[i+1] == s[i] {
			return cutEscaped(s, i)
		}
		break
	}
	if i >= len(s) || s[i] != '"' {
		return v, s, fmt.Errorf("a quote is not closed, or a backslash stands alone")
	}
	return publisher.Value{Text: s[1:i], Valid: true}, s[i+1:], behindQuote(s[i+1:])
}

// cutEscaped is cutField for a quoted field with the first doubled sign at i.
func cutEscaped(s string, i int) (v publisher.Value, rest string, err error) {
	var b strings.Builder
	start := 1
	for ; i < len(s); i++ {
		if s[i] != '"' && s[i] != '\\' {
			continue
		}
		if i+1 < len(s) && s[i+1] == s[i] {
			b.WriteString(s[start : i+1])
			i++
			start = i + 1
			continue
		}
		if s[i] == '\\' {
			break
		}
		b.WriteString(s[start:i])
		return publisher.Value{Text: b.String(), Valid: true}, s[i+1:], behindQuote(s[i+1:])
	}
	return v, s, fmt.Errorf("a quote is not closed, or a backslash stands alone")
}

func behindQuote(rest string) error {
	if rest != "" && rest[0] != ',' {
		return fmt.Errorf("a quoted field goes on behind its quote")
	}
	return nil
}
