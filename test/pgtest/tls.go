package pgtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"path/filepath"
	"time"
)

// authority is a certificate that signs itself.
type authority struct{ certificate, key string }

// TLS gives the server a certificate of its own, made out to names. CA is its
// authority.
func TLS(names ...string) Option {
	return func(s *Server) {
		a, err := newAuthority(names)
		if err != nil {
			panic(err) // only without randomness
		}
		s.tls = a
		s.settings["ssl"] = "on"
	}
}

// CA is the file with the authority of the server's certificate: sslrootcert.
func (s *Server) CA() string { return filepath.Join(s.Dir, "server.crt") }

func (s *Server) writeTLS() error {
	if s.tls == nil {
		return nil
	}
	return errors.Join(s.write("server.crt", s.tls.certificate), s.write("server.key", s.tls.key))
}

func newAuthority(names []string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "pgtest"},
		DNSNames:              names,
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &authority{
		certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})),
		key:         string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
	}, nil
}
