package postgres

import (
	"slices"
	"testing"

	"github.com/petpro/fabric/publisher"
)

func TestPlaces(t *testing.T) {
	// In their order.
	places := []string{
		"7a1f-1/0/16B3748/-1", "7a1f-1/0/16B3748/0", "7a1f-1/0/16B3748/2", "7a1f-1/0/16B3748/2+0.a", "7a1f-1/0/16B3748/2+0.b%2F1",
		"7a1f-1/0/16B3748/2+1.a", "7a1f-1/0/16B3748/2+10.", "7a1f-1/0/16B3748/10", "7a1f-2/0/16B3749/-1", "7a1f-1/1/0/0",
	}
	s := &Source{}
	for i, a := range places {
		p, err := parsePlace(a)
		if err != nil || p.String() != a {
			t.Errorf("parsePlace(%q) = %v, %v", a, p, err)
		}
		for j, b := range places {
			if got := s.Compare(a, b); got != compareInts(i, j) {
				t.Errorf("Compare(%q, %q) = %d, want %d", a, b, got, compareInts(i, j))
			}
		}
		if s.Compare(publisher.InitPlace, a) >= 0 || s.Compare(a, "") <= 0 {
			t.Errorf("%q is not behind what is no place", a)
		}
	}
}

func compareInts(i, j int) int { return slices.Compare([]int{i}, []int{j}) }

func TestNoPlaces(t *testing.T) {
	for _, s := range []string{
		"", "init", "17/0", "7a1f-1", "7a1f-1/0/16B3748", "7a1f/0/16B3748/0", "7a1f-1/0/16B3748/x", "7a1f-1/0/16B3748/-2",
		"12345-1/0/1/0", "7a1f-1/0/G/0", "7a1f-1/0/1/-1+0.a", "7a1f-1/0/1/0+a", "7a1f-1/0/1/0+-1.a", "7a1f-1/0/1/0+0.%zz",
	} {
		if p, err := parsePlace(s); err == nil {
			t.Errorf("parsePlace(%q) = %v, want an error", s, p)
		}
	}
}

// A place that can be read is written in one form, and survives in a header.
func FuzzPlace(f *testing.F) {
	for _, s := range []string{"7a1f-1/0/16B3748/3", "7a1f-1/0/16B3748/-1", "0-4294967295/FFFFFFFF/FFFFFFFF/3+0.b%3D1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePlace(s)
		if err != nil {
			return
		}
		again, err := parsePlace(p.String())
		if err != nil || again.String() != p.String() || p.compare(again) != 0 {
			t.Errorf("%q is written as %q, which is read as %v, %v", s, p, again, err)
		}
		pos := publisher.Positions{Sources: map[string]publisher.Position{"shop": {Place: p.String(), Done: 1}}, Map: "1"}
		back, err := publisher.ParsePositions(pos.String())
		if err != nil || back.Sources["shop"] != pos.Sources["shop"] {
			t.Errorf("%q does not survive in %q: %v", p, pos, err)
		}
	})
}
