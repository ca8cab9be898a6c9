package publisher_test

import (
	"testing"

	"github.com/petpro/fabric/test/natstest"
)

func TestMain(m *testing.M) { natstest.Main(m) }
