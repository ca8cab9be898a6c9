package check_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/petpro/fabric/cmd/internal/check"
	"github.com/petpro/fabric/publisher"
)

// source is what a check hears of one.
type source struct {
	publisher.Source
	err error
}

func (s source) Check(context.Context) error { return s.err }

// adviser tells advice too.
type adviser struct {
	source
	found []publisher.Problem
}

func (a adviser) Problems(context.Context) ([]publisher.Problem, error) { return a.found, a.err }

func ask(t *testing.T, src publisher.Source) check.Part {
	t.Helper()
	return check.Source(t.Context(), src, publisher.SourceConfig{Name: "shop", Kind: publisher.KindSQLite, SQLite: publisher.SQLiteConfig{Path: "shop.db"}})
}

func TestProblemsAreTakenApart(t *testing.T) {
	first := publisher.Problem{What: "wal_level is replica", Mend: "ALTER SYSTEM …"}
	second := publisher.Problem{What: "no limit", Mend: "SET …", Advice: true}
	said := fmt.Errorf("connect: %w (the server said no)", first)
	for name, tt := range map[string]struct {
		src  publisher.Source
		want []publisher.Problem
	}{
		"joined":            {source{err: errors.Join(first, second)}, []publisher.Problem{first, second}},
		"behind a sentence": {source{err: fmt.Errorf("source shop: check: %w", errors.Join(first, second))}, []publisher.Problem{first, second}},
		"joined twice":      {source{err: errors.Join(errors.Join(first), errors.Join(second))}, []publisher.Problem{first, second}},
		"one":               {source{err: fmt.Errorf("source shop: %w", first)}, []publisher.Problem{first}},
		"with its cause":    {source{err: said}, []publisher.Problem{{What: first.What + "\n(the server said no)", Mend: first.Mend}}},
		"no Problem":        {source{err: errors.New("no route to host")}, []publisher.Problem{{What: "no route to host"}}},
		"two in a sentence": {source{err: fmt.Errorf("%w: %w", publisher.ErrAway, errors.New("refused"))}, []publisher.Problem{{What: publisher.ErrAway.Error() + ": refused"}}},
		"an adviser":        {adviser{found: []publisher.Problem{second}}, []publisher.Problem{second}},
		"an adviser's end":  {adviser{source: source{err: errors.New("refused")}}, []publisher.Problem{{What: "refused"}}},
		"nothing":           {source{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := ask(t, tt.src)
			if fmt.Sprint(got.Problems) != fmt.Sprint(tt.want) {
				t.Errorf("problems = %q, want %q", got.Problems, tt.want)
			}
			if problems, _ := got.Counts(); (problems == 0) != (len(got.Fine) > 0) {
				t.Errorf("%d problems, and fine: %q", problems, got.Fine)
			}
		})
	}
}

func ExampleReport_WriteText() {
	part := check.Part{Name: "petpro", Fine: []string{"PostgreSQL 15.18, database shop as fabric_publisher"}, Problems: []publisher.Problem{
		{What: "max_slot_wal_keep_size is unlimited", Mend: "ALTER SYSTEM SET max_slot_wal_keep_size = '2GB'", Advice: true},
		{What: "wal_level is replica", Mend: "ALTER SYSTEM SET wal_level = 'logical';\n-- then restart PostgreSQL"},
	}}
	r := check.Report{Parts: []check.Part{{Name: "nats", Fine: []string{"nats://127.0.0.1:4222 runs nats-server 2.15.2"}}, part}}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		panic(err)
	}
	fmt.Print(b.String())
	// Output:
	// nats       fine
	//            nats://127.0.0.1:4222 runs nats-server 2.15.2
	// petpro     1 problem, 1 piece of advice
	//            PostgreSQL 15.18, database shop as fabric_publisher
	//
	//   1. wal_level is replica
	//        ALTER SYSTEM SET wal_level = 'logical';
	//        -- then restart PostgreSQL
	//
	//   advice: max_slot_wal_keep_size is unlimited
	//        ALTER SYSTEM SET max_slot_wal_keep_size = '2GB'
}

func TestReportAsJSON(t *testing.T) {
	r := check.Report{Parts: []check.Part{{Name: "nats"}, ask(t, source{err: publisher.Problem{What: "a", Mend: "b"}})}}
	got, err := json.Marshal(r)
	const want = `{"ok":false,"parts":[{"name":"nats","ok":true,"fine":[],"problems":[]},` +
		`{"name":"shop","ok":false,"fine":[],"problems":[{"what":"a","mend":"b","advice":false}]}]}`
	if err != nil || string(got) != want {
		t.Errorf("JSON = %s, %v; want %s", got, err, want)
	}
	r.Parts[1].Problems[0].Advice = true
	if got, err := json.Marshal(r); err != nil || !strings.HasPrefix(string(got), `{"ok":true,`) {
		t.Errorf("JSON with advice only = %s, %v", got, err)
	}
}

func TestMapping(t *testing.T) {
	cfg := publisher.DefaultConfig()
	cfg.Mapping = publisher.Mapping{
		Follow: map[string]publisher.Follow{"services": {Key: "id", Columns: []string{"provider_id"}}},
		Tables: map[string]publisher.Table{"bookings": {Key: "id", Columns: []string{"id", "status"}}},
	}
	if p := check.Mapping(cfg); len(p.Problems) > 0 || !strings.Contains(p.Fine[0], "publishes bookings; follows services") {
		t.Errorf("a sound mapping: %+v", p)
	}
	cfg.Mapping.Tables["bookings"] = publisher.Table{Key: "id", Columns: []string{"id"}, Events: []publisher.Event{
		{When: "changed(nothing)", Subject: "booking.{id}.status"}, {When: "changed(", Subject: "booking.{id}.status"},
	}}
	if p := check.Mapping(cfg); len(p.Problems) < 2 || len(p.Fine) > 0 {
		t.Errorf("a mapping with two mistakes: %+v", p)
	}
}
