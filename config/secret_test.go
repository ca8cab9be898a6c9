package config_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/petpro/fabric/config"
)

// No way of printing a configuration shows what is secret.
func TestSecretsAreNeverPrinted(t *testing.T) {
	secrets := []string{"correct-horse-battery-staple-0123456", "p4ssw0rd", "t0ken"}
	t.Setenv("FABRIC_AUTH_KEYS", `[{"id":"a","algorithms":["HS256"],"secret":"`+secrets[0]+`"}]`)
	t.Setenv("FABRIC_NATS_URLS", "nats://shop:p4ssw0rd@10.0.0.1:4222,nats://t0ken@10.0.0.2,nats://bad\x7fp4ssw0rd@h:1")
	t.Setenv("FABRIC_AUTH_JWKS_URL", "https://u:p4ssw0rd@keys.example.com/jwks")
	c, origins, err := config.Load(config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("loaded", "config", c)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("loaded", "config", c)
	_, complaint := c.EdgeConfig(origins)
	for what, text := range map[string]string{
		"Print":     printed(t, c, origins),
		"log":       log.String(),
		"%v":        fmt.Sprintf("%v %+v %#v %s", c, &c, c, []config.Config{c}),
		"complaint": complaint.Error(),
	} {
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("%s shows %q:\n%s", what, s, text)
			}
		}
	}
	if text := printed(t, c, origins); !strings.Contains(text, "(hidden)") || !strings.Contains(text, "shop:(hidden)@10.0.0.1:4222") {
		t.Errorf("Print does not say what is hidden:\n%s", text)
	}
}

// A complaint about a key's value does not quote it.
func TestComplaintsKeepSecrets(t *testing.T) {
	const secret = "correct-horse-battery-staple-0123456"
	for _, value := range []string{`[{"secret":"` + secret + `"`, secret, `[{"secret":["` + secret + `"]}]`} {
		t.Setenv("FABRIC_AUTH_KEYS", value)
		if _, _, err := config.Load(config.Options{}); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("Load with FABRIC_AUTH_KEYS=%s: %v", value, err)
		}
	}
}
