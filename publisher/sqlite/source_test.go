package sqlite_test

import (
	"database/sql"
	"log/slog"
	"testing"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/sourcetest"
	"github.com/petpro/fabric/publisher/sqlite"
)

// TestSource holds the source to the contract of publisher.Source.
func TestSource(t *testing.T) {
	schemas := map[string]string{
		"rowid": `CREATE TABLE items (id TEXT PRIMARY KEY, filler TEXT, secret TEXT);
			CREATE TABLE owners (name TEXT PRIMARY KEY, value TEXT, secret TEXT);`,
		"without rowid": `CREATE TABLE items (id TEXT PRIMARY KEY, filler TEXT, secret TEXT) WITHOUT ROWID;
			CREATE TABLE owners (name TEXT PRIMARY KEY, value TEXT, secret TEXT) WITHOUT ROWID;`,
	}
	for name, schema := range schemas {
		t.Run(name, func(t *testing.T) {
			sourcetest.Test(t, func(t *testing.T) *sourcetest.Harness { return harness(t, schema) })
		})
	}
}

func harness(t *testing.T, schema string) *sourcetest.Harness {
	db := newDatabase(t, schema)
	mapping := publisher.Mapping{
		Follow: map[string]publisher.Follow{"owners": {Key: "name", Columns: []string{"value"}}},
		Tables: map[string]publisher.Table{"items": {Key: "id", Columns: []string{"filler"}}},
	}
	open := func() publisher.Source {
		return sqlite.New("shop", db.config(), mapping, slog.New(slog.DiscardHandler))
	}
	write := func(commit bool) func(...string) {
		return func(ids ...string) {
			db.in(commit, func(tx *sql.Tx) {
				insert, err := tx.Prepare("INSERT INTO items VALUES (?, ?, 'never shown')")
				if err != nil {
					t.Errorf("insert: %v", err)
					return
				}
				defer insert.Close()
				for _, id := range ids {
					if _, err := insert.Exec(id, sourcetest.Filler); err != nil {
						t.Errorf("insert %s: %v", id, err)
					}
				}
			})
		}
	}
	return &sourcetest.Harness{
		Open:     open,
		Write:    write(true),
		Rollback: write(false),
		ID:       func(e publisher.Entry) string { return e.Change.New["id"].Text },
		Prune: func(place string) {
			src := open()
			var next string
			if err := src.Run(t.Context(), place, func(e publisher.Entry) error {
				if src.Compare(e.Place, place) > 0 {
					next = e.Place
					return sql.ErrTxDone // any error: enough
				}
				return nil
			}); next == "" {
				t.Fatalf("prune %s: %v", place, err)
			}
			if err := src.Confirm(t.Context(), next); err != nil {
				t.Fatalf("prune %s: %v", place, err)
			}
		},
		Future: "1000000/0",
		Follow: &sourcetest.Follow{
			Table:  "owners",
			Set:    func(key, value string) { db.exec("INSERT OR REPLACE INTO owners VALUES (?, ?, 'x')", key, value) },
			Delete: func(key string) { db.exec("DELETE FROM owners WHERE name = ?", key) },
			Row:    func(r publisher.Row) (key, value string) { return r["name"].Text, r["value"].Text },
		},
	}
}
