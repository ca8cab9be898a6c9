package publisher_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/petpro/fabric/publisher"
)

// intent is a step of a random history. One that does not apply to the rows as
// they are (an update of a row that is not there) is passed over, so that any
// part of a history is one too.
type intent struct {
	table string
	op    publisher.Op
	key   string
	// set are the columns of an insert or update; the key's changes the key.
	set publisher.Row
}

func (in intent) String() string {
	op := map[publisher.Op]string{publisher.Insert: "insert", publisher.Update: "update", publisher.Delete: "delete", publisher.Snapshot: "snapshot"}[in.op]
	return fmt.Sprintf("%s %s %s %s", op, in.table, in.key, rowText(in.set))
}

func rowText(row publisher.Row) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(row)) {
		text := "NULL"
		if row[name].Valid {
			text = row[name].Text
		}
		fmt.Fprintf(&b, "%s=%s ", name, text)
	}
	return strings.TrimSpace(b.String())
}

// fact is what an intent did to a row.
type fact struct {
	table    string
	op       publisher.Op
	old, row publisher.Row
}

// world is a database: rows by table and key.
type world struct {
	mapping publisher.Mapping
	rows    map[string]map[string]publisher.Row
}

func newWorld(m publisher.Mapping) *world {
	w := &world{m, map[string]map[string]publisher.Row{}}
	for name := range m.Needs() {
		w.rows[name] = map[string]publisher.Row{}
	}
	return w
}

func (w *world) key(table string) string {
	if t, ok := w.mapping.Tables[table]; ok {
		return t.Key
	}
	return w.mapping.Follow[table].Key
}

func (w *world) apply(in intent) (f fact, ok bool) {
	rows, key := w.rows[in.table], w.key(in.table)
	f = fact{table: in.table, op: in.op, old: rows[in.key]}
	switch in.op {
	case publisher.Insert, publisher.Snapshot:
		if f.old != nil {
			return f, false
		}
		f.row = with(in.set, key, in.key)
	case publisher.Update:
		if f.old == nil {
			return f, false
		}
		f.row = maps.Clone(f.old)
		maps.Copy(f.row, in.set)
		if to := f.row[key].Text; to != in.key && rows[to] != nil {
			return f, false
		}
	case publisher.Delete:
		if f.old == nil {
			return f, false
		}
	}
	delete(rows, in.key)
	if f.row != nil {
		rows[f.row[key].Text] = f.row
	}
	return f, true
}

// lookups of a row as a join would find them.
func (w *world) lookups(table string, row publisher.Row) publisher.Row {
	if row == nil {
		return nil
	}
	found := maps.Clone(row)
	for _, l := range w.mapping.Lookups()[table] {
		found[l.Name()] = w.rows[l.Follow][row[l.Via].Text][l.Column]
	}
	return found
}

// pointing lists the rows of which a lookup goes by the followed key.
func (w *world) pointing(followed string, key publisher.Value) []touchedRow {
	var touched []touchedRow
	for _, rule := range w.mapping.Touches() {
		for _, id := range slices.Sorted(maps.Keys(w.rows[rule.Table])) {
			if row := w.rows[rule.Table][id]; rule.Followed == followed && key.Valid && row[rule.Column] == key {
				touched = append(touched, touchedRow{rule.Table, row})
			}
		}
	}
	return touched
}

// touchedRow is a row of a mapped table.
type touchedRow struct {
	table string
	row   publisher.Row
}

// journal is what was published, in order, and answers as the Past of the entry
// that is being mapped.
type journal struct {
	entry    int // being mapped
	entries  []int
	messages []publisher.Message
	// loose makes it answer with what came later too, as for an entry that is
	// mapped only to be left out.
	loose bool
}

func (s *journal) Last(subject string) ([]byte, bool, error) {
	for i := len(s.messages) - 1; i >= 0; i-- {
		if s.messages[i].Subject == subject && (s.entries[i] < s.entry || s.loose) {
			return s.messages[i].Data, true, nil
		}
	}
	return nil, false, nil
}

func (s *journal) publish(messages ...publisher.Message) {
	for _, msg := range messages {
		s.entries, s.messages = append(s.entries, s.entry), append(s.messages, msg)
	}
}

// events lists those published, one per line.
func (s *journal) events() string {
	var b strings.Builder
	for i, msg := range s.messages {
		if msg.Event {
			fmt.Fprintf(&b, "entry %d: %s %s\n", s.entries[i], msg.Subject, msg.Data)
		}
	}
	return b.String()
}

// records lists the last of each subject; without past those of closed rooms and
// of users who are gone are left out, as a source that passes over a state does
// not tell of who was there in between.
func (s *journal) records(past bool) string {
	last := map[string][]byte{}
	for _, msg := range s.messages {
		if !msg.Event {
			last[msg.Subject] = msg.Data
		}
	}
	var b strings.Builder
	for _, subject := range slices.Sorted(maps.Keys(last)) {
		if past || !bytes.Contains(last[subject], []byte(`"open":false`)) {
			fmt.Fprintf(&b, "%s %s\n", subject, last[subject])
		}
	}
	return b.String()
}

// all lists every message.
func (s *journal) all() string {
	var b strings.Builder
	for i, msg := range s.messages {
		fmt.Fprintf(&b, "entry %d: %s %s\n", s.entries[i], msg.Subject, msg.Data)
	}
	return b.String()
}

// values that columns take at random.
var pools = map[string][]string{
	"status": {"pending", "confirmed", "cancelled", "completed"}, "user_id": {"u1", "u2", "u3"}, "customer_id": {"u1", "u2"}, "vendor_id": {"u2", "u3"},
	"service_id": {"s1", "s2", "s3"}, "other_id": {"s1", "s2"}, "provider_id": {"u2", "u3", "u4"}, "deleted_at": {"2026-11-22"},
	"updated_at": {"2026-11-22 10:30:00", "2026-11-22 10:31:00", "soon"}, "total": {"1", "5"}, "note": {"hello", "\"a\\b\u2028<é>", "", "null"},
	"data": {`{"x":1}`, `{"x":2}`, "{"}, "paid": {"t", "f"}, "type": {"T"}, "title": {"t"}, "message": {"m"},
}

// randomIntents makes a history of n steps. It begins with a snapshot, of the
// followed tables first.
func randomIntents(rng *rand.Rand, m publisher.Mapping, n int, keyChanges bool) []intent {
	needs := m.Needs()
	tables := slices.Sorted(maps.Keys(needs))
	w := newWorld(m)
	var all []intent
	for len(all) < n {
		table := tables[rng.IntN(len(tables))]
		_, follows := m.Follow[table]
		in := intent{table: table, op: publisher.Update, key: randomKey(rng, follows), set: publisher.Row{}}
		switch exists := w.rows[table][in.key] != nil; {
		case len(all) < n/4:
			in.op = publisher.Snapshot
		case !exists:
			in.op = publisher.Insert
		case rng.IntN(6) == 0:
			in.op = publisher.Delete
		}
		for _, name := range needs[table] {
			if name != w.key(table) && in.op != publisher.Delete && (in.op != publisher.Update || rng.IntN(3) == 0) {
				in.set[name] = randomValue(rng, name)
			}
		}
		if keyChanges && in.op == publisher.Update && rng.IntN(6) == 0 {
			in.set[w.key(table)] = publisher.Value{Text: randomKey(rng, follows), Valid: true}
		}
		if _, ok := w.apply(in); ok || len(all) < n/4 {
			all = append(all, in)
		}
	}
	slices.SortStableFunc(all[:n/4], func(a, b intent) int { return len(m.Follow[b.table].Key) - len(m.Follow[a.table].Key) })
	return all
}

func randomKey(rng *rand.Rand, followed bool) string {
	if followed {
		return pools["service_id"][rng.IntN(3)]
	}
	return fmt.Sprint(rng.IntN(4))
}

func randomValue(rng *rand.Rand, column string) publisher.Value {
	if column != "user_id" && rng.IntN(4) == 0 { // users are part of subjects
		return publisher.Value{}
	}
	return publisher.Value{Text: pools[column][rng.IntN(len(pools[column]))], Valid: true}
}

// untimed leaves out the numbers of entries.
func untimed(events string) string {
	var b strings.Builder
	for line := range strings.Lines(events) {
		_, event, _ := strings.Cut(line, ": ")
		b.WriteString(event)
	}
	return b.String()
}
