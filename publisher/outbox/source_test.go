package outbox_test

import (
	"context"
	"path"
	"testing"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/outbox"
	"github.com/petpro/fabric/publisher/sourcetest"
	"github.com/petpro/fabric/test/pgtest"
)

// TestSource holds the source to the contract of publisher.Source: directly,
// and through a pooler in transaction mode; one after the other, as the suite
// measures the heap.
func TestSource(t *testing.T) {
	t.Run("direct", func(t *testing.T) {
		sourcetest.Test(t, func(t *testing.T) *sourcetest.Harness { return harness(t, false) })
	})
	t.Run("pooled", func(t *testing.T) {
		sourcetest.Test(t, func(t *testing.T) *sourcetest.Harness { return harness(t, true, pgtest.Version17) })
	})
}

// smallBatches are parts of the suite whose batches are of so many rows, that
// places are at the border of two.
var smallBatches = map[string]string{
	"LostBehind": "1", "RestartAtEveryPlace": "1", "SnapshotBoundary": "1", "ConfirmAndRestart": "3", "Followed": "2", "Live": "1",
}

func harness(t *testing.T, pooled bool, opts ...pgtest.Option) *sourcetest.Harness {
	db := newDatabase(t, `
		CREATE TABLE items (id text PRIMARY KEY, filler text, secret text);
		CREATE TABLE owners (name text PRIMARY KEY, value text, secret text)`, opts...)
	if pooled {
		db.dsn = db.Pooled(t)
	}
	mapping := publisher.Mapping{
		Follow: map[string]publisher.Follow{"owners": {Key: "name", Columns: []string{"value"}}},
		Tables: map[string]publisher.Table{"items": {Key: "id", Columns: []string{"id", "filler"}}},
	}
	db.source(mapping)
	open := func() publisher.Source {
		src := db.bare(mapping)
		if rows := smallBatches[path.Base(t.Name())]; rows != "" {
			src.LimitBatch(rows)
		}
		return src
	}
	write := func(commit bool) func(...string) {
		return func(ids ...string) {
			tx, err := db.conn.Begin(context.Background())
			if err != nil {
				t.Errorf("begin: %v", err)
				return
			}
			if _, err := tx.Exec(context.Background(), "INSERT INTO items SELECT id, $2, 'never shown' FROM unnest($1::text[]) WITH ORDINALITY u(id, n) ORDER BY n", ids, sourcetest.Filler); err != nil {
				t.Errorf("insert: %v", err)
			}
			end := tx.Commit
			if !commit {
				end = tx.Rollback
			}
			if err := end(context.Background()); err != nil {
				t.Errorf("end of transaction: %v", err)
			}
		}
	}
	return &sourcetest.Harness{
		Open:     open,
		Write:    write(true),
		Rollback: write(false),
		ID:       func(e publisher.Entry) string { return e.Change.New["id"].Text },
		Future:   "1000000-00000000/0",
		Prune: func(place string) {
			n, _ := outbox.ParsePlace(place) // the part has batches of one
			db.exec("DELETE FROM fabric.batches WHERE n <= $1", n)
		},
		Follow: &sourcetest.Follow{
			Table: "owners",
			Set: func(key, value string) {
				db.exec("INSERT INTO owners VALUES ($1, $2, 'x') ON CONFLICT (name) DO UPDATE SET value = excluded.value", key, value)
			},
			Delete: func(key string) { db.exec("DELETE FROM owners WHERE name = $1", key) },
			Row:    func(r publisher.Row) (key, value string) { return r["name"].Text, r["value"].Text },
		},
	}
}
