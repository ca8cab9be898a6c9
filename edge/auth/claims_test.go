package auth_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/petpro/fabric/edge/auth"
)

func TestIdentity(t *testing.T) {
	cfg := config(t)
	cfg.Claims = auth.Claims{User: "sub", Roles: "realm_access.roles", Rooms: "https://petpro.example/rooms"}
	now := time.Now()
	id, err := verifier(t, cfg).Verify(hs256(t, claims(jwt.MapClaims{
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		"realm_access":                 map[string]any{"roles": []string{"vendor", "not admin"}},
		"https://petpro.example/rooms": []string{"booking.42", "order.*"},
		"roles":                        "admin",
	})))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"vendor", "not admin"}; !reflect.DeepEqual(id.Roles, want) {
		t.Errorf("Roles = %q, want %q", id.Roles, want)
	}
	if want := []string{"booking.42", "order.*"}; !reflect.DeepEqual(id.Rooms, want) {
		t.Errorf("Rooms = %q, want %q", id.Rooms, want)
	}
	if id.IssuedAt.Unix() != now.Unix() || id.Expires.Unix() != now.Add(time.Minute).Unix() {
		t.Errorf("IssuedAt, Expires = %s, %s", id.IssuedAt, id.Expires)
	}
}

func TestClaims(t *testing.T) {
	cfg := config(t)
	cfg.Issuer, cfg.Audience = "https://id.petpro.example", "fabric"
	v := verifier(t, cfg)
	tests := []struct {
		name string
		more jwt.MapClaims
		// says is what the client is told; empty = the token is believed.
		says string
	}{
		{"plain", nil, ""},
		{"audience among others", jwt.MapClaims{"aud": []string{"web", "fabric"}}, ""},
		{"another audience", jwt.MapClaims{"aud": "web"}, "(aud)"},
		{"no audience", jwt.MapClaims{"aud": nil}, "(aud)"},
		{"audience a number", jwt.MapClaims{"aud": 7}, "aud must be"},
		{"another issuer", jwt.MapClaims{"iss": "https://id.petpro.example.evil"}, "(iss)"},
		{"no issuer", jwt.MapClaims{"iss": nil}, "(iss)"},
		{"issuer a list", jwt.MapClaims{"iss": []string{"https://id.petpro.example"}}, "(iss)"},

		{"user a number", jwt.MapClaims{"sub": 42}, ""},
		{"user a fraction", jwt.MapClaims{"sub": 4.2}, "sub"},
		{"no user", jwt.MapClaims{"sub": nil}, "it has no sub"},
		{"user empty", jwt.MapClaims{"sub": ""}, "it is empty"},
		{"user an object", jwt.MapClaims{"sub": map[string]any{"id": 1}}, "sub is no string"},
		{"user an e-mail address", jwt.MapClaims{"sub": "ann@example.com"}, "use the account id instead"},
		{"user with a wildcard", jwt.MapClaims{"sub": "*"}, "NATS"},
		{"user with dots", jwt.MapClaims{"sub": "a.b"}, "NATS"},
		{"user with a blank", jwt.MapClaims{"sub": "u 7"}, "blanks"},
		{"user of 300 bytes", jwt.MapClaims{"sub": strings.Repeat("u", 300)}, "at most 128"},

		{"one role", jwt.MapClaims{"roles": "vendor"}, ""},
		{"roles with a number", jwt.MapClaims{"roles": []any{"vendor", 7}}, "no string"},
		{"roles an object", jwt.MapClaims{"roles": map[string]any{}}, "roles must be"},

		{"a room", jwt.MapClaims{"rooms": "booking.42"}, ""},
		{"a kind", jwt.MapClaims{"rooms": []string{"booking.*"}}, ""},
		{"own user's room", jwt.MapClaims{"rooms": []string{"user.u_7"}}, "cannot be given away"},
		{"all users' rooms", jwt.MapClaims{"rooms": []string{"booking.1", "user.*"}}, "cannot be given away"},
		{"everything", jwt.MapClaims{"rooms": []string{"*"}}, "is no room"},
		{"every kind", jwt.MapClaims{"rooms": []string{"*.*"}}, "kind"},
		{"everything, the NATS way", jwt.MapClaims{"rooms": []string{"booking.>"}}, "NATS"},
		{"a subject", jwt.MapClaims{"rooms": []string{"booking.42.status"}}, "NATS"},
		{"mine", jwt.MapClaims{"rooms": []string{"mine"}}, "is no room"},
		{"rooms a number", jwt.MapClaims{"rooms": 42}, "rooms must be"},

		{"no exp", jwt.MapClaims{"exp": nil}, "no exp"},
		{"exp a string", jwt.MapClaims{"exp": "2099-01-01"}, "exp is no number"},
		{"exp below 0", jwt.MapClaims{"exp": -1}, "exp is no time"},
		{"exp beyond everything", jwt.MapClaims{"exp": 1e300}, "exp is no time"},
		{"exp a fraction", jwt.MapClaims{"exp": float64(time.Now().Unix()) + 60.5}, ""},
		{"no iat", jwt.MapClaims{"iat": nil}, ""},
		{"iat within the leeway", jwt.MapClaims{"iat": time.Now().Add(20 * time.Second).Unix()}, ""},
		{"iat in the future", jwt.MapClaims{"iat": time.Now().Add(time.Minute).Unix()}, "(iat)"},
		{"nbf within the leeway", jwt.MapClaims{"nbf": time.Now().Add(20 * time.Second).Unix()}, ""},
		{"nbf in the future", jwt.MapClaims{"nbf": time.Now().Add(time.Minute).Unix()}, "(nbf)"},
		{"nbf a string", jwt.MapClaims{"nbf": "now"}, "nbf is no number"},

		// Expired, but not only: a newer token of the same kind would not help.
		{"expired, another issuer", jwt.MapClaims{"exp": 1, "iss": "x"}, "(iss)"},
		{"expired, bad room", jwt.MapClaims{"exp": 1, "rooms": "user.u_9"}, "cannot be given away"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := claims(jwt.MapClaims{"iss": "https://id.petpro.example", "aud": "fabric"})
			for k, v := range tt.more {
				c[k] = v
				if v == nil {
					delete(c, k)
				}
			}
			_, err := v.Verify(hs256(t, c))
			switch {
			case tt.says == "":
				if err != nil {
					t.Errorf("Verify(%v): %v", c, err)
				}
			case !errors.Is(err, auth.ErrToken) || !strings.Contains(auth.Text(err), tt.says):
				t.Errorf("Verify(%v) = %v, want ErrToken that tells the client %q", c, err, tt.says)
			}
		})
	}
}

// exp is exact: leeway does not stretch it.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := verifier(t, config(t)) // leeway 30 s
		token := hs256(t, claims(jwt.MapClaims{"exp": time.Now().Add(10 * time.Second).Unix()}))
		time.Sleep(10*time.Second - time.Nanosecond)
		if _, err := v.Verify(token); err != nil {
			t.Errorf("1 ns before exp: %v", err)
		}
		time.Sleep(time.Nanosecond)
		_, err := v.Verify(token)
		if !errors.Is(err, auth.ErrExpired) || errors.Is(err, auth.ErrToken) {
			t.Errorf("at exp: %v, want ErrExpired", err)
		}
		if text := auth.Text(err); text != "token expired" {
			t.Errorf("the client is told %q", text)
		}
	})
}
