package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/petpro/fabric/edge/auth"
)

func TestNewComplains(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)}))
	rs256 := []string{"RS256"}
	tests := []struct {
		name string
		key  auth.Key
		want string
	}{
		{"no source", auth.Key{Algorithms: rs256}, "auth.keys[0]: has no key"},
		{"two sources", auth.Key{Algorithms: rs256, Secret: secret, PublicFile: "x"}, "auth.keys[0]: has secret and public_file"},
		{"short secret", auth.Key{Algorithms: []string{"HS256"}, Secret: secret[1:]}, "auth.keys[0].secret: is 31 bytes, must be at least 32"},
		{"secret is a PEM", auth.Key{Algorithms: []string{"HS256"}, Secret: publicPEM(t, rsaKey.Public())}, "auth.keys[0].secret: holds a PEM"},
		{"file missing", auth.Key{Algorithms: rs256, PublicFile: "/nowhere/key.pem"}, "auth.keys[0].public_file: open /nowhere/key.pem"},
		{"no PEM", auth.Key{Algorithms: rs256, Public: "abc"}, "auth.keys[0].public: is no PEM"},
		{"broken PEM", auth.Key{Algorithms: rs256, Public: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"}, "auth.keys[0].public: does not parse"},
		{"private key", auth.Key{Algorithms: rs256, Public: private}, "openssl pkey -pubout"},
		{"small RSA key", auth.Key{Algorithms: rs256, Public: publicPEM(t, small.Public())}, "1024 bits, must have at least 2048"},
		{"unusual curve", auth.Key{Algorithms: []string{"ES256"}, Public: publicPEM(t, p224.Public())}, "ES256 does not fit"},
		{"no algorithm", auth.Key{Public: publicPEM(t, rsaKey.Public())}, "auth.keys[0].algorithms: is empty, must list what the key may verify, for example [RS256"},
		{"unknown algorithm", auth.Key{Algorithms: []string{"RS257"}, Public: publicPEM(t, rsaKey.Public())}, `auth.keys[0].algorithms: "RS257" is unknown`},
		{"none", auth.Key{Algorithms: []string{"HS256", "none"}, Secret: secret}, `"none" would accept`},
		{"HS for an RSA key", auth.Key{Algorithms: []string{"RS256", "HS256"}, Public: publicPEM(t, rsaKey.Public())}, "HS256 does not fit the key"},
		{"RS for a secret", auth.Key{Algorithms: rs256, Secret: secret}, "RS256 does not fit the key"},
		{"ES384 for P-256", auth.Key{Algorithms: []string{"ES384"}, Public: publicPEM(t, ecKey.Public())}, "ES384 does not fit the key, which can verify [ES256]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := auth.DefaultConfig()
			cfg.Keys = []auth.Key{tt.key}
			if _, err := auth.New(cfg, quiet); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New: %v\nwant it to say %q", err, tt.want)
			}
			if err := cfg.Validate(); err == nil {
				t.Error("Validate finds nothing")
			}
		})
	}
}

// Whoever sets up an edge is told everything in one go.
func TestNewComplainsAtOnce(t *testing.T) {
	cfg := auth.Config{
		Keys: []auth.Key{
			{ID: "a", Algorithms: []string{"HS256"}, Secret: "short"},
			{ID: "b", Algorithms: []string{"HS256"}, Secret: secret},
			{ID: "b", Algorithms: []string{"HS512", "none", "RS256"}, Secret: secret},
			{ID: "b", Algorithms: []string{"HS384"}, Secret: secret},
		},
		JWKS:   auth.JWKS{URL: "id.example.com/jwks", Algorithms: []string{"HS256", "XS1"}, Refresh: time.Second},
		Leeway: time.Hour,
		Cookie: "a b",
	}
	_, err := auth.New(cfg, quiet)
	if err == nil {
		t.Fatal("New accepts it")
	}
	for _, want := range []string{
		"auth.keys[0].secret", "auth.keys[2].algorithms: \"none\"", "auth.keys[2].algorithms: RS256", "auth.keys[3].id: \"b\" is the id of auth.keys[1] too",
		"auth.jwks.url", "auth.jwks.algorithms: HS256", "auth.jwks.algorithms: \"XS1\"", "auth.jwks.refresh",
		"auth.leeway", "auth.claims.user", "auth.claims.roles", "auth.claims.rooms", "auth.cookie",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no complaint about %s in:\n%v", want, err)
		}
	}
}

func TestKeyFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	cfg := auth.DefaultConfig()
	cfg.Keys = []auth.Key{
		{Algorithms: []string{"HS256"}, SecretFile: write("secret", secret+"\n")},
		{Algorithms: []string{"ES256"}, PublicFile: write("ec.pem", publicPEM(t, ecKey.Public()))},
	}
	v := verifier(t, cfg)
	if _, err := v.Verify(hs256(t, claims(nil))); err != nil {
		t.Errorf("secret from a file that ends with a newline: %v", err)
	}
}

func TestKeyHidesSecret(t *testing.T) {
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("key", "key", auth.Key{ID: "web", Algorithms: []string{"HS256"}, Secret: secret})
	if strings.Contains(log.String(), secret) || !strings.Contains(log.String(), "web") {
		t.Errorf("logged: %s", log.String())
	}
}

func TestMint(t *testing.T) {
	v := verifier(t, config(t))
	token, err := auth.Mint([]byte(secret), "u_7", []string{"vendor"}, []string{"booking.*"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	id, err := v.Verify(token)
	if err != nil || id.User != "u_7" || id.Roles[0] != "vendor" || id.Rooms[0] != "booking.*" || id.IssuedAt.IsZero() {
		t.Errorf("Verify of a minted token = %+v, %v", id, err)
	}
	for name, mint := range map[string]func() (string, error){
		"short secret": func() (string, error) { return auth.Mint([]byte("x"), "u_7", nil, nil, time.Hour) },
		"bad user":     func() (string, error) { return auth.Mint([]byte(secret), "ann@example.com", nil, nil, time.Hour) },
		"user's room":  func() (string, error) { return auth.Mint([]byte(secret), "u_7", nil, []string{"user.u_9"}, time.Hour) },
		"no time":      func() (string, error) { return auth.Mint([]byte(secret), "u_7", nil, nil, 0) },
	} {
		if token, err := mint(); err == nil {
			t.Errorf("%s: minted %s", name, token)
		}
	}
}

func Example() {
	secret := []byte("a secret that is at least 32 bytes long")
	cfg := auth.DefaultConfig()
	cfg.Keys = []auth.Key{{Algorithms: []string{"HS256"}, Secret: string(secret)}}
	verifier, err := auth.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Println(err)
		return
	}
	token, _ := auth.Mint(secret, "u_7", []string{"vendor"}, nil, time.Hour)
	id, err := verifier.Verify(token)
	fmt.Println(id.User, id.Roles, err)

	_, err = verifier.Verify(token + "x")
	fmt.Println(auth.Text(err))
	// Output:
	// u_7 [vendor] <nil>
	// invalid token
}
