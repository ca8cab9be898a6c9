package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/sourcetest"
	"github.com/petpro/fabric/test/pgtest"
)

// TestSource holds the source to the contract of publisher.Source. The parts of
// the suite have a schema each: databases take longer to make.
func TestSource(t *testing.T) {
	for name, opts := range versions {
		t.Run(name, func(t *testing.T) {
			db := pgtest.New(t, opts...)
			var parts atomic.Int32
			sourcetest.Test(t, func(t *testing.T) *sourcetest.Harness {
				return harness(t, suitePart(t, db, fmt.Sprintf("part_%d", parts.Add(1))))
			})
		})
	}
}

func suitePart(t *testing.T, db *pgtest.Database, schema string) *shop {
	return partOf(t, db, schema, `
		CREATE TABLE items (id text PRIMARY KEY, filler text, secret text);
		CREATE TABLE owners (name text PRIMARY KEY, value text, secret text)`,
		publisher.Mapping{
			Follow: map[string]publisher.Follow{"owners": {Key: "name", Columns: []string{"value"}}},
			Tables: map[string]publisher.Table{"items": {Key: "id", Columns: []string{"id", "filler"}}},
		})
}

func harness(t *testing.T, s *shop) *sourcetest.Harness {
	opened := map[publisher.Source]string{}
	write := func(end func(pgx.Tx, context.Context) error) func(...string) {
		return func(ids ...string) {
			ctx := context.Background()
			tx, err := s.conn.Begin(ctx)
			if err == nil {
				_, err = tx.CopyFrom(ctx, pgx.Identifier{"items"}, []string{"id", "filler", "secret"},
					pgx.CopyFromSlice(len(ids), func(i int) ([]any, error) { return []any{ids[i], sourcetest.Filler, "never shown"}, nil }))
			}
			if err == nil {
				err = end(tx, ctx)
			}
			if err != nil {
				t.Errorf("write: %v", err)
			}
		}
	}
	return &sourcetest.Harness{
		Open: func() publisher.Source {
			application := fmt.Sprintf("%s-%d", s.name, len(opened))
			src := s.openAs(s.db.DSN + "&application_name=" + application)
			opened[src] = application
			return src
		},
		Write:    write(pgx.Tx.Commit),
		Rollback: write(pgx.Tx.Rollback),
		ID:       func(e publisher.Entry) string { return e.Change.New["id"].Text },
		Prune: func(place string) {
			// What a Confirm of the place would have done.
			lsn := strings.SplitN(place, "/", 2)[1]
			s.value("SELECT pg_replication_slot_advance('fabric_" + s.name + "', '" + lsn[:strings.LastIndexByte(lsn, '/')] + "')::text")
		},
		Future: system(s) + "-1/FFFFFF/0/0",
		Follow: &sourcetest.Follow{
			Table: "owners",
			Set: func(key, value string) {
				s.exec("INSERT INTO owners VALUES ('" + key + "', '" + value + "', 'x') ON CONFLICT (name) DO UPDATE SET value = excluded.value")
			},
			Delete: func(key string) { s.exec("DELETE FROM owners WHERE name = '" + key + "'") },
			Row:    func(r publisher.Row) (key, value string) { return r["name"].Text, r["value"].Text },
		},
		Kill: func(src publisher.Source) {
			s.value("SELECT count(pg_terminate_backend(pid))::text FROM pg_stat_activity WHERE datname = current_database() AND application_name = '" + opened[src] + "'")
		},
	}
}

// system is the part of a place that names the cluster.
func system(s *shop) string {
	return s.value("SELECT to_hex(system_identifier & 65535) FROM pg_control_system()")
}
