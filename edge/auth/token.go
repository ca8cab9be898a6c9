package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/petpro/fabric/edge/access"
)

// MaxToken is the longest token in bytes. Larger ones would not fit the headers
// that carry them anyway.
const MaxToken = 8 << 10

var (
	// ErrToken is returned, wrapped with the reason, for a token that will never
	// be believed.
	ErrToken = errors.New("invalid token")
	// ErrExpired is returned for a token of which only the time is wrong.
	ErrExpired = errors.New("token expired")
	// ErrKeys is returned while the key that a token may need has not been read
	// yet. The same token may be believed a moment later.
	ErrKeys = errors.New("the keys to verify the token are not loaded yet")
)

// claimError is about a token that is missing, or whose signature is good: what
// is wrong with it helps who made it, and tells nobody anything else.
type claimError struct{ text string }

func (e claimError) Error() string { return ErrToken.Error() + ": " + e.text }
func (claimError) Unwrap() error   { return ErrToken }

// Text is what a client is told about an error of Verify: which claim of its
// own token is wrong, nothing about keys.
func Text(err error) string {
	if claim, ok := errors.AsType[claimError](err); ok {
		return claim.Error()
	}
	for _, known := range []error{ErrExpired, ErrKeys} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return ErrToken.Error()
}

// Verify returns who a token speaks for. A leading "Bearer " is tolerated. The
// error is ErrToken, ErrExpired or ErrKeys, wrapped with the reason; show Text
// to the client and the error to the operator.
func (v *Verifier) Verify(token string) (access.Identity, error) {
	token = trimBearer(token)
	switch {
	case token == "":
		return access.Identity{}, claimError{"there is none; send it in connect"}
	case strings.ContainsAny(token, "\r\n"):
		// encoding/base64 skips line breaks, so one token would have many forms.
		return access.Identity{}, fmt.Errorf("%w: it holds a line break", ErrToken)
	case len(token) > MaxToken:
		return access.Identity{}, fmt.Errorf("%w: %d bytes, at most %d are read", ErrToken, len(token), MaxToken)
	}
	claims := jwt.MapClaims{}
	parsed, _, err := v.parser.ParseUnverified(token, claims)
	if err != nil {
		return access.Identity{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	k, err := v.signer(parsed, token)
	if err != nil {
		return access.Identity{}, err
	}
	return v.cfg.identity(claims, k.name, time.Now())
}

// signer finds the key that signed the token.
func (v *Verifier) signer(t *jwt.Token, token string) (key, error) {
	if _, ok := t.Header["crit"]; ok {
		return key{}, fmt.Errorf("%w: it has critical extensions (RFC 7515 §4.1.11), none is understood", ErrToken)
	}
	kid, ok := t.Header["kid"].(string)
	if _, given := t.Header["kid"]; given && !ok {
		return key{}, fmt.Errorf("%w: its kid is no string", ErrToken)
	}
	alg := t.Method.Alg()
	keys := v.keys
	if v.remote != nil {
		keys = slices.Concat(keys, v.remote.keys())
	}
	fit, known := candidates(keys, alg, kid)
	signed := token[:strings.LastIndexByte(token, '.')]
	for _, k := range fit {
		if t.Method.Verify(signed, t.Signature, k.material) == nil {
			return k, nil
		}
	}
	switch {
	case v.remote != nil && !known && v.remote.mayLearn(alg):
		return key{}, fmt.Errorf("kid %q: %w", kid, ErrKeys)
	case len(fit) == 0:
		return key{}, fmt.Errorf("%w: no key for algorithm %q and kid %q", ErrToken, alg, kid)
	}
	return key{}, fmt.Errorf("%w: the signature (%s, kid %q) is wrong", ErrToken, alg, kid)
}

// trimBearer takes the scheme off, in whatever case (RFC 9110 §11.1).
func trimBearer(s string) string {
	const scheme = "bearer "
	s = strings.TrimSpace(s)
	if len(s) > len(scheme) && strings.EqualFold(s[:len(scheme)], scheme) {
		s = strings.TrimSpace(s[len(scheme):])
	}
	return s
}
