package auth

import (
	"context"
	"log/slog"
	"slices"

	"github.com/golang-jwt/jwt/v5"

	"github.com/petpro/fabric/edge/access"
)

// Verifier judges tokens. Make it with New; Run keeps its keys fresh.
type Verifier struct {
	cfg    Config
	parser *jwt.Parser
	keys   []key
	remote *jwks // nil without a JWKS
}

// New reads the keys. The error joins every complaint about the configuration,
// each with its key.
func New(cfg Config, log *slog.Logger) (*Verifier, error) {
	keys, err := cfg.load()
	if err != nil {
		return nil, err
	}
	v := &Verifier{
		cfg:  cfg,
		keys: keys,
		// The claims are checked here, in an order of our own: exp last.
		parser: jwt.NewParser(jwt.WithStrictDecoding(), jwt.WithJSONNumber()),
	}
	if cfg.JWKS.URL != "" {
		v.remote = newJWKS(cfg.JWKS, log)
	}
	if len(keys) == 0 && v.remote == nil {
		log.Warn("no auth.keys and no auth.jwks: every token will be refused")
	}
	return v, nil
}

// Run reads the JWKS now and again until ctx ends. Without a JWKS it only
// waits.
func (v *Verifier) Run(ctx context.Context) error {
	if v.remote == nil {
		<-ctx.Done()
		return nil
	}
	return v.remote.run(ctx)
}

// Keeps reports whether the key that verified id is still believed.
func (v *Verifier) Keeps(id access.Identity) bool {
	named := func(k key) bool { return k.name == id.Key }
	return slices.ContainsFunc(v.keys, named) || v.remote != nil && slices.ContainsFunc(v.remote.keys(), named)
}

// Withdrawn receives after keys have disappeared from the JWKS: time to ask
// Keeps for every session. It is nil without a JWKS.
func (v *Verifier) Withdrawn() <-chan struct{} {
	if v.remote == nil {
		return nil
	}
	return v.remote.withdrawn
}
