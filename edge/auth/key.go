package auth

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
)

// Smallest keys that are believed: RFC 7518 §3.2 (a secret at least as long as
// the hash of HS256) and §3.3.
const (
	minSecret  = 32
	minRSABits = 2048
)

// algorithms that a key may be bound to: RFC 7518 §3.1, RFC 8037.
var algorithms = []string{
	"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
	"ES256", "ES384", "ES512", "EdDSA",
}

// key is one verification key, ready for use.
type key struct {
	// name is access.Identity.Key of what it verifies.
	name string
	// id matches a token's kid; empty = see Key.ID.
	id   string
	algs []string
	// material is what golang-jwt's methods take: []byte, *rsa.PublicKey,
	// *ecdsa.PublicKey or ed25519.PublicKey.
	material any
}

// LogValue keeps a secret out of logs.
func (k Key) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", k.ID), slog.Any("algorithms", k.Algorithms))
}

// load reads the key. Complaints begin with place, the key's place in the
// configuration.
func (k Key) load(place string) (key, error) {
	material, err := k.material(place)
	if err != nil {
		return key{}, err
	}
	if len(k.Algorithms) == 0 {
		return key{}, fmt.Errorf("%s.algorithms: is empty, must list what the key may verify, for example [%s]",
			place, strings.Join(fitting(material), ", "))
	}
	var errs []error
	for _, alg := range k.Algorithms {
		if err := fits(alg, material); err != nil {
			errs = append(errs, fmt.Errorf("%s.algorithms: %w", place, err))
		}
	}
	return key{name: cmp.Or(k.ID, place), id: k.ID, algs: k.Algorithms, material: material}, errors.Join(errs...)
}

// material of the one source that is set.
func (k Key) material(place string) (any, error) {
	var set []string
	for _, s := range []struct{ field, value string }{
		{"secret", k.Secret}, {"secret_file", k.SecretFile}, {"public", k.Public}, {"public_file", k.PublicFile},
	} {
		if s.value != "" {
			set = append(set, s.field)
		}
	}
	if len(set) == 0 {
		return nil, fmt.Errorf("%s: has no key, must have one of secret, secret_file, public and public_file", place)
	}
	if len(set) > 1 {
		return nil, fmt.Errorf("%s: has %s, must have only one of them", place, strings.Join(set, " and "))
	}
	raw := []byte(k.Secret + k.Public)
	if file := k.SecretFile + k.PublicFile; file != "" {
		var err error
		if raw, err = os.ReadFile(file); err != nil {
			return nil, fmt.Errorf("%s.%s: %w", place, set[0], err)
		}
	}
	parse := parsePublic
	if k.Secret != "" || k.SecretFile != "" {
		parse = parseSecret
	}
	material, err := parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s.%s: %w", place, set[0], err)
	}
	return material, nil
}

func parseSecret(raw []byte) (any, error) {
	secret := bytes.TrimRight(raw, "\r\n") // what an editor leaves in a file
	if block, _ := pem.Decode(secret); block != nil {
		// Whoever has the public key could sign tokens with it.
		return nil, fmt.Errorf("holds a PEM %q, which is no secret; put a public key under public", block.Type)
	}
	if len(secret) < minSecret {
		return nil, fmt.Errorf("is %d bytes, must be at least %d; for example from: openssl rand -hex 32", len(secret), minSecret)
	}
	return secret, nil
}

func parsePublic(raw []byte) (any, error) {
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, errors.New(`is no PEM, must begin with "-----BEGIN PUBLIC KEY-----"`)
	}
	var material any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		material, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		material, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
			material = cert.PublicKey
		}
	default:
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return nil, errors.New("holds a private key; an edge needs only the public one: openssl pkey -pubout")
		}
		return nil, fmt.Errorf("holds a PEM %q, must be a PUBLIC KEY or a CERTIFICATE", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("does not parse: %w", err)
	}
	return material, checkPublic(material)
}

// checkPublic refuses key types and sizes that no algorithm may use.
func checkPublic(material any) error {
	switch k := material.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSABits {
			return fmt.Errorf("is an RSA key of %d bits, must have at least %d", bits, minRSABits)
		}
	case *ecdsa.PublicKey, ed25519.PublicKey:
	default:
		return fmt.Errorf("is a %T, must be an RSA, ECDSA or Ed25519 public key", material)
	}
	return nil
}

// checkAlgorithm refuses what is no algorithm to verify with.
func checkAlgorithm(alg string) error {
	switch {
	case strings.EqualFold(alg, "none"):
		return errors.New(`"none" would accept tokens that nobody signed`)
	case !slices.Contains(algorithms, alg):
		return fmt.Errorf("%q is unknown, must be one of %s", alg, strings.Join(algorithms, ", "))
	}
	return nil
}

// fits reports why a key must not be used with an algorithm.
func fits(alg string, material any) error {
	if err := checkAlgorithm(alg); err != nil {
		return err
	}
	if can := fitting(material); !slices.Contains(can, alg) {
		return fmt.Errorf("%s does not fit the key, which can verify [%s]", alg, strings.Join(can, ", "))
	}
	return nil
}

// fitting lists the algorithms a key's type can verify.
func fitting(material any) []string {
	switch k := material.(type) {
	case []byte:
		return []string{"HS256", "HS384", "HS512"}
	case *rsa.PublicKey:
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case ed25519.PublicKey:
		return []string{"EdDSA"}
	case *ecdsa.PublicKey:
		// An algorithm goes with one curve: RFC 7518 §3.4.
		switch k.Curve.Params().BitSize {
		case 256:
			return []string{"ES256"}
		case 384:
			return []string{"ES384"}
		case 521:
			return []string{"ES512"}
		}
	}
	return nil
}

// candidates returns the keys that may have signed a token, and whether any of
// the keys has its kid.
func candidates(keys []key, alg, kid string) (fit []key, known bool) {
	if kid != "" {
		known = slices.ContainsFunc(keys, func(k key) bool { return k.id == kid })
	}
	want := ""
	if known {
		want = kid
	}
	for _, k := range keys {
		if k.id == want && slices.Contains(k.algs, alg) {
			fit = append(fit, k)
		}
	}
	return fit, known
}
