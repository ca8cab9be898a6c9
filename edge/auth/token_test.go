package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"github.com/petpro/fabric/edge/access"
	"github.com/petpro/fabric/edge/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "0123456789abcdef0123456789abcdef"

var quiet = slog.New(slog.DiscardHandler)

// Keys of the tests; made once, RSA keys are slow to find.
var (
	rsaKey, _       = rsa.GenerateKey(rand.Reader, 2048)
	ecKey, _        = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ec384Key, _     = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, edKey, _     = ed25519.GenerateKey(rand.Reader)
	attackersKey, _ = rsa.GenerateKey(rand.Reader, 2048)
)

func publicPEM(t testing.TB, public crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// config believes one key of every kind.
func config(t testing.TB) auth.Config {
	t.Helper()
	cfg := auth.DefaultConfig()
	cfg.Keys = []auth.Key{
		{Algorithms: []string{"HS256"}, Secret: secret},
		{ID: "rsa", Algorithms: []string{"RS256", "PS256"}, Public: publicPEM(t, rsaKey.Public())},
		{ID: "ec", Algorithms: []string{"ES256"}, Public: publicPEM(t, ecKey.Public())},
		{ID: "ed", Algorithms: []string{"EdDSA"}, Public: publicPEM(t, edKey.Public())},
	}
	return cfg
}

func verifier(t testing.TB, cfg auth.Config) *auth.Verifier {
	t.Helper()
	v, err := auth.New(cfg, quiet)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return v
}

// claims that are good, changed by more; a nil value takes a claim out.
func claims(more jwt.MapClaims) jwt.MapClaims {
	c := jwt.MapClaims{"sub": "u_7", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(c, more)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// sign makes a token with a header of its own.
func sign(t testing.TB, method jwt.SigningMethod, key any, header map[string]any, c jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, c)
	maps.Copy(token.Header, header)
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func hs256(t testing.TB, c jwt.MapClaims) string {
	return sign(t, jwt.SigningMethodHS256, []byte(secret), nil, c)
}

func kid(id any) map[string]any { return map[string]any{"kid": id} }

func TestVerifyBelieves(t *testing.T) {
	v := verifier(t, config(t))
	tests := []struct{ name, key, token string }{
		{"HS256", "auth.keys[0]", hs256(t, claims(nil))},
		{"HS256 with a kid that no key has", "auth.keys[0]", sign(t, jwt.SigningMethodHS256, []byte(secret), kid("old"), claims(nil))},
		{"RS256", "rsa", sign(t, jwt.SigningMethodRS256, rsaKey, kid("rsa"), claims(nil))},
		{"PS256", "rsa", sign(t, jwt.SigningMethodPS256, rsaKey, kid("rsa"), claims(nil))},
		{"ES256", "ec", sign(t, jwt.SigningMethodES256, ecKey, kid("ec"), claims(nil))},
		{"EdDSA", "ed", sign(t, jwt.SigningMethodEdDSA, edKey, kid("ed"), claims(nil))},
		{"Bearer", "auth.keys[0]", "Bearer " + hs256(t, claims(nil))},
		{"bearer, blanks", "auth.keys[0]", " bearer  " + hs256(t, claims(nil)) + "\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id, err := v.Verify(tt.token)
			if err != nil || id.User != "u_7" || id.Key != tt.key {
				t.Fatalf("Verify = %+v, %v, want u_7 by key %s", id, err, tt.key)
			}
			if !v.Keeps(id) {
				t.Errorf("Keeps(%+v) = false for a key that is configured", id)
			}
		})
	}
	if v.Keeps(access.Identity{User: "u_7", Key: "gone"}) {
		t.Error("Keeps = true for a key that is not configured")
	}
}

// raw builds a token by hand: what no library would sign.
func raw(header, payload string, signature []byte) string {
	b64 := base64.RawURLEncoding.EncodeToString
	return b64([]byte(header)) + "." + b64([]byte(payload)) + "." + b64(signature)
}

func payload(t testing.TB) string {
	t.Helper()
	p, err := json.Marshal(claims(nil))
	if err != nil {
		t.Fatal(err)
	}
	return string(p)
}

// Attacks and accidents before the claims are read: all of them ErrToken, and a
// client learns nothing but that.
func TestVerifyRefusesSignature(t *testing.T) {
	v := verifier(t, config(t))
	good := hs256(t, claims(nil))
	parts := strings.Split(good, ".")
	confused := func(secret []byte) string {
		return sign(t, jwt.SigningMethodHS256, secret, kid("rsa"), claims(nil))
	}
	der, _ := x509.MarshalPKIXPublicKey(rsaKey.Public())
	tests := []struct{ name, token string }{
		{"Bearer alone", "Bearer "},
		{"garbage", "\x00\xff..."},
		{"two dots", ".."},
		{"one part", "abc"},
		{"four parts", good + ".x"},
		{"no signature", parts[0] + "." + parts[1] + "."},
		{"signature cut", good[:len(good)-2]},
		{"padding", good + "="},
		{"the same signature, written otherwise", respelt(good)},
		{"another's claims", parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"u_9","exp":9999999999}`)) + "." + parts[2]},
		{"too long", good + strings.Repeat("a", auth.MaxToken)},
		{"header is no JSON", raw(`{`, payload(t), nil)},
		{"claims are no object", raw(`{"alg":"HS256"}`, `[]`, nil)},
		{"alg none", raw(`{"alg":"none"}`, payload(t), nil)},
		{"alg None", raw(`{"alg":"None"}`, payload(t), nil)},
		{"alg none, signed", raw(`{"alg":"none"}`, payload(t), []byte("x"))},
		{"alg missing", raw(`{"typ":"JWT"}`, payload(t), nil)},
		{"alg empty", raw(`{"alg":""}`, payload(t), nil)},
		{"alg no string", raw(`{"alg":7}`, payload(t), nil)},
		{"alg unknown", raw(`{"alg":"HS257"}`, payload(t), []byte("x"))},
		{"another secret", sign(t, jwt.SigningMethodHS256, []byte(secret+"x"), nil, claims(nil))},
		{"the secret, but HS512", sign(t, jwt.SigningMethodHS512, []byte(secret), nil, claims(nil))},
		{"RSA public key (PEM) as secret", confused([]byte(publicPEM(t, rsaKey.Public())))},
		{"RSA public key (PEM, trimmed) as secret", confused([]byte(strings.TrimSpace(publicPEM(t, rsaKey.Public()))))},
		{"RSA public key (DER) as secret", confused(der)},
		{"RSA key, algorithm it is not bound to", sign(t, jwt.SigningMethodRS512, rsaKey, kid("rsa"), claims(nil))},
		{"RSA key without its kid", sign(t, jwt.SigningMethodRS256, rsaKey, nil, claims(nil))},
		{"RSA key with another's kid", sign(t, jwt.SigningMethodRS256, rsaKey, kid("ec"), claims(nil))},
		{"HS256 with another's kid", sign(t, jwt.SigningMethodHS256, []byte(secret), kid("rsa"), claims(nil))},
		{"the attacker's RSA key", sign(t, jwt.SigningMethodRS256, attackersKey, kid("rsa"), claims(nil))},
		{"kid is a path", sign(t, jwt.SigningMethodHS256, []byte{}, kid("../../dev/null"), claims(nil))},
		{"kid is a number", sign(t, jwt.SigningMethodHS256, []byte(secret), kid(1), claims(nil))},
		{"kid is null", raw(`{"alg":"HS256","kid":null}`, payload(t), nil)},
		{"brings its own key", sign(t, jwt.SigningMethodRS256, attackersKey,
			map[string]any{"kid": "x", "jwk": map[string]any{"kty": "RSA"}, "jku": "https://evil.example/jwks", "x5u": "https://evil.example"}, claims(nil))},
		{"critical extension", sign(t, jwt.SigningMethodHS256, []byte(secret), map[string]any{"crit": []string{"b64"}, "b64": false}, claims(nil))},
		{"ECDSA signature of zeros (CVE-2022-21449)", raw(`{"alg":"ES256","kid":"ec"}`, payload(t), make([]byte, 64))},
		{"ECDSA signature in ASN.1", asn1(t)},
		{"another curve", sign(t, jwt.SigningMethodES384, ec384Key, kid("ec"), claims(nil))},
		{"encrypted (five parts)", "a.b.c.d.e"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id, err := v.Verify(tt.token)
			if !errors.Is(err, auth.ErrToken) || !reflect.DeepEqual(id, access.Identity{}) {
				t.Fatalf("Verify(%.80q) = %+v, %v, want ErrToken", tt.token, id, err)
			}
			if text := auth.Text(err); text != "invalid token" {
				t.Errorf("the client is told %q about the signature", text)
			}
		})
	}
}

// respelt changes bits of the last character that carry nothing: lenient base64
// gives the same signature, and so a second token that nobody issued.
func respelt(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(token) - 1
	return token[:last] + string(alphabet[strings.IndexByte(alphabet, token[last])^1])
}

// asn1 is a good signature in the form that openssl writes and JWS does not use.
func asn1(t testing.TB) string {
	t.Helper()
	unsigned := raw(`{"alg":"ES256","kid":"ec"}`, payload(t), nil)
	signed := strings.TrimSuffix(unsigned, ".")
	hash := crypto.SHA256.New()
	hash.Write([]byte(signed))
	sig, err := ecdsa.SignASN1(rand.Reader, ecKey, hash.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	return unsigned + base64.RawURLEncoding.EncodeToString(sig)
}

func FuzzVerify(f *testing.F) {
	cfg := config(f)
	v := verifier(f, cfg)
	// The same token in every process: fuzzing runs this function in several,
	// and gives the seeds of one to the others.
	good := hs256(f, claims(jwt.MapClaims{"iat": 1767225600, "exp": 4102444800}))
	f.Add(good)
	f.Add(raw(`{"alg":"none"}`, `{"sub":"u_7","exp":9999999999}`, nil))
	f.Add(raw(`{"alg":"ES256","kid":"ec"}`, `{"sub":"u_7","exp":1e300}`, make([]byte, 64)))
	f.Add("Bearer a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		id, err := v.Verify(token)
		if err == nil {
			// Only what somebody with a key has signed gets through.
			if trimmed := strings.Fields(token); len(trimmed) == 0 || trimmed[len(trimmed)-1] != good {
				t.Fatalf("Verify(%q) = %+v", token, id)
			}
			return
		}
		if !errors.Is(err, auth.ErrToken) && !errors.Is(err, auth.ErrExpired) {
			t.Fatalf("Verify(%q) = %v, which is none of the documented errors", token, err)
		}
	})
}

// A client that forgot its token is told so: that gives nothing away.
func TestNoToken(t *testing.T) {
	v := verifier(t, auth.DefaultConfig())
	for _, token := range []string{"", " "} {
		_, err := v.Verify(token)
		if text := auth.Text(err); !errors.Is(err, auth.ErrToken) || text != "invalid token: there is none; send it in connect" {
			t.Errorf("Verify(%q) = %v, told as %q", token, err, text)
		}
	}
}
