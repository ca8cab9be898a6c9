package main

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/petpro/fabric/publisher"
)

func TestReadyz(t *testing.T) {
	for _, tt := range []struct {
		status publisher.Status
		code   int
		body   string
	}{
		{publisher.Status{
			Role: publisher.Active, Position: "petpro=17/0/*;map=9f3c", Sequence: 42, Age: 1234567 * time.Microsecond,
			Waiting: 2 * time.Millisecond, Silence: map[string]time.Duration{"petpro": 3 * time.Second},
		}, 200, `{"ready":true,"role":"active","position":"petpro=17/0/*;map=9f3c","seq":42,"age":1.235,"waiting":0.002,"silence":{"petpro":3}}`},
		{publisher.Status{Role: publisher.Standby, Standby: "standby: petpro is published by pub-1"},
			200, `{"ready":true,"role":"standby","standby":"standby: petpro is published by pub-1","seq":0,"age":0,"waiting":0}`},
		{publisher.Status{Role: publisher.Starting, Err: errors.New("NATS is away")},
			503, `{"ready":false,"reason":"NATS is away","role":"starting","seq":0,"age":0,"waiting":0}`},
	} {
		w := httptest.NewRecorder()
		readyz(w, tt.status)
		if got := strings.TrimSpace(w.Body.String()); w.Code != tt.code || got != tt.body {
			t.Errorf("readyz with %+v = %d %s, want %d %s", tt.status, w.Code, got, tt.code, tt.body)
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
