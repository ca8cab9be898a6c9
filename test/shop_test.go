package test

import (
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/petpro/fabric/config"
	"github.com/petpro/fabric/test/pgtest"
)

// TestShopTables: what the mapping in publisher.yaml names is in the shop's
// database, and what it must not name is there to be left out.
func TestShopTables(t *testing.T) {
	db := pgtest.New(t)
	db.Exec(t, read(t, "deploy/postgres.sql"))
	rows, err := db.Conn(t).Query(t.Context(), `SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public'`)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		have = append(have, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for table, columns := range load(t, "deploy/publisher.yaml").Mapping.Needs() {
		for _, column := range columns {
			if !slices.Contains(have, table+"."+column) {
				t.Errorf("the mapping in publisher.yaml names %s.%s, which deploy/postgres.sql does not make", table, column)
			}
			if name := table + "." + column; name == "bookings.staff_notes" || name == "users.password_hash" {
				t.Errorf("the mapping in publisher.yaml publishes %s", name)
			}
		}
	}
	for _, name := range []string{"bookings.staff_notes", "users.password_hash"} {
		if !slices.Contains(have, name) {
			t.Errorf("deploy/postgres.sql has no %s any more, so nothing shows that it is left out", name)
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
