package publisher_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/petpro/fabric/publisher"
)

// capture is how a source tells the facts of a history.
type capture struct {
	// recall reduces old rows to the key and what Former says is needed, and at
	// random more; late reads touched rows some facts too late.
	recall, late bool
	// whole gives old rows in full although Recall is set.
	whole bool
	// joined gives lookups with the rows and no followed table.
	joined bool
	// lean leaves out of new rows, at random, what the old one has and did not
	// change.
	lean bool
	// crash ends the mapper behind a random message of about every second entry.
	crash bool
}

// run publishes a history.
type run struct {
	capture
	rng    *rand.Rand
	world  *world
	mapper *publisher.TableMapper
	out    journal
	former map[string]publisher.Former
	// intents of the history; ahead are as many as have happened for who reads
	// rows late.
	intents []intent
	ahead   int
}

// history publishes what the intents do, captured in one of the ways.
func history(t testing.TB, m publisher.Mapping, how capture, seed uint64, intents []intent) *journal {
	t.Helper()
	x := &run{capture: how, rng: rand.New(rand.NewPCG(seed, 1)), world: newWorld(m), mapper: newMapper(t, m), former: m.Former(), intents: intents}
	x.mapper.Recall(&x.out)
	x.out.entry = 1
	for i, in := range intents {
		followed := map[string]map[string]publisher.Row{}
		for table := range m.Follow {
			followed[table] = maps.Clone(x.world.rows[table])
		}
		before := &world{m, followed}
		f, ok := x.world.apply(in)
		if !ok {
			continue
		}
		if err := x.transaction(before, x.changes(before, f, intents[i+1:])); err != nil {
			t.Fatalf("%v: %v", in, err)
		}
	}
	return &x.out
}

// changes are the entries that a source makes of a fact.
func (x *run) changes(before *world, f fact, ahead []intent) []publisher.Change {
	var all []publisher.Change
	_, follows := x.world.mapping.Follow[f.table]
	if _, mapped := x.world.mapping.Tables[f.table]; mapped || follows && !x.joined {
		c := publisher.Change{Table: f.table, Op: f.op, Old: f.old, New: f.row}
		if f.op == publisher.Snapshot && !mapped {
			c.Op = publisher.Load
		}
		switch {
		case x.joined:
			c.Old, c.New = before.lookups(f.table, f.old), x.world.lookups(f.table, f.row)
		case x.recall && mapped && !follows:
			c.Recall = true
			if !x.whole {
				c.Old = x.reduce(f.table, f.op, f.old, f.row)
			}
		}
		if c.New = maps.Clone(c.New); x.lean {
			maps.DeleteFunc(c.New, func(name string, v publisher.Value) bool {
				was, known := c.Old[name]
				return known && was == v && name != x.world.key(f.table) && x.rng.IntN(2) == 0 && c.Op == publisher.Update
			})
		}
		all = append(all, c)
	}
	if !follows || f.op == publisher.Snapshot {
		return all
	}
	now := x.world
	if x.late { // some of what is ahead has happened when the rows are read
		now = newWorld(x.world.mapping)
		for table := range now.rows {
			now.rows[table] = maps.Clone(x.world.rows[table])
		}
		x.ahead = max(x.ahead, len(x.intents)-len(ahead)+x.rng.IntN(5)) // time goes on
		for _, in := range ahead[:min(len(ahead), x.ahead+len(ahead)-len(x.intents))] {
			now.apply(in)
		}
	}
	key := x.world.key(f.table)
	causes := []publisher.Cause{{Table: f.table, Key: f.old[key].Text, Old: f.old}}
	if f.row != nil && f.row[key] != f.old[key] {
		causes = append(causes, publisher.Cause{Table: f.table, Key: f.row[key].Text})
	}
	for _, cause := range causes {
		for _, touched := range now.pointing(f.table, publisher.Value{Text: cause.Key, Valid: cause.Key != ""}) {
			c := publisher.Change{Table: touched.table, Op: publisher.Touch, Old: touched.row, New: touched.row, Recall: x.recall, Cause: &cause}
			if x.joined {
				c.Old, c.New, c.Cause = before.lookups(touched.table, touched.row), now.lookups(touched.table, touched.row), nil
			}
			all = append(all, c)
		}
	}
	return all
}

// reduce leaves of an old row what the log of a table has that is not known by
// its former values: the key if it changed, and what cannot be recalled.
func (x *run) reduce(table string, op publisher.Op, old, row publisher.Row) publisher.Row {
	if old == nil {
		return nil
	}
	key := x.world.mapping.Tables[table].Key
	left := publisher.Row{}
	if op == publisher.Delete || old[key] != row[key] || x.rng.IntN(2) == 0 {
		left[key] = old[key]
	}
	former := x.former[table]
	for name, v := range old {
		needed := slices.Contains(former.Updated, name) && !slices.Contains(former.Recalled, name) || slices.Contains(former.Deleted, name)
		if name != key && (needed || x.rng.IntN(8) == 0) {
			left[name] = v
		}
	}
	if len(left) == 0 {
		return nil
	}
	return left
}

// transaction publishes changes that a source runs again as a whole.
func (x *run) transaction(before *world, changes []publisher.Change) error {
	first := x.out.entry
	for i := 0; i < len(changes); i++ {
		messages, err := x.mapper.Map(entry(changes[i]))
		if err != nil {
			return err
		}
		if x.crash && x.rng.IntN(2) == 0 {
			done := x.rng.IntN(len(messages) + 1)
			x.out.publish(messages[:done]...)
			if messages, err = x.resume(before, changes[:i+1], first, messages[:done]); err != nil {
				return err
			}
		}
		x.out.publish(messages...)
		x.out.entry++
	}
	return nil
}

// resume maps what was mapped since the transaction began with a new memory, and
// returns what is left of its last entry, of which some messages are published.
func (x *run) resume(before *world, changes []publisher.Change, first int, done []publisher.Message) ([]publisher.Message, error) {
	x.mapper.Forget()
	if !x.joined {
		for table := range x.world.mapping.Follow {
			for _, row := range before.rows[table] {
				if _, err := x.mapper.Map(entry(load(table, row))); err != nil {
					return nil, err
				}
			}
		}
	}
	at := x.out.entry
	var messages []publisher.Message
	for i, c := range changes {
		x.out.entry, x.out.loose = first+i, first+i < at
		var err error
		if messages, err = x.mapper.Map(entry(c)); err != nil {
			return nil, err
		}
	}
	x.out.loose = false
	skip := 0
	for _, msg := range done {
		if msg.Event {
			skip++
		}
	}
	var left []publisher.Message
	for _, msg := range messages {
		if msg.Event && skip > 0 {
			skip--
			continue
		}
		left = append(left, msg)
	}
	return left, nil
}

// nasty is a mapping with all that can go wrong with former values.
func nasty() publisher.Mapping {
	return publisher.Mapping{
		Terminal: []string{"completed", "cancelled"},
		Follow:   map[string]publisher.Follow{"services": {Key: "id", Columns: []string{"provider_id"}}},
		Tables: map[string]publisher.Table{
			"orders": {
				Key:     "nr",
				Columns: []string{"nr", "user_id", "service_id", "other_id", "status", "updated_at", "deleted_at", "total", "note", "data", "paid"},
				Times:   []string{"updated_at"},
				Access: &publisher.Access{
					Kind: "order",
					Participants: map[string]string{
						"{user_id}": "customer", "{services[service_id].provider_id}": "vendor", "{services[other_id].provider_id}": "helper", "{user_id}-{total}": "pair",
					},
					Gone: "set(deleted_at) or paid == true and not set(total)",
				},
				Events: []publisher.Event{
					{When: "inserted() or changed(total)", Subject: "user.{nr}.status", Payload: map[string]any{"total": "{total?}"},
						Notify: []publisher.Notify{{To: "{services[service_id].provider_id}", Type: "T", Title: "{note?}", Message: "{services[other_id].provider_id}"}}},
					{When: "inserted() or changed(status) or changed(note)", Subject: "order.{nr}.status",
						Payload: map[string]any{"o": map[string]any{"s": "{status}"}, "n": "{note}", "by": "{services[service_id].provider_id}"}},
					{When: "changed(updated_at) or inserted()", Subject: "booking.o-{nr}.status", Payload: map[string]any{"at": "{updated_at}", "again": "{updated_at?}"}},
					{When: "changed(data)", Subject: "order.{nr}.data", Payload: map[string]any{"x": "{data.x}"}},
					{When: "set(note) and not (changed(paid) or deleted())", Subject: "order.{nr}.steady", Payload: map[string]any{"paid": "{paid}"}},
					{When: "paid == true and deleted() or total == 7 and inserted()", Subject: "order.{nr}.removed", Payload: map[string]any{"was": "{status}"},
						Notify: []publisher.Notify{{To: "{user_id}", Type: "T", Title: "gone", Message: "{services[service_id].provider_id?}"}}},
				},
			},
			"plain": {
				Key: "id", Columns: []string{"id", "status", "note", "user_id"},
				Events: []publisher.Event{{When: "inserted() or changed(status)", Subject: "booking.{id}.status", Payload: map[string]any{"s": "{status}"}}},
			},
		},
	}
}

// equal compares two runs of a history; what differs is said.
func equal(a, b string) string {
	if a == b {
		return ""
	}
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range max(len(x), len(y)) {
		switch {
		case i >= len(x):
			return "missing: " + y[i]
		case i >= len(y):
			return "too many: " + x[i]
		case x[i] != y[i]:
			return "got  " + x[i] + "\nwant " + y[i]
		}
	}
	return ""
}

// shrink finds a short history that still fails.
func shrink(intents []intent, fails func([]intent) string) []intent {
	for i := 0; i < len(intents); {
		fewer := slices.Delete(slices.Clone(intents), i, i+1)
		if fails(fewer) != "" {
			intents, i = fewer, 0
			continue
		}
		i++
	}
	return intents
}

// However a history is captured, the same events are published, each once, and
// the same records stand at the end.
func TestHistoriesAreEqual(t *testing.T) {
	mappings := []struct {
		name    string
		mapping publisher.Mapping
		rounds  int
	}{{"joined", joined(), 30}, {"direct", direct(), 20}, {"nasty", nasty(), 50}}
	modes := []struct {
		name string
		how  capture
		// same compares every message.
		same, keyChanges bool
	}{
		{"full rows, unchanged columns left out", capture{lean: true}, true, true},
		{"full rows, crashes", capture{crash: true}, false, true},
		{"joined by the source", capture{joined: true}, false, true},
		{"joined by the source, crashes", capture{joined: true, crash: true}, false, true},
		{"recalled", capture{recall: true}, true, false},
		{"full rows, recalled", capture{recall: true, whole: true}, true, true},
		{"full rows, recalled, touched late", capture{recall: true, whole: true, late: true}, false, true},
		{"recalled, unchanged columns left out", capture{recall: true, lean: true}, true, false},
		{"recalled, crashes", capture{recall: true, crash: true}, false, false},
		{"recalled, touched late", capture{recall: true, late: true}, false, false},
		{"recalled, touched late, crashes", capture{recall: true, late: true, crash: true}, false, false},
	}
	for _, mm := range mappings {
		for _, mode := range modes {
			t.Run(mm.name+"/"+mode.name, func(t *testing.T) {
				for range mm.rounds {
					seed := rand.Uint64()
					intents := randomIntents(rand.New(rand.NewPCG(seed, 0)), mm.mapping, 40, mode.keyChanges)
					fails := func(intents []intent) string {
						want := history(t, mm.mapping, capture{}, seed, intents)
						got := history(t, mm.mapping, mode.how, seed, intents)
						if mode.same && mm.name != "nasty" { // there a row may be touched twice
							return equal(got.all(), want.all())
						}
						return equal(untimed(got.events()), untimed(want.events())) + equal(got.records(!mode.how.late), want.records(!mode.how.late))
					}
					if fails(intents) == "" {
						continue
					}
					short := shrink(intents, fails)
					var b bytes.Buffer
					for _, in := range short {
						fmt.Fprintln(&b, " ", in)
					}
					t.Fatalf("seed %d: %s\nhistory:\n%sfull:\n%sgot:\n%s", seed, fails(short), &b,
						history(t, mm.mapping, capture{}, seed, short).all(), history(t, mm.mapping, mode.how, seed, short).all())
				}
			})
		}
	}
}
