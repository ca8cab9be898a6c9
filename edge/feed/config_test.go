package feed_test

import (
	"strings"
	"testing"
	"time"

	"github.com/petpro/fabric/edge/feed"
)

func TestConfigNamesEveryComplaint(t *testing.T) {
	if err := feed.DefaultConfig().Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
	c := feed.DefaultConfig()
	c.Stream, c.RingBytes, c.StaleAfter = "", 1000, time.Millisecond
	err := c.Validate()
	if err == nil {
		t.Fatal("a wrong configuration is accepted")
	}
	for _, key := range []string{"nats.stream", "edge.ring", "edge.feed"} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("%q does not name %s", err, key)
		}
	}
}
