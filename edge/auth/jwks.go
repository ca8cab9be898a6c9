package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/MicahParks/keyfunc/v3"
)

const (
	defaultRefresh = 10 * time.Minute
	// minRefresh is also the least time between two reads that unknown kids
	// cause: anybody can send those.
	minRefresh = 10 * time.Second
	// jwksTimeout bounds one read, maxJWKS its size.
	jwksTimeout = 10 * time.Second
	maxJWKS     = 1 << 20
	// Reads that fail are repeated after firstRetry, then after twice as long,
	// up to maxRetry.
	firstRetry = time.Second
	maxRetry   = 30 * time.Second
)

// jwks reads a published key set again and again. keyfunc decodes it; fetching
// is done here, so that the goroutine has an owner and a failure at start is
// repeated within seconds.
type jwks struct {
	cfg    JWKS
	log    *slog.Logger
	client *http.Client

	asked     chan struct{} // one slot: a token named an unknown kid
	withdrawn chan struct{} // one slot: keys have disappeared

	set  atomic.Pointer[[]key]
	read atomic.Int64 // unix nanoseconds of the end of the newest read, 0 = none yet
}

func newJWKS(cfg JWKS, log *slog.Logger) *jwks {
	cfg.Refresh = cmp.Or(cfg.Refresh, defaultRefresh)
	return &jwks{
		cfg: cfg, log: log.With("url", cfg.URL),
		client:    &http.Client{Timeout: jwksTimeout, Transport: http.DefaultTransport.(*http.Transport).Clone()},
		asked:     make(chan struct{}, 1),
		withdrawn: make(chan struct{}, 1),
	}
}

// keys of the newest set that could be read.
func (j *jwks) keys() []key {
	if set := j.set.Load(); set != nil {
		return *set
	}
	return nil
}

// mayLearn reports whether reading the set again might bring the key for a
// token with an unknown kid, and sees to it that it is read.
func (j *jwks) mayLearn(alg string) bool {
	if !slices.Contains(j.cfg.Algorithms, alg) {
		return false
	}
	if j.set.Load() != nil && time.Since(time.Unix(0, j.read.Load())) < minRefresh {
		return false // just read; the kid is not there
	}
	select {
	case j.asked <- struct{}{}:
	default:
	}
	return true
}

func (j *jwks) run(ctx context.Context) error {
	defer j.client.CloseIdleConnections()
	retry := firstRetry
	for {
		wait := j.cfg.Refresh
		err := j.load(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			wait, retry = min(retry, wait), min(2*retry, maxRetry)
			j.log.Error("cannot read the JWKS, trying again", "in", wait, "have", len(j.keys()), "err", err)
		default:
			retry = firstRetry
		}
		if !j.sleep(ctx, wait) {
			return nil
		}
	}
}

// sleep waits until the next read is due, or shorter if a token asks for it. It
// is false once ctx has ended.
func (j *jwks) sleep(ctx context.Context, d time.Duration) bool {
	due := time.NewTimer(d)
	defer due.Stop()
	asked := j.asked
	for {
		select {
		case <-ctx.Done():
			return false
		case <-due.C:
			return true
		case <-asked:
			asked = nil
			due.Reset(min(d, max(0, minRefresh-time.Since(time.Unix(0, j.read.Load())))))
		}
	}
}

// load reads the set once. A failure leaves the keys as they were.
func (j *jwks) load(ctx context.Context) error {
	defer func() { j.read.Store(time.Now().UnixNano()) }()
	raw, err := j.fetch(ctx)
	if err != nil {
		return err
	}
	set, err := j.parse(raw)
	if err != nil {
		return err
	}
	before := j.keys()
	j.set.Store(&set)
	gone := slices.ContainsFunc(before, func(old key) bool {
		return !slices.ContainsFunc(set, func(k key) bool { return k.name == old.name })
	})
	if gone {
		select {
		case j.withdrawn <- struct{}{}:
		default:
		}
	}
	if before == nil || gone || len(before) != len(set) {
		j.log.Info("read the JWKS", "keys", len(set))
	}
	return nil
}

func (j *jwks) fetch(ctx context.Context) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.cfg.URL, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := j.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %s", resp.Status)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxJWKS+1))
	if err == nil && len(raw) > maxJWKS {
		err = fmt.Errorf("the set is larger than %d bytes", maxJWKS)
	}
	return raw, err
}

// parse takes the keys that may verify tokens here and leaves the others out: a
// set may also publish encryption keys, and kinds that are newer than this
// program.
func (j *jwks) parse(raw []byte) ([]key, error) {
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("the answer is no key set: %w", err)
	}
	set := []key{}
	for i, one := range doc.Keys {
		k, err := j.parseKey(one)
		if err != nil {
			j.log.Debug("left out a key of the JWKS", "index", i, "err", err)
			continue
		}
		set = append(set, k)
	}
	if len(set) == 0 {
		return nil, fmt.Errorf("none of its %d keys can verify %v", len(doc.Keys), j.cfg.Algorithms)
	}
	return set, nil
}

func (j *jwks) parseKey(raw json.RawMessage) (key, error) {
	var private struct{ D, K string }
	if json.Unmarshal(raw, &private) == nil && (private.D != "" || private.K != "") {
		return key{}, errors.New("it is a secret or private key, and those are not to be published")
	}
	parsed, err := keyfunc.NewJWKJSON(raw)
	if err != nil {
		return key{}, err
	}
	all, err := parsed.Storage().KeyReadAll(context.Background())
	if err != nil || len(all) != 1 {
		return key{}, fmt.Errorf("%d keys in one: %w", len(all), err)
	}
	jwk, material := all[0].Marshal(), all[0].Key()
	if use := jwk.USE.String(); use != "" && use != "sig" {
		return key{}, fmt.Errorf("its use is %q", use)
	}
	if err := checkPublic(material); err != nil {
		return key{}, err
	}
	k := key{id: jwk.KID, material: material}
	for _, alg := range j.cfg.Algorithms {
		if own := jwk.ALG.String(); (own == "" || own == alg) && fits(alg, material) == nil {
			k.algs = append(k.algs, alg)
		}
	}
	if len(k.algs) == 0 {
		return key{}, fmt.Errorf("it verifies %v, allowed are %v", cmp.Or(jwk.ALG.String(), fmt.Sprint(fitting(material))), j.cfg.Algorithms)
	}
	der, err := x509.MarshalPKIXPublicKey(material)
	if err != nil {
		return key{}, err
	}
	// The name tells a key from another one published later under its kid.
	sum := sha256.Sum256(der)
	k.name = "jwks:" + jwk.KID + ":" + hex.EncodeToString(sum[:8])
	return k, nil
}
