package test

import (
	"database/sql"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/petpro/fabric/config"
)

// TestShopTables: the shop's tables are the same in both databases, and hold
// what the mapping in publisher.yaml names.
func TestShopTables(t *testing.T) {
	c := load(t, "deploy/publisher.yaml")
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "shop.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	// Twice, as a second `docker compose up` does.
	for range 2 {
		if _, err := db.ExecContext(t.Context(), read(t, "deploy/shop.sql")); err != nil {
			t.Fatalf("deploy/shop.sql: %v", err)
		}
	}
	tables := query(t, db, `SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`)
	if len(tables) == 0 {
		t.Fatal("deploy/shop.sql makes no tables")
	}
	for _, table := range tables {
		have := query(t, db, `SELECT name FROM pragma_table_info('`+table+`')`)
		if postgres := postgresColumns(t, table); !slices.Equal(have, postgres) {
			t.Errorf("table %s has columns %v in shop.sql, %v in postgres.sql", table, have, postgres)
		}
		for _, column := range slices.Concat(c.Mapping.Tables[table].Columns, c.Mapping.Follow[table].Columns) {
			if !slices.Contains(have, column) {
				t.Errorf("the mapping in publisher.yaml names %s.%s, which does not exist", table, column)
			}
		}
	}
	for table := range c.Mapping.Tables {
		if !slices.Contains(tables, table) {
			t.Errorf("the mapping in publisher.yaml names table %s, which does not exist", table)
		}
	}
}

// TestShopMapping: what the compose file publishes is what config/petpro.yaml
// documents.
func TestShopMapping(t *testing.T) {
	if got, want := load(t, "deploy/publisher.yaml").Mapping, load(t, "config/petpro.yaml").Mapping; !reflect.DeepEqual(got, want) {
		t.Errorf("the mappings differ\ndeploy/publisher.yaml %+v\nconfig/petpro.yaml    %+v", got, want)
	}
}

func load(t *testing.T, path string) config.Config {
	t.Helper()
	c, _, err := config.Load(config.Options{File: filepath.Join(root, path)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func query(t *testing.T, db *sql.DB, text string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return out
}

// postgresColumns of a table, from the text of postgres.sql: one column a line.
func postgresColumns(t *testing.T, table string) []string {
	t.Helper()
	body := find(t, "deploy/postgres.sql", `(?s)CREATE TABLE `+table+` \((.*?)\n\);`)
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^  (\w+)`).FindAllStringSubmatch(body, -1) {
		out = append(out, m[1])
	}
	return out
}
