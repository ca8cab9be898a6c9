package main

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestReadyz(t *testing.T) {
	for _, tt := range []struct {
		health error
		code   int
		body   string
	}{
		{nil, 200, `{"ready":true}`},
		{errors.New("NATS is away"), 503, `{"ready":false,"reason":"NATS is away"}`},
	} {
		w := httptest.NewRecorder()
		readyz(w, tt.health)
		if got := strings.TrimSpace(w.Body.String()); w.Code != tt.code || got != tt.body {
			t.Errorf("readyz with %v = %d %s, want %d %s", tt.health, w.Code, got, tt.code, tt.body)
		}
	}
}

func TestListen(t *testing.T) {
	if l, err := listen(""); l != nil || err != nil {
		t.Errorf("listen without an address = %v, %v", l, err)
	}
	l, err := listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := listen(l.Addr().String()); err == nil || !strings.Contains(err.Error(), "publisher.admin_listen") {
		t.Errorf("an address in use: %v", err)
	}
}
