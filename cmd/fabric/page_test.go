package main

import (
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path"
	"regexp"
	"strings"
	"testing"
)

// served runs the page's server over a shop of its own.
func served(t *testing.T) (url string, s *sqliteShop) {
	t.Helper()
	s = open(t, t.TempDir())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ready := Ready{Edges: []string{"http://127.0.0.1:1", "http://127.0.0.1:2"}, Tokens: Tokens{Vendor: "v", Customer: "c"}}
	p := newPage(s, cast{pair: pair{vendorID, customerID}}, l.Addr(), func() Ready { return ready }, slog.New(slog.DiscardHandler))
	st := newStack()
	st.run("page", func(ctx context.Context) error { return p.serve(ctx, l) })
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := st.stop(); err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String(), s
}

// ask sends a request; headers come in pairs.
func ask(t *testing.T, method, url, body string, headers ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(text)
}

func TestPageChangesTheDatabaseAndNothingElse(t *testing.T) {
	url, s := served(t)
	own := []string{"Content-Type", "application/json", "Origin", url, "Sec-Fetch-Site", "same-origin"}
	code, _, text := ask(t, "POST", url+"/api/bookings/bk-1001", `{"status":"cancelled","by":"u_customer"}`, own...)
	if code != http.StatusOK {
		t.Fatalf("POST = %d %s", code, text)
	}
	var status string
	var told int
	err := s.db.QueryRowContext(t.Context(), "SELECT status, (SELECT count(*) FROM notifications WHERE user_id = 'u_vendor') FROM bookings WHERE id = 'bk-1001'").Scan(&status, &told)
	if err != nil || status != "cancelled" || told != 1 {
		t.Errorf("status = %q, %d notifications of the vendor, %v", status, told, err)
	}
	code, _, text = ask(t, "POST", url+"/api/bookings", `{}`, own...)
	var made struct{ ID string }
	if err := json.Unmarshal([]byte(text), &made); err != nil || code != http.StatusCreated || made.ID != "bk-1013" {
		t.Errorf("POST /api/bookings = %d %s, %v", code, text, err)
	}
	if _, _, text := ask(t, "GET", url+"/api/bookings", ""); !strings.Contains(text, `"bk-1013":{"service":"Walk in the park","customer":"Carl Customer"`) {
		t.Errorf("GET /api/bookings = %s", text)
	}
}

func TestPageRefuses(t *testing.T) {
	url, _ := served(t)
	const path, body, ok = "/api/bookings/bk-1001", `{"status":"confirmed"}`, "application/json"
	tests := []struct {
		name         string
		method, path string
		body         string
		headers      []string
		want         int
	}{
		{"another origin", "POST", path, body, []string{"Content-Type", ok, "Origin", "http://evil.example"}, http.StatusForbidden},
		{"another site", "POST", path, body, []string{"Content-Type", ok, "Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		{"a form", "POST", path, "status=confirmed", []string{"Content-Type", "application/x-www-form-urlencoded"}, http.StatusUnsupportedMediaType},
		{"text that is JSON", "POST", path, body, []string{"Content-Type", "text/plain"}, http.StatusUnsupportedMediaType},
		{"a rebound name", "GET", "/api/session", "", []string{"Host", "evil.example"}, http.StatusMisdirectedRequest},
		{"no JSON", "POST", path, "{", []string{"Content-Type", ok}, http.StatusBadRequest},
		{"an unknown field", "POST", path, `{"state":"x"}`, []string{"Content-Type", ok}, http.StatusBadRequest},
		{"no status", "POST", path, `{}`, []string{"Content-Type", ok}, http.StatusBadRequest},
		{"a long status", "POST", path, `{"status":"` + strings.Repeat("x", 65) + `"}`, []string{"Content-Type", ok}, http.StatusBadRequest},
		{"too much", "POST", path, `{"status":"` + strings.Repeat("x", maxPost) + `"}`, []string{"Content-Type", ok}, http.StatusBadRequest},
		{"no such booking", "POST", "/api/bookings/none", body, []string{"Content-Type", ok}, http.StatusNotFound},
		{"no id", "POST", "/api/bookings/a.b", body, []string{"Content-Type", ok}, http.StatusBadRequest},
		{"another method", "DELETE", path, "", nil, http.StatusMethodNotAllowed},
		{"no such file", "GET", "/none", "", nil, http.StatusNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if code, _, text := ask(t, tt.method, url+tt.path, tt.body, tt.headers...); code != tt.want {
				t.Errorf("%s %s = %d %s, want %d", tt.method, tt.path, code, text, tt.want)
			}
		})
	}
}

func TestPageIsServedToItself(t *testing.T) {
	url, _ := served(t)
	for _, name := range []string{"/", "/app.js", "/fabric.js", "/style.css", "/icon.svg"} {
		code, h, text := ask(t, "GET", url+name, "")
		if code != http.StatusOK || text == "" {
			t.Errorf("GET %s = %d, %d bytes", name, code, len(text))
		}
		if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "connect-src 'self' ws://127.0.0.1:1 ws://127.0.0.1:2;") || strings.Contains(csp, "unsafe") {
			t.Errorf("GET %s: policy %q", name, csp)
		}
	}
	if _, _, text := ask(t, "GET", url+"/api/session", "", "Host", "localhost:"+url[strings.LastIndex(url, ":")+1:]); !strings.Contains(text, `"role":"vendor","user":"u_vendor","token":"v"`) {
		t.Errorf("GET /api/session = %s", text)
	}
}

// The page needs no network but the edges, and fits its own policy: nothing
// inline, nothing from elsewhere.
func TestPageHasNothingForeign(t *testing.T) {
	foreign := regexp.MustCompile(`(?i)(src|href)\s*=\s*"(https?:)?//|@import|url\(\s*['"]?https?:|<script[^>]*>[^<]+</script>|\sstyle=|\son[a-z]+="`)
	err := fs.WalkDir(pageFiles, "page", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := fs.ReadFile(pageFiles, name)
		if m := foreign.Find(text); m != nil && path.Ext(name) != ".svg" {
			t.Errorf("%s holds %q", name, m)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
