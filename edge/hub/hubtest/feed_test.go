package hubtest_test

import (
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/petpro/fabric/edge/feed/feedtest"
	"github.com/petpro/fabric/edge/hub/hubtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The feed that the hub is tested with keeps the contract of the real one.
func TestFeed(t *testing.T) {
	feedtest.Test(t, func(t *testing.T, l feedtest.Limits) *feedtest.Harness {
		const retention = time.Hour
		s := hubtest.NewStream(l.Keep, retention)
		e := s.Edge(1 << 20)
		e.BoundBytes(l.RingBytes)
		e.Over(l.ReplayEvents, l.ReplayBytes)
		epochs := 1
		return &feedtest.Harness{
			Feed: e, History: e, Retention: retention, Start: e.Start,
			Publish: func(subject, data string, at time.Time) uint64 {
				return s.PublishRaw(subject, []byte(data), at)
			},
			NewEpoch: func() (string, uint64) {
				epochs++
				name := fmt.Sprintf("e%d", epochs)
				return name, s.NewEpoch(name, l.Keep)
			},
		}
	})
}
