package config

import (
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"

	"github.com/petpro/fabric/edge/auth"
)

// hidden stands where a secret was.
const hidden = "(hidden)"

// Redacted is c without anything secret: keys' secrets, and passwords in URLs
// and DSNs.
func (c Config) Redacted() Config {
	c.Auth.Keys = slices.Clone(c.Auth.Keys)
	for i := range c.Auth.Keys {
		c.Auth.Keys[i] = redactKey(c.Auth.Keys[i])
	}
	c.Auth.JWKS.URL = redactURL(c.Auth.JWKS.URL)
	c.NATS.URLs = redactURLs(c.NATS.URLs)
	c.Publisher.Sources = slices.Clone(c.Publisher.Sources)
	for i := range c.Publisher.Sources {
		s := &c.Publisher.Sources[i]
		s.Postgres.DSN, s.Outbox.DSN = RedactDSN(s.Postgres.DSN), RedactDSN(s.Outbox.DSN)
	}
	return c
}

// LogValue keeps secrets out of logs.
func (c Config) LogValue() slog.Value {
	type plain Config // without LogValue, which slog would call again
	return slog.AnyValue(plain(c.Redacted()))
}

// Format keeps secrets out of what fmt prints, whatever the verb.
func (c Config) Format(f fmt.State, verb rune) {
	type plain Config
	fmt.Fprintf(f, fmt.FormatString(f, verb), plain(c.Redacted()))
}

func redactKey(k auth.Key) auth.Key {
	if k.Secret != "" {
		k.Secret = hidden
	}
	return k
}

func redactURLs(urls []string) []string {
	out := make([]string, len(urls))
	for i, u := range urls {
		out[i] = redactURL(u)
	}
	return out
}

// redactURL hides the password, and a lone user name too: NATS takes it for a
// token. What does not parse is hidden up to its last '@'.
func redactURL(s string) string {
	u, err := url.Parse(s)
	if err == nil && u.User == nil {
		return s
	}
	if err != nil || u.Host == "" {
		if i := strings.LastIndexByte(s, '@'); i >= 0 {
			return hidden + s[i:]
		}
		return s
	}
	user := u.User.Username() + ":"
	if _, has := u.User.Password(); !has {
		user = ""
	}
	u.User = nil
	return strings.Replace(u.String(), "://", "://"+user+hidden+"@", 1)
}
