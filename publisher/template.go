package publisher

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// template is a parsed text such as "booking.{id}.status": literals and
// references in turn. "{{" and "}}" stand for the braces themselves.
type template []piece

// piece of a template: a literal, or a reference if ref is not nil.
type piece struct {
	literal string
	ref     *reference
}

// reference names a value of a row: {column}, {column.path.in.json},
// {follow[column].column}; a '?' before the closing brace makes it optional.
type reference struct {
	// follow is the followed table to look in, empty for the row itself; via is
	// the row's column that holds the followed row's key.
	follow, via string
	column      string
	path        []string
	optional    bool
}

// parseTemplate reads the syntax; whether the names exist is for the compiler.
func parseTemplate(s string) (template, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("template %q is not UTF-8", s)
	}
	var t template
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			t = append(t, piece{literal: literal.String()})
			literal.Reset()
		}
	}
	for rest := s; rest != ""; {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			literal.WriteString(rest)
			break
		}
		literal.WriteString(rest[:i])
		brace := rest[i]
		rest = rest[i+1:]
		if rest != "" && rest[0] == brace {
			literal.WriteByte(brace)
			rest = rest[1:]
			continue
		}
		body, behind, closed := strings.Cut(rest, "}")
		switch {
		case brace == '}':
			return nil, fmt.Errorf("template %q: '}' without '{'; write \"}}\" for the sign itself", s)
		case !closed:
			return nil, fmt.Errorf("template %q: '{' is never closed; write \"{{\" for the sign itself", s)
		}
		ref, err := parseReference(body)
		if err != nil {
			return nil, fmt.Errorf("template %q: %w", s, err)
		}
		flush()
		t = append(t, piece{ref: ref})
		rest = behind
	}
	flush()
	return t, nil
}

// parseReference reads what stands between the braces.
func parseReference(s string) (*reference, error) {
	r := &reference{}
	body := s
	if strings.HasSuffix(body, "?") {
		r.optional, body = true, body[:len(body)-1]
	}
	if follow, rest, ok := strings.Cut(body, "["); ok {
		via, column, ok := strings.Cut(rest, "].")
		if !ok || !isName(follow) || !isName(via) {
			return nil, fmt.Errorf("{%s}: a lookup is {table[column].column}, for example {services[service_id].provider_id}", s)
		}
		r.follow, r.via, body = follow, via, column
	}
	names := strings.Split(body, ".")
	for _, name := range names {
		if !isName(name) {
			return nil, fmt.Errorf("{%s}: %q is no name; write {column}, {column.path}, {column?} or {table[column].column}", s, name)
		}
	}
	r.column, r.path = names[0], names[1:]
	return r, nil
}

// isName accepts whatever a database may call a column, but for the signs that
// mean something in a template.
func isName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return strings.ContainsRune("{}[].?", c) || unicode.IsSpace(c) || !unicode.IsPrint(c)
	})
}
