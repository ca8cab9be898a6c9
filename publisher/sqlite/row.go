package sqlite

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/petpro/fabric/publisher"
)

// A row is written into the log, and read for a snapshot, as a list of SQL
// literals: "id"='b1',"note"='it''s',"seats"=4,"deleted_at"=NULL. quote()
// writes them: it is in every SQLite, is exact for numbers of any size, and
// tells NULL, the empty text and blobs apart.

// quoteName writes an identifier for SQL.
func quoteName(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// quoteText writes a text literal for SQL.
func quoteText(s string) string { return `'` + strings.ReplaceAll(s, `'`, `''`) + `'` }

// rowSQL is the expression that writes columns of the row called by that name
// in the statement (NEW, OLD or an alias).
func rowSQL(row string, columns []string) string {
	var b strings.Builder
	for i, c := range columns {
		name := quoteName(c) + "="
		if i > 0 {
			b.WriteString(" || ")
			name = "," + name
		}
		b.WriteString(quoteText(name) + " || quote(" + row + "." + quoteName(c) + ")")
	}
	return b.String()
}

// parseRow reads what rowSQL wrote. Columns that are not listed (the mapping
// was larger when the entry was written) are left out; values share s.
func parseRow(s string, listed []string) (publisher.Row, error) {
	row := make(publisher.Row, len(listed))
	for i, rest := 0, s; ; i++ {
		name, after, ok := cutQuoted(rest, '"')
		if !ok || !strings.HasPrefix(after, "=") {
			return nil, fmt.Errorf("row %q: no column name at byte %d", s, len(s)-len(rest))
		}
		var v publisher.Value
		var err error
		v, rest, err = cutLiteral(after[1:])
		if err != nil {
			return nil, fmt.Errorf("row %q: column %q: %w", s, name, err)
		}
		switch {
		case i < len(listed) && listed[i] == name: // the entry was written for this mapping
			row[listed[i]] = v
		case slices.Contains(listed, name):
			row[name] = v
		}
		if rest == "" {
			return row, nil
		}
		if rest[0] != ',' {
			return nil, fmt.Errorf("row %q: no comma at byte %d", s, len(s)-len(rest))
		}
		rest = rest[1:]
	}
}

// parseLiteral reads one literal.
func parseLiteral(s string) (publisher.Value, error) {
	v, rest, err := cutLiteral(s)
	if err == nil && rest != "" {
		err = fmt.Errorf("%q goes on behind a literal", s)
	}
	return v, err
}

// cutLiteral takes a literal off s. A blob becomes lower-case hexadecimal
// digits.
func cutLiteral(s string) (v publisher.Value, rest string, err error) {
	if text, rest, ok := cutQuoted(s, '\''); ok {
		return publisher.Value{Text: text, Valid: true}, rest, nil
	}
	if rest, ok := strings.CutPrefix(s, "NULL"); ok {
		return publisher.Value{}, rest, nil
	}
	if digits, rest, ok := cutQuoted(strings.TrimPrefix(s, "X"), '\''); ok {
		blob, err := hex.DecodeString(digits)
		return publisher.Value{Text: hex.EncodeToString(blob), Valid: true}, rest, err
	}
	number, rest := s, ""
	if i := strings.IndexByte(s, ','); i >= 0 {
		number, rest = s[:i], s[i:]
	}
	if _, err := strconv.ParseInt(number, 10, 64); err == nil {
		return publisher.Value{Text: number, Valid: true}, rest, nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil && !math.IsInf(f, 0) || f != f {
		return publisher.Value{}, s, fmt.Errorf("%q is no literal", number)
	}
	return publisher.Value{Text: realText(f), Valid: true}, rest, nil
}

// realText shows a real as SQLite does, but with as few digits as tell it from
// all others: SQLite itself writes 15 or 17 digits, depending on its version.
func realText(f float64) string {
	if math.IsInf(f, 0) {
		return strings.TrimPrefix(strconv.FormatFloat(f, 'g', -1, 64), "+")
	}
	if size := math.Abs(f); size == 0 || size >= 1e-4 && size < 1e17 {
		text := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return text
	}
	digits, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	if !strings.Contains(digits, ".") {
		digits += ".0"
	}
	return digits + "e" + exponent
}

// cutQuoted takes a quoted word, in which the quote stands doubled, off s.
func cutQuoted(s string, quote byte) (word, rest string, ok bool) {
	if s == "" || s[0] != quote {
		return "", s, false
	}
	doubled := false
	for i := 1; i < len(s); i++ {
		next := strings.IndexByte(s[i:], quote)
		if next < 0 {
			break
		}
		i += next
		if i+1 < len(s) && s[i+1] == quote {
			doubled = true
			i++
			continue
		}
		word = s[1:i]
		if doubled {
			q := string(quote)
			word = strings.ReplaceAll(word, q+q, q)
		}
		return word, s[i+1:], true
	}
	return "", s, false
}
