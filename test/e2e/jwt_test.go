package e2e_test

import (
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// sign makes a token that auth.Mint would not: expired, forged, confused.
func sign(t testing.TB, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	all := jwt.MapClaims{"sub": "carl", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	for k, v := range claims {
		if v == nil {
			delete(all, k)
		} else {
			all[k] = v
		}
	}
	tok, err := jwt.NewWithClaims(method, all).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}
