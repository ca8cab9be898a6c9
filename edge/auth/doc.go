// Package auth turns a JWT into an access.Identity, or says why not.
//
// # The way of a token
//
// Verify takes it apart (golang-jwt, strict base64), looks for keys that may
// have signed it, checks the signature with each, and only then reads the
// claims. A key is a candidate if it is bound to the token's algorithm and fits
// its kid; which algorithms a key is bound to is decided by configuration and
// checked against the key's type when it is loaded. So a token cannot choose
// how it is verified: alg "none" has no candidate, and neither has an HS256
// token signed with somebody's RSA public key.
//
// Keys come from the configuration and from one JWKS (RFC 7517). New reports
// everything that is wrong with the configuration at once. A JWKS that cannot
// be read is logged and tried again: until it was read once, and shortly after
// a token names a kid it does not have, tokens it might cover get ErrKeys.
//
// # Guarantees
//
// exp is required and exact; leeway is for iat and nbf alone. ErrExpired means
// that nothing but the time is wrong, so that a client may answer it with a
// newer token of the same user. A token that claims a room of a user
// (user.<id>) is refused as a whole. Verify never calls out; it may be called
// from any goroutine.
//
// # Goroutines
//
//	Verifier.Run   one; reads the JWKS. Returns when its context ends.
package auth
