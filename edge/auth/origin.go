package auth

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Origins lists where pages may come from that connect with a browser:
// "https://app.example.com", or "*" for anywhere. Empty means that Origin is
// not looked at, which is right as long as no cookie carries the token: any
// program but a browser can send what Origin it likes.
type Origins []string

// Validate returns every complaint at once, each with its configuration key.
func (o Origins) Validate() error {
	var errs []error
	for _, origin := range o {
		u, err := url.Parse(origin)
		if origin != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != origin || strings.Contains(origin, "*")) {
			errs = append(errs, fmt.Errorf("edge.origins: %q is no origin, must be like https://app.example.com (no path, no slash at the end) or *", origin))
		}
	}
	return errors.Join(errs...)
}

// Check returns an error that says what to do unless a request with this Origin
// header may connect. If the token came in a cookie, the origin must be there
// and listed by name.
func (o Origins) Check(origin string, cookie bool) error {
	listed := slices.ContainsFunc(o, func(s string) bool { return strings.EqualFold(s, origin) })
	switch {
	case cookie && origin == "":
		return errors.New("a token in a cookie needs an Origin header; send the token in connect instead")
	case cookie && (!listed || origin == "*"):
		return fmt.Errorf("origin %.100q may not use the cookie; it must be in edge.origins by name", origin)
	case cookie, origin == "", len(o) == 0, listed, slices.Contains(o, "*"):
		return nil
	}
	return fmt.Errorf("origin %.100q is not allowed; it must be in edge.origins", origin)
}
