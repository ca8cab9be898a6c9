package auth_test

import (
	"net/http"
	"testing"

	"github.com/petpro/fabric/edge/auth"
)

func TestOrigins(t *testing.T) {
	const app, evil = "https://app.petpro.example", "https://app.petpro.example.evil"
	tests := []struct {
		name    string
		origins auth.Origins
		origin  string
		cookie  bool
		want    bool
	}{
		{"no list", nil, evil, false, true},
		{"no list, no origin", nil, "", false, true},
		{"listed", auth.Origins{app}, app, false, true},
		{"listed, other case", auth.Origins{app}, "https://APP.petpro.example", false, true},
		{"not listed", auth.Origins{app}, evil, false, false},
		{"another port", auth.Origins{app}, app + ":8443", false, false},
		{"another scheme", auth.Origins{app}, "http://app.petpro.example", false, false},
		{"null", auth.Origins{app}, "null", false, false},
		{"no browser", auth.Origins{app}, "", false, true},
		{"any", auth.Origins{"*"}, evil, false, true},
		{"a star from the client", auth.Origins{app}, "*", false, false},

		{"cookie, listed", auth.Origins{app}, app, true, true},
		{"cookie, not listed", auth.Origins{app}, evil, true, false},
		{"cookie, no origin", auth.Origins{app}, "", true, false},
		{"cookie, no list", nil, app, true, false},
		{"cookie, any is not by name", auth.Origins{"*"}, app, true, false},
		{"cookie, a star from the client", auth.Origins{"*"}, "*", true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.origins.Check(tt.origin, tt.cookie); (err == nil) != tt.want {
				t.Errorf("%q.Check(%q, cookie %t) = %v, want allowed %t", tt.origins, tt.origin, tt.cookie, err, tt.want)
			}
		})
	}
}

func TestOriginsValidate(t *testing.T) {
	for origin, want := range map[string]bool{
		"*": true, "https://app.example": true, "http://localhost:3000": true,
		"https://app.example/": false, "app.example": false, "https://app.example/x": false, "https://": false, "": false, "https://*.example": false,
	} {
		if err := (auth.Origins{origin}).Validate(); (err == nil) != want {
			t.Errorf("Validate(%q) = %v, want good %t", origin, err, want)
		}
	}
}

func TestFromRequest(t *testing.T) {
	cfg := config(t)
	cfg.Cookie = "session"
	withCookie, without := verifier(t, cfg), verifier(t, config(t))
	tests := []struct {
		name, header, cookie string
		v                    *auth.Verifier
		want                 string
		fromCookie           bool
	}{
		{"header", "Bearer abc", "", without, "abc", false},
		{"header in lower case", "bearer abc", "", without, "abc", false},
		{"another scheme", "Basic abc", "", without, "", false},
		{"nothing", "", "", without, "", false},
		{"cookie is off", "", "xyz", without, "", false},
		{"cookie", "", "xyz", withCookie, "xyz", true},
		{"header wins", "Bearer abc", "xyz", withCookie, "abc", false},
		{"another scheme and cookie", "Basic abc", "xyz", withCookie, "xyz", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := http.NewRequest(http.MethodGet, "/v1/ws", nil)
			if err != nil {
				t.Fatal(err)
			}
			if tt.header != "" {
				r.Header.Set("Authorization", tt.header)
			}
			if tt.cookie != "" {
				r.AddCookie(&http.Cookie{Name: "session", Value: tt.cookie})
			}
			if token, cookie := tt.v.FromRequest(r); token != tt.want || cookie != tt.fromCookie {
				t.Errorf("FromRequest = %q, cookie %t, want %q, %t", token, cookie, tt.want, tt.fromCookie)
			}
		})
	}
}
