package config

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/petpro/fabric/publisher"
)

// sourcesKey is the list whose elements hold DSNs.
const sourcesKey = "publisher.sources"

// dsn points to the DSN of a source; nil for kinds that have none.
func dsn(s *publisher.SourceConfig) *string {
	switch s.Kind {
	case publisher.KindPostgres:
		return &s.Postgres.DSN
	case publisher.KindOutbox:
		return &s.Outbox.DSN
	}
	return nil
}

// DSNVariable is the environment variable that sets the DSN of the source with
// this name, so that a file need not hold its password:
// FABRIC_PUBLISHER_SOURCES_PET_SHOP_DSN for "pet-shop".
func DSNVariable(source string) string {
	word := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, source)
	return envName(sourcesKey) + "_" + strings.ToUpper(word) + "_DSN"
}

// applyDSNs takes the DSNs of sources from the environment, and complains about
// variables that were meant to be one and fit no source.
func applyDSNs(c *Config, o Origins, p *problems) {
	var known []string
	for i := range c.Publisher.Sources {
		s := &c.Publisher.Sources[i]
		at := dsn(s)
		if at == nil {
			continue
		}
		name := DSNVariable(s.Name)
		if slices.Contains(known, name) {
			p.addf(sourcesKey, o[sourcesKey], "two sources would take their DSN from %s; rename one", name)
		}
		known = append(known, name)
		if value := os.Getenv(name); value != "" {
			*at = value
			o[sourcesKey] += ", " + name
		}
	}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		if value == "" || !strings.HasPrefix(name, envName(sourcesKey)+"_") || !strings.HasSuffix(name, "_DSN") || slices.Contains(known, name) {
			continue
		}
		have := "no source takes a DSN"
		if len(known) > 0 {
			have = "known here: " + strings.Join(known, ", ")
		}
		p.addf(sourcesKey, name, "the variable is of no source; %s", have)
	}
}

// secretParameters of a DSN, as libpq names them (PostgreSQL documentation,
// 34.1.2 "Parameter Key Words").
var secretParameters = []string{"password", "sslpassword"}

// RedactDSN hides the passwords in a DSN, in the form of a URL or of key=value
// pairs. What cannot be read that way is hidden as a whole.
func RedactDSN(s string) string {
	if s == "" {
		return s
	}
	if strings.HasPrefix(s, "postgres://") || strings.HasPrefix(s, "postgresql://") {
		return redactDSNURL(s)
	}
	return redactPairs(s)
}

func redactDSNURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return hidden
	}
	scheme, rest, _ := strings.Cut(s, "://")
	end := strings.IndexAny(rest+"/", "/?#")
	authority, rest := rest[:end], rest[end:]
	if strings.ContainsAny(rest, "@#") {
		return hidden // perhaps of a password that should have been escaped
	}
	if _, has := u.User.Password(); has {
		authority = url.User(u.User.Username()).String() + ":" + hidden + authority[strings.LastIndexByte(authority, '@'):]
	}
	path, query, ok := strings.Cut(rest, "?")
	if !ok {
		return scheme + "://" + authority + path
	}
	parameters := strings.Split(query, "&")
	for i, parameter := range parameters {
		key, _, _ := strings.Cut(parameter, "=")
		if plain, err := url.QueryUnescape(key); err != nil || slices.Contains(secretParameters, strings.ToLower(plain)) {
			parameters[i] = key + "=" + hidden
		}
	}
	return scheme + "://" + authority + path + "?" + strings.Join(parameters, "&")
}

// redactPairs reads key=value pairs as libpq does: a value with spaces stands
// in single quotes, a backslash takes the next character as it is.
func redactPairs(s string) string {
	var b strings.Builder
	for rest := s; rest != ""; {
		key, value, more, err := cutPair(rest)
		if err != nil {
			return hidden
		}
		if key == "" { // spaces at the end
			break
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		if slices.Contains(secretParameters, strings.ToLower(key)) {
			value = hidden
		}
		b.WriteString(key + "=" + value)
		rest = more
	}
	return b.String()
}

// cutPair returns the first pair, its value as it is written, and what follows.
func cutPair(s string) (key, value, rest string, err error) {
	s = strings.TrimLeft(s, " \t\r\n")
	if s == "" {
		return "", "", "", nil
	}
	key, s, ok := strings.Cut(s, "=")
	if key = strings.TrimSpace(key); !ok || key == "" || strings.ContainsAny(key, " \t\r\n'") {
		return "", "", "", fmt.Errorf("no key=value pair")
	}
	s = strings.TrimLeft(s, " \t\r\n")
	quoted := strings.HasPrefix(s, "'")
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case quoted && c == '\'' && i > 0:
			return key, s[:i+1], s[i+1:], nil
		case !quoted && strings.IndexByte(" \t\r\n", c) >= 0:
			return key, s[:i], s[i:], nil
		}
	}
	if quoted {
		return "", "", "", fmt.Errorf("a quote is not closed")
	}
	return key, s, "", nil
}
