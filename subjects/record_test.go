package subjects_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/petpro/fabric/subjects"
)

func TestRecordsOnTheWire(t *testing.T) {
	for _, tt := range []struct {
		record any
		want   string
	}{
		{subjects.Access{Participants: map[string]string{"u_7": "customer", "u_9": "vendor"}}, `{"participants":{"u_7":"customer","u_9":"vendor"}}`},
		{subjects.Index{Role: "vendor", Open: true, Updated: "2026-11-23T10:00:00Z"}, `{"role":"vendor","open":true,"updated":"2026-11-23T10:00:00Z"}`},
		{subjects.Index{Revoked: true}, `{"open":false,"revoked":true}`},
		{subjects.Control{NotBefore: 1700000000}, `{"notBefore":1700000000}`},
		{subjects.Epoch{Epoch: "a1", Reason: "new stream", Keep: 128, Retention: subjects.Duration(2160 * time.Hour)}, `{"epoch":"a1","reason":"new stream","keep":128,"retention":"2160h0m0s"}`},
	} {
		got, err := json.Marshal(tt.record)
		if err != nil || string(got) != tt.want {
			t.Errorf("Marshal(%+v) = %s, %v, want %s", tt.record, got, err, tt.want)
		}
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{`"2160h"`: 2160 * time.Hour, `"2160h0m0s"`: 2160 * time.Hour, `"90s"`: 90 * time.Second} {
		var d subjects.Duration
		if err := json.Unmarshal([]byte(text), &d); err != nil || time.Duration(d) != want {
			t.Errorf("Unmarshal(%s) = %s, %v, want %s", text, time.Duration(d), err, want)
		}
	}
	for text, why := range map[string]string{`90`: "a string like", `"ninety days"`: "ninety days"} {
		var d subjects.Duration
		if err := json.Unmarshal([]byte(text), &d); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("Unmarshal(%s) = %v, want an error with %q", text, err, why)
		}
	}
}
