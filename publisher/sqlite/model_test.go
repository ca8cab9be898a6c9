package sqlite_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/sqlite"
)

// The tables of the model test: keys and unique columns of all sorts, and a
// column that is not listed.
var modelTables = []struct{ name, schema, key string }{
	{"text key", `CREATE TABLE t (id TEXT PRIMARY KEY, a, b UNIQUE, c INTEGER, d INTEGER, secret, UNIQUE (c, d))`, "id"},
	{"integer key", `CREATE TABLE t (id INTEGER PRIMARY KEY, a, b UNIQUE, c INTEGER, d INTEGER, secret, UNIQUE (c, d))`, "id"},
	{"without rowid", `CREATE TABLE t (id TEXT PRIMARY KEY, a, b UNIQUE, c INTEGER, d INTEGER, secret, UNIQUE (c, d)) WITHOUT ROWID`, "id"},
	{"key beside the primary key", `CREATE TABLE t (a, id TEXT UNIQUE, b UNIQUE, c INTEGER, d INTEGER, secret, PRIMARY KEY (c, d))`, "id"},
	{"no case", `CREATE TABLE t (id TEXT PRIMARY KEY COLLATE NOCASE, a, b UNIQUE COLLATE NOCASE, c INTEGER, d INTEGER, secret, UNIQUE (c, d))`, "id"},
	{"replace by definition", `CREATE TABLE t (id TEXT PRIMARY KEY ON CONFLICT REPLACE, a, b UNIQUE ON CONFLICT REPLACE, c INTEGER, d INTEGER, secret, UNIQUE (c, d) ON CONFLICT REPLACE)`, "id"},
}

// TestModel executes random statements by two writers, one with recursive
// triggers, and replays the log into a map: each entry must find the row as its
// Old says, and in the end the map must be the table.
func TestModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	for _, table := range modelTables {
		t.Run(table.name, func(t *testing.T) { runModel(t, table.schema, table.key, seed) })
	}
}

func runModel(t *testing.T, schema, key string, seed uint64) {
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	db := newDatabase(t, schema)
	writers := []*database{db, openDatabase(t, db.path, "", "recursive_triggers(1)")}
	columns := []string{"id", "a", "b", "c", "d"}
	src := db.source(publisher.Mapping{Tables: map[string]publisher.Table{"t": {Key: key, Columns: columns}}})
	from := snapshotPlace(t, src)

	var history []string
	model := map[string]string{}
	for range 50 {
		w := writers[random.IntN(2)]
		tx, err := w.Begin()
		if err != nil {
			t.Fatal(err)
		}
		for range 1 + random.IntN(4) {
			stmt := randomStatement(random)
			_, err := tx.Exec(stmt) // most of the failures are conflicts
			history = append(history, fmt.Sprintf("%s -- %v", stmt, err))
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		history = append(history, "COMMIT")
		var bad string
		if from, bad = replay(t, src, from, model); bad == "" {
			bad = compare(model, actual(t, src))
		}
		if bad != "" {
			t.Fatalf("%s\n%s", bad, strings.Join(history[max(0, len(history)-12):], "\n"))
		}
	}
}

func randomStatement(random *rand.Rand) string {
	id := func() string { return []string{"'1'", "'2'", "3", "'k'", "'K'", "4.0"}[random.IntN(6)] }
	value := func() string {
		return []string{"NULL", "''", "'x'", "'X'", "x'00ff'", "1", "1.0", "'it''s, \"so\"=NULL'", "9007199254740993"}[random.IntN(9)]
	}
	small := func() string { return fmt.Sprint(random.IntN(4)) }
	or := []string{"", "OR REPLACE ", "OR IGNORE ", "OR FAIL ", "OR ABORT "}[random.IntN(5)]
	where := " WHERE id = " + id()
	if random.IntN(3) == 0 {
		where = " WHERE c = " + small()
	}
	row := func() string {
		return "(" + strings.Join([]string{id(), value(), value(), small(), small(), value()}, ", ") + ")"
	}
	switch random.IntN(9) {
	case 0, 1, 2:
		return "INSERT " + or + "INTO t (id, a, b, c, d, secret) VALUES " + row() + ", " + row()
	case 3:
		return "INSERT INTO t (id, a, b, c, d, secret) VALUES " + row() + " ON CONFLICT DO UPDATE SET a = excluded.a, b = excluded.b"
	case 4:
		return "DELETE FROM t" + where
	case 5:
		return "UPDATE " + or + "t SET id = " + id() + ", a = " + value() + where
	case 6:
		return "UPDATE " + or + "t SET b = " + value() + ", c = " + small() + where
	case 7:
		return "UPDATE t SET rowid = " + id() + where
	}
	return "UPDATE " + or + "t SET a = " + value() + ", secret = " + value() + where
}

// replay applies what is in the log to the model, and returns where it ends and
// what is wrong.
func replay(t *testing.T, src *sqlite.Source, from string, model map[string]string) (next, bad string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	end := snapshotPlace(t, src)
	if src.Compare(from, end) == 0 {
		return end, ""
	}
	err := src.Run(ctx, from, func(e publisher.Entry) error {
		if bad == "" && e != (publisher.Entry{}) {
			bad = apply(e.Change, model)
		}
		// The place of a snapshot is right behind the last entry.
		if strings.TrimSuffix(e.Place, "/0") == strings.TrimSuffix(end, "/1") {
			cancel()
		}
		return nil
	})
	if err != context.Canceled {
		t.Fatalf("Run: %v", err)
	}
	return end, bad
}

func apply(c *publisher.Change, model map[string]string) (bad string) {
	entry := func() string { return show([]publisher.Entry{{Change: c}}) }
	if c.Old != nil {
		id := c.Old["id"].Text
		if model[id] != showRow(c.Old) {
			return fmt.Sprintf("old row is not as it was (%s): %s", model[id], entry())
		}
		delete(model, id)
	}
	if c.New != nil {
		id := c.New["id"].Text
		if was, ok := model[id]; ok {
			return fmt.Sprintf("new row is there already (%s): %s", was, entry())
		}
		model[id] = showRow(c.New)
	}
	if (c.Op == publisher.Insert) != (c.Old == nil) || (c.Op == publisher.Delete) != (c.New == nil) {
		return "operation does not fit its rows: " + entry()
	}
	if c.Op == publisher.Update && showRow(c.Old) == showRow(c.New) {
		return "nothing changed: " + entry()
	}
	return ""
}

// actual reads the table by a snapshot.
func actual(t *testing.T, src *sqlite.Source) map[string]string {
	t.Helper()
	rows := map[string]string{}
	if _, err := src.Snapshot(t.Context(), func(e publisher.Entry) error {
		rows[e.Change.New["id"].Text] = showRow(e.Change.New)
		return nil
	}); err != nil {
		t.Fatalf("Snapshot: %v", err)
	}
	return rows
}

func compare(model, actual map[string]string) string {
	if maps.Equal(model, actual) {
		return ""
	}
	return fmt.Sprintf("after the log the table should be\n%v\nbut is\n%v", model, actual)
}
