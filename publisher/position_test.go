package publisher_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/subjects"
	"github.com/petpro/fabric/subjects/stream"
)

func TestPositions(t *testing.T) {
	for _, tt := range []struct {
		text string
		want publisher.Positions
	}{
		{"map=9f3c", publisher.Positions{Map: "9f3c"}},
		{"map=", publisher.Positions{}},
		{"ingest=1042;petpro=17/0/2;map=9f3c", publisher.Positions{Map: "9f3c", Sources: map[string]publisher.Position{
			"ingest": {Place: "1042", Done: publisher.AllDone}, "petpro": {Place: "17/0", Done: 2},
		}}},
		{"petpro=0/16B3748/3/*;map=a", publisher.Positions{Map: "a", Sources: map[string]publisher.Position{
			"petpro": {Place: "0/16B3748/3", Done: publisher.AllDone},
		}}},
		{"petpro=init;map=a", publisher.Positions{Map: "a", Sources: map[string]publisher.Position{
			"petpro": {Place: publisher.InitPlace, Done: publisher.AllDone},
		}}},
		{"x=0/0;map=a", publisher.Positions{Map: "a", Sources: map[string]publisher.Position{"x": {Place: "0"}}}},
	} {
		got, err := publisher.ParsePositions(tt.text)
		if err != nil {
			t.Errorf("ParsePositions(%q): %v", tt.text, err)
			continue
		}
		if len(tt.want.Sources) == 0 {
			tt.want.Sources = map[string]publisher.Position{}
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("ParsePositions(%q) = %+v, want %+v", tt.text, got, tt.want)
		}
		if back := got.String(); back != tt.text {
			t.Errorf("String = %q, want %q", back, tt.text)
		}
	}
}

// TestAuthorComesFirst: a message tells which source made it.
func TestAuthorComesFirst(t *testing.T) {
	s := newShop(t)
	alpha, omega := newScript("alpha"), newScript("omega")
	r := s.start([]publisher.Source{alpha, omega})
	<-r.Initial()
	alpha.set("a_1", "pending")
	s.published(alpha)
	omega.set("o_1", "pending")
	s.published(omega)
	for subject, want := range map[string]string{
		"booking.a_1.access": "alpha=1/0/0;omega=0/1/0;map=",
		"booking.o_1.access": "omega=1/0/0;alpha=1/0/*;map=",
	} {
		m, err := stream.NewLeader(s.nc, s.cfg.Stream).Last(t.Context(), subject)
		if err != nil {
			t.Fatal(err)
		}
		got := m.Header.Get(subjects.PositionHeader)
		if _, err := publisher.ParsePositions(got); err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("position of %s = %q (%v), want %q first", subject, got, err, want)
		}
	}
}

func TestParsePositionsRefuses(t *testing.T) {
	for _, text := range []string{
		"", "petpro=17/0/2", "petpro=17/0/x;map=a", "petpro=17/0/-1;map=a", "petpro=;map=a", "=17;map=a",
		"petpro;map=a", "a=1;a=2;map=a", "petpro=1;map=a;b", "petpro=1map=a", ";map=a", "a=b=c;map=x",
	} {
		if got, err := publisher.ParsePositions(text); err == nil {
			t.Errorf("ParsePositions(%q) = %+v, want an error", text, got)
		}
	}
}

func FuzzParsePositions(f *testing.F) {
	for _, s := range []string{"ingest=1042;petpro=17/0/2;map=9f3c", "petpro=0/16B3748/3/*;map=a", "petpro=init;map=", "map=map=", "a=/1;map="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := publisher.ParsePositions(s)
		if err != nil {
			return
		}
		again, err := publisher.ParsePositions(p.String())
		if err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("ParsePositions(%q) = %+v, but of its String %q %+v, %v", s, p, p.String(), again, err)
		}
	})
}

func ExampleParsePositions() {
	p, err := publisher.ParsePositions("ingest=1042;petpro=17/0/2;map=9f3c")
	fmt.Println(p.Sources["petpro"].Place, p.Sources["petpro"].Done, err)
	_, err = publisher.ParsePositions("petpro=17/0/many;map=9f3c")
	fmt.Println(err)
	// Output:
	// 17/0 2 <nil>
	// position "petpro=17/0/many;map=9f3c": "17/0/many" does not end in a count
}
