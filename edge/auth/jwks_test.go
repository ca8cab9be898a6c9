package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// publisher answers as a server of key sets would; in a bubble, so without a
// socket.
type publisher struct {
	mu    sync.Mutex
	keys  []map[string]any
	down  bool
	asked int
}

func (p *publisher) RoundTrip(*http.Request) (*http.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if p.down {
		return nil, errors.New("connection refused")
	}
	body, err := json.Marshal(map[string]any{"keys": p.keys})
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(body))}, err
}

func (p *publisher) set(down bool, keys ...map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down, p.keys = down, keys
}

func (p *publisher) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// jwk publishes a key.
func jwk(kid string, public crypto.PublicKey) map[string]any {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return map[string]any{"kty": "RSA", "kid": kid, "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, _ := k.Bytes() // 4, x, y
		size := (len(point) - 1) / 2
		return map[string]any{"kty": "EC", "crv": k.Curve.Params().Name, "kid": kid, "x": b64(point[1 : 1+size]), "y": b64(point[1+size:])}
	case ed25519.PublicKey:
		return map[string]any{"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(k)}
	}
	panic("no such key")
}

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func es256(t *testing.T, kid string, k *ecdsa.PrivateKey) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"sub": "u_7", "exp": time.Now().Add(24 * time.Hour).Unix()})
	token.Header["kid"] = kid
	s, err := token.SignedString(k)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func remote(t *testing.T, p http.RoundTripper) *Verifier {
	t.Helper()
	cfg := DefaultConfig()
	cfg.JWKS = JWKS{URL: "https://id.example/jwks", Algorithms: []string{"ES256", "RS256"}}
	v, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	v.remote.client.Transport = p
	return v
}

// run runs v within the bubble until stop is called.
func run(t *testing.T, v *Verifier) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- v.Run(ctx) }()
	synctest.Wait()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

// Down at the start: tokens get ErrKeys, and work seconds after it is back.
func TestJWKSDownAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, p := ecKey(t), &publisher{down: true}
		v := remote(t, p)
		defer run(t, v)()
		token := es256(t, "k1", k)
		if _, err := v.Verify(token); !errors.Is(err, ErrKeys) {
			t.Fatalf("Verify without keys: %v, want ErrKeys", err)
		}
		time.Sleep(time.Minute)
		if n := p.count(); n < 4 || n > 12 {
			t.Errorf("asked %d times in a minute, want to be neither slow nor pressing", n)
		}
		p.set(false, jwk("k1", k.Public()))
		time.Sleep(maxRetry)
		synctest.Wait()
		if _, err := v.Verify(token); err != nil {
			t.Errorf("Verify after the set is back: %v", err)
		}
	})
}

func TestJWKSRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, young, p := ecKey(t), ecKey(t), &publisher{}
		p.set(false, jwk("old", old.Public()))
		v := remote(t, p)
		defer run(t, v)()
		id, err := v.Verify(es256(t, "old", old))
		if err != nil || !v.Keeps(id) {
			t.Fatalf("Verify = %+v, %v, Keeps %t", id, err, v.Keeps(id))
		}

		// A kid that was not there a moment ago is nobody's.
		if _, err := v.Verify(es256(t, "young", young)); !errors.Is(err, ErrToken) {
			t.Errorf("unknown kid right after reading: %v, want ErrToken", err)
		}
		time.Sleep(time.Minute)
		p.set(false, jwk("old", old.Public()), jwk("young", young.Public()))
		before := p.count()
		for range 100 {
			if _, err := v.Verify(es256(t, "young", young)); !errors.Is(err, ErrKeys) {
				t.Fatalf("unknown kid later: %v, want ErrKeys", err)
			}
		}
		synctest.Wait()
		if n := p.count() - before; n != 1 {
			t.Errorf("100 tokens with an unknown kid made %d reads, want 1", n)
		}
		if _, err := v.Verify(es256(t, "young", young)); err != nil {
			t.Errorf("Verify with the new key: %v", err)
		}

		// Withdrawn: told, and no longer kept.
		p.set(false, jwk("young", young.Public()))
		time.Sleep(defaultRefresh)
		synctest.Wait()
		select {
		case <-v.Withdrawn():
		default:
			t.Error("nobody is told that a key was withdrawn")
		}
		if v.Keeps(id) {
			t.Error("Keeps = true for a withdrawn key")
		}

		// The same kid with another key is another key.
		id, _ = v.Verify(es256(t, "young", young))
		p.set(false, jwk("young", ecKey(t).Public()))
		time.Sleep(defaultRefresh)
		synctest.Wait()
		if v.Keeps(id) {
			t.Error("Keeps = true for a key that was replaced under its kid")
		}
	})
}

// A set that cannot be read, or makes no sense, does not take the keys away.
func TestJWKSKeepsOnFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, p := ecKey(t), &publisher{}
		p.set(false, jwk("k1", k.Public()))
		v := remote(t, p)
		defer run(t, v)()
		for _, broken := range []func(){
			func() { p.set(true) },
			func() { p.set(false) },
			func() { p.set(false, map[string]any{"kty": "oct", "kid": "k1", "k": b64(make([]byte, 32))}) },
		} {
			broken()
			time.Sleep(defaultRefresh + time.Minute)
			synctest.Wait()
			if _, err := v.Verify(es256(t, "k1", k)); err != nil {
				t.Errorf("Verify after a failed read: %v", err)
			}
		}
	})
}

func TestJWKSParse(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	with := func(k map[string]any, key string, value any) map[string]any { k[key] = value; return k }
	tests := []struct {
		name string
		jwk  map[string]any
		algs int
	}{
		{"RSA", jwk("a", rsaKey.Public()), 1},
		{"RSA for PS256 only", with(jwk("a", rsaKey.Public()), "alg", "PS256"), 0},
		{"RSA for signatures", with(jwk("a", rsaKey.Public()), "use", "sig"), 1},
		{"RSA for encryption", with(jwk("a", rsaKey.Public()), "use", "enc"), 0},
		{"RSA, small", jwk("a", small.Public()), 0},
		{"RSA, private", with(jwk("a", rsaKey.Public()), "d", b64(rsaKey.D.Bytes())), 0},
		{"Ed25519, which is not allowed here", jwk("a", ed.Public()), 0},
		{"a secret", map[string]any{"kty": "oct", "kid": "a", "k": b64(make([]byte, 32)), "alg": "HS256"}, 0},
		{"a kind of the future", map[string]any{"kty": "AKP", "kid": "a", "pub": "AAAA"}, 0},
		{"nothing", map[string]any{}, 0},
	}
	j := newJWKS(JWKS{URL: "https://id.example", Algorithms: []string{"RS256", "ES256"}}, slog.New(slog.DiscardHandler))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw, err := json.Marshal(tt.jwk)
			if err != nil {
				t.Fatal(err)
			}
			k, err := j.parseKey(raw)
			if len(k.algs) != tt.algs || (err == nil) != (tt.algs > 0) {
				t.Errorf("parseKey = algorithms %v, %v, want %d algorithms", k.algs, err, tt.algs)
			}
		})
	}
}

// Once over a real socket: status codes, size and a server that goes away.
func TestJWKSOverHTTP(t *testing.T) {
	k := ecKey(t)
	set, err := json.Marshal(map[string]any{"keys": []any{jwk("k1", k.Public())}})
	if err != nil {
		t.Fatal(err)
	}
	answers := map[string]http.HandlerFunc{
		"/good":     func(w http.ResponseWriter, _ *http.Request) { w.Write(set) },
		"/missing":  http.NotFound,
		"/html":     func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") },
		"/infinite": func(w http.ResponseWriter, r *http.Request) { io.Copy(w, zeros{}) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answers[r.URL.Path](w, r) }))
	defer server.Close()
	for path := range answers {
		j := newJWKS(JWKS{URL: server.URL + path, Algorithms: []string{"ES256"}}, slog.New(slog.DiscardHandler))
		if err := j.load(t.Context()); (err == nil) != (path == "/good") {
			t.Errorf("load of %s: %v", path, err)
		}
		j.client.CloseIdleConnections()
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
