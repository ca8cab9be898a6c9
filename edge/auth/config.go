package auth

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Config says which tokens are believed. The zero value believes none.
type Config struct {
	// Keys that may have signed a token.
	Keys []Key `mapstructure:"keys"`
	// JWKS is where further public keys are read from; empty = nowhere.
	JWKS JWKS `mapstructure:"jwks"`
	// Issuer and Audience must match the token's iss and aud; empty = not
	// checked.
	Issuer   string `mapstructure:"issuer"`
	Audience string `mapstructure:"audience"`
	// Leeway is the clock skew tolerated for iat and nbf. It never stretches
	// exp: a token stops working when it says.
	Leeway time.Duration `mapstructure:"leeway"`
	Claims Claims        `mapstructure:"claims"`
	// Cookie is the name of the cookie that may carry the token; empty = off.
	// With it, Origin must be present and listed.
	Cookie string `mapstructure:"cookie"`
	// AdminRoles may enter every room but the users' own.
	AdminRoles []string `mapstructure:"admin_roles"`
}

// Key is one verification key, bound to the algorithms it may be used with.
// Exactly one of the four sources is set.
type Key struct {
	// ID matches the token's kid. A key without one is tried for tokens
	// without a kid, and for tokens whose kid no key has.
	ID string `mapstructure:"id"`
	// Algorithms the key may verify, for example [HS256] or [RS256, PS256].
	Algorithms []string `mapstructure:"algorithms"`
	// Secret of an HS key, at least 32 bytes; or SecretFile, a file with it.
	Secret     string `mapstructure:"secret"`
	SecretFile string `mapstructure:"secret_file"`
	// Public key of an RS, PS, ES or EdDSA key in PEM; or a file with it.
	Public     string `mapstructure:"public"`
	PublicFile string `mapstructure:"public_file"`
}

// JWKS is a published key set (RFC 7517).
type JWKS struct {
	URL string `mapstructure:"url"`
	// Algorithms its keys may be used with.
	Algorithms []string `mapstructure:"algorithms"`
	// Refresh is how often the set is read again; 0 = 10 minutes.
	Refresh time.Duration `mapstructure:"refresh"`
}

// Claims names the claims that carry what the fabric needs.
type Claims struct {
	User  string `mapstructure:"user"`
	Roles string `mapstructure:"roles"`
	Rooms string `mapstructure:"rooms"`
}

// DefaultConfig has the standard claim names and no keys.
func DefaultConfig() Config {
	return Config{
		Leeway: 30 * time.Second,
		Claims: Claims{User: "sub", Roles: "roles", Rooms: "rooms"},
	}
}

// Validate returns every complaint at once, each with its configuration key.
// It reads the files that hold keys.
func (c Config) Validate() error {
	_, err := c.load()
	return err
}

// load reads the configured keys.
func (c Config) load() ([]key, error) {
	var keys []key
	var errs []error
	places := map[string]string{}
	for i, k := range c.Keys {
		place := fmt.Sprintf("auth.keys[%d]", i)
		loaded, err := k.load(place)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if first, taken := places[k.ID]; taken && k.ID != "" {
			errs = append(errs, fmt.Errorf("%s.id: %q is the id of %s too", place, k.ID, first))
		}
		places[k.ID] = place
		keys = append(keys, loaded)
	}
	errs = append(errs, c.JWKS.check()...)
	if c.Leeway < 0 || c.Leeway > 5*time.Minute {
		errs = append(errs, fmt.Errorf("auth.leeway: is %s, must be between 0s and 5m", c.Leeway))
	}
	for _, claim := range []struct{ key, name string }{
		{"user", c.Claims.User}, {"roles", c.Claims.Roles}, {"rooms", c.Claims.Rooms},
	} {
		if claim.name == "" {
			errs = append(errs, fmt.Errorf("auth.claims.%s: is empty, must name a claim of the token", claim.key))
		}
	}
	if strings.ContainsAny(c.Cookie, "=;, \t\"") {
		errs = append(errs, fmt.Errorf("auth.cookie: %q is no name of a cookie", c.Cookie))
	}
	return keys, errors.Join(errs...)
}

func (j JWKS) check() []error {
	if j.URL == "" {
		if len(j.Algorithms) > 0 {
			return []error{errors.New("auth.jwks.url: is empty, but auth.jwks.algorithms is not")}
		}
		return nil
	}
	var errs []error
	if u, err := url.Parse(j.URL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		errs = append(errs, fmt.Errorf("auth.jwks.url: %q is no URL, must be like https://id.example.com/.well-known/jwks.json", j.URL))
	}
	if len(j.Algorithms) == 0 {
		errs = append(errs, errors.New("auth.jwks.algorithms: is empty, must list what its keys may verify, for example [RS256]"))
	}
	for _, alg := range j.Algorithms {
		if err := checkAlgorithm(alg); err != nil {
			errs = append(errs, fmt.Errorf("auth.jwks.algorithms: %w", err))
		} else if strings.HasPrefix(alg, "HS") {
			errs = append(errs, fmt.Errorf("auth.jwks.algorithms: %s needs a secret, and a published one is none", alg))
		}
	}
	if j.Refresh < 0 || j.Refresh > 0 && j.Refresh < minRefresh {
		errs = append(errs, fmt.Errorf("auth.jwks.refresh: is %s, must be at least %s", j.Refresh, minRefresh))
	}
	return errs
}
