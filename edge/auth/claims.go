package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/petpro/fabric/edge/access"
	"github.com/petpro/fabric/subjects"
)

// maxTime bounds the times in a token: the year 5138, and far from where
// arithmetic on time.Time would overflow.
const maxTime = 1e11

// identity reads the claims of a token whose signature is good. The expiry is
// judged last, so that ErrExpired says that all else is right.
func (c Config) identity(claims map[string]any, key string, now time.Time) (access.Identity, error) {
	id := access.Identity{Key: key}
	var expires, notBefore time.Time
	for _, step := range []func() error{
		func() error { return c.checkParties(claims) },
		func() (err error) { id.User, err = user(claims, c.Claims.User); return },
		func() (err error) { id.Roles, err = texts(claims, c.Claims.Roles); return },
		func() (err error) { id.Rooms, err = rooms(claims, c.Claims.Rooms); return },
		func() (err error) { id.IssuedAt, err = instant(claims, "iat"); return },
		func() (err error) { notBefore, err = instant(claims, "nbf"); return },
		func() (err error) { expires, err = instant(claims, "exp"); return },
	} {
		if err := step(); err != nil {
			return access.Identity{}, claimError{err.Error()}
		}
	}
	soon := now.Add(c.Leeway)
	switch {
	case id.IssuedAt.After(soon):
		return access.Identity{}, claimError{"it was issued in the future (iat)"}
	case notBefore.After(soon):
		return access.Identity{}, claimError{"it is not valid yet (nbf)"}
	case expires.IsZero():
		return access.Identity{}, claimError{"it has no exp"}
	case !now.Before(expires):
		return access.Identity{}, fmt.Errorf("%w at %s", ErrExpired, expires.UTC().Format(time.RFC3339))
	}
	id.Expires = expires
	return id, nil
}

// checkParties compares iss and aud with what is configured.
func (c Config) checkParties(claims map[string]any) error {
	if c.Issuer != "" && claims["iss"] != c.Issuer {
		return errors.New("it is from another issuer (iss)")
	}
	if c.Audience == "" {
		return nil
	}
	audience, err := texts(claims, "aud")
	if err != nil {
		return err
	}
	if !slices.Contains(audience, c.Audience) {
		return errors.New("it is for another audience (aud)")
	}
	return nil
}

// lookup finds a claim by its name as it stands, else by its parts:
// "realm_access.roles" is the key roles of the object realm_access. Names such
// as "https://petpro.example/roles" hold dots too, hence the order.
func lookup(claims map[string]any, name string) any {
	if v, ok := claims[name]; ok {
		return v
	}
	first, rest, dotted := strings.Cut(name, ".")
	if inner, ok := claims[first].(map[string]any); dotted && ok {
		return lookup(inner, rest)
	}
	return nil
}

// user reads a user id: a string, or a whole number, as databases give them.
func user(claims map[string]any, name string) (string, error) {
	var id string
	switch v := lookup(claims, name).(type) {
	case nil:
		return "", fmt.Errorf("it has no %s, which names the user", name)
	case string:
		id = v
	case json.Number:
		id = v.String()
	default:
		return "", fmt.Errorf("%s is no string", name)
	}
	if err := subjects.CheckID(id); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return id, nil
}

// texts reads a list of strings, or a single one as a list of one. A string is
// never split: "not admin" is one role.
func texts(claims map[string]any, name string) ([]string, error) {
	switch v := lookup(claims, name).(type) {
	case nil:
		return nil, nil
	case string:
		return []string{v}, nil
	case []any:
		list := make([]string, 0, len(v))
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, fmt.Errorf("%s holds something that is no string", name)
			}
			list = append(list, s)
		}
		return list, nil
	}
	return nil, fmt.Errorf("%s must be a string or a list of strings", name)
}

// rooms reads the rooms that the token covers by itself.
func rooms(claims map[string]any, name string) ([]string, error) {
	list, err := texts(claims, name)
	if err != nil {
		return nil, err
	}
	for _, room := range list {
		if err := checkRoom(room); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return list, nil
}

// checkRoom takes <kind>.<id> and <kind>.*, but no user's room: that one
// belongs to its user, whatever anybody signs.
func checkRoom(room string) error {
	kind, all := strings.CutSuffix(room, ".*")
	if all {
		if err := subjects.CheckID(kind); err != nil {
			return fmt.Errorf("room %q: kind: %w", room, err)
		}
	} else {
		r, err := subjects.ParseRoom(room)
		if err != nil {
			return err
		}
		kind = r.Kind()
	}
	if kind == subjects.UserKind {
		return fmt.Errorf("room %q: a user's room cannot be given away", room)
	}
	return nil
}

// instant reads a NumericDate (RFC 7519 §2); zero if it is absent.
func instant(claims map[string]any, name string) (time.Time, error) {
	v, ok := claims[name]
	if !ok || v == nil {
		return time.Time{}, nil
	}
	n, ok := v.(json.Number)
	if !ok {
		return time.Time{}, fmt.Errorf("%s is no number", name)
	}
	seconds, err := n.Float64()
	if err != nil || seconds < 0 || seconds > maxTime {
		return time.Time{}, fmt.Errorf("%s is no time in seconds", name)
	}
	whole := int64(seconds)
	return time.Unix(whole, int64((seconds-float64(whole))*float64(time.Second))), nil
}
