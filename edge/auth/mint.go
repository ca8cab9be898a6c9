package auth

import (
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/petpro/fabric/subjects"
)

// Mint signs a token with HS256, for development and for services that share
// the secret: claims sub, iat, exp and, unless empty, roles and rooms. It
// refuses what Verify would refuse.
func Mint(secret []byte, user string, roles, rooms []string, ttl time.Duration) (string, error) {
	if len(secret) < minSecret {
		return "", fmt.Errorf("mint a token: the secret is %d bytes, must be at least %d", len(secret), minSecret)
	}
	if err := subjects.CheckID(user); err != nil {
		return "", fmt.Errorf("mint a token: user: %w", err)
	}
	for _, room := range rooms {
		if err := checkRoom(room); err != nil {
			return "", fmt.Errorf("mint a token: %w", err)
		}
	}
	// NumericDate counts whole seconds; less than one would be no time at all.
	if ttl < time.Second {
		return "", fmt.Errorf("mint a token: it would live for %s, must be at least 1s", ttl)
	}
	now := time.Now()
	claims := jwt.MapClaims{"sub": user, "iat": now.Unix(), "exp": now.Add(ttl).Unix()}
	if len(roles) > 0 {
		claims["roles"] = roles
	}
	if len(rooms) > 0 {
		claims["rooms"] = rooms
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
	if err != nil {
		return "", fmt.Errorf("mint a token for %s: %w", user, err)
	}
	return token, nil
}
