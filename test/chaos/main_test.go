package chaos_test

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/petpro/fabric/test/pgtest"
)

var (
	killsFlag = flag.Int("chaos.kills", 20, "kills per source in the kill matrix")
	seedFlag  = flag.Uint64("chaos.seed", 0, "seed of what is random; 0 = another one each time")
)

// parallel is how many tests run at once unless -parallel says otherwise: they
// wait for processes to start and to notice far more than they compute.
const parallel = "8"

func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		if err := flag.Set("test.parallel", parallel); err != nil {
			panic(err)
		}
	}
	pgtest.Main(m)
}

// within bounds every wait of these tests. It is generous: the machine may be
// busy, and what asserts speed has bounds of its own.
const within = 60 * time.Second

// random is what a test decides by; its seed is in the test's log.
func random(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// await polls for a condition.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	awaitWithin(t, within, what, ok)
}

func awaitWithin(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within %s", what, limit)
		}
	}
}
