package e2e_test

import (
	"flag"
	"testing"

	"github.com/petpro/fabric/test/pgtest"
)

// parallel is how many tests run at once unless -parallel says otherwise: more
// than there are processors, for they wait (for slow clients, for silence to be
// noticed) far more than they compute.
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
