package pgtest

import (
	"fmt"
	"os"
	"testing"

	"github.com/petpro/fabric/test/natstest"
)

// Main runs the tests of a package, stops the shared servers, and fails if
// goroutines are left. It includes natstest.Main.
func Main(m *testing.M) { natstest.Main(stopping{m}) }

// stopping stops what the tests shared when they have ended, before anybody
// looks for goroutines.
type stopping struct{ tests *testing.M }

func (s stopping) Run() int {
	code := s.tests.Run()
	for _, err := range end() {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		code = max(code, 1)
	}
	return code
}

func end() (errs []error) {
	complain := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	for made, s := range shared {
		if s.server != nil {
			complain(s.server.close())
		}
		complain(made.home.remove())
	}
	complain(reachable17.remove())
	return errs
}
