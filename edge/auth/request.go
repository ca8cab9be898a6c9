package auth

import "net/http"

// FromRequest returns the token that a request carries in its Authorization
// header, or else in the configured cookie; "" if there is none. A token from a
// cookie was sent by the browser on its own account, so the caller must check
// Origin (Origins.Check with cookie set).
func (v *Verifier) FromRequest(r *http.Request) (token string, cookie bool) {
	if token = bearer(r.Header.Get("Authorization")); token != "" {
		return token, false
	}
	if v.cfg.Cookie == "" {
		return "", false
	}
	c, err := r.Cookie(v.cfg.Cookie)
	if err != nil || c.Value == "" {
		return "", false
	}
	return c.Value, true
}

// bearer returns the token of an Authorization header; "" for other schemes,
// which are not addressed to the edge.
func bearer(header string) string {
	if token := trimBearer(header); token != header {
		return token
	}
	return ""
}
