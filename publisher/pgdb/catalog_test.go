package pgdb_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
	"github.com/petpro/fabric/test/pgtest"
)

// mapped is a mapping of tables with a key "id" and further columns; a name may
// have its relation behind '=': "bookings=sales.bookings".
func mapped(tables map[string]string) publisher.Mapping {
	m := publisher.Mapping{Tables: map[string]publisher.Table{}}
	for name, columns := range tables {
		name, from, _ := strings.Cut(name, "=")
		m.Tables[name] = publisher.Table{From: from, Key: "id", Columns: strings.Fields(columns)}
	}
	return m
}

func read(t *testing.T, db pgdb.DB, m publisher.Mapping) *pgdb.Catalog {
	t.Helper()
	c, err := pgdb.ReadCatalog(t.Context(), db, m)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestReadCatalog(t *testing.T) {
	for version, opts := range versions {
		t.Run(version, func(t *testing.T) {
			db := pgtest.New(t, opts...)
			db.Exec(t, `
				CREATE DOMAIN yes AS boolean; CREATE DOMAIN surely AS yes;
				CREATE TYPE state AS ENUM ('pending');
				CREATE TABLE bookings (
					id uuid PRIMARY KEY, gone text, status state NOT NULL, "camelCase" varchar(20), paid surely,
					total numeric(10,2), double numeric GENERATED ALWAYS AS (total * 2) STORED, tags text[]);
				ALTER TABLE bookings DROP COLUMN gone;
				CREATE UNIQUE INDEX bookings_identity ON bookings (id, status) INCLUDE (total);
				CREATE INDEX bookings_lower ON bookings (lower("camelCase"), total) WHERE paid;
				ALTER TABLE bookings ADD CONSTRAINT late UNIQUE (total) DEFERRABLE;
				ALTER TABLE bookings REPLICA IDENTITY USING INDEX bookings_identity`)
			role := db.Role(t, "", "SELECT (id, status) ON bookings", "TRIGGER ON bookings")
			c := read(t, connect(t, role.DSN, pgdb.Options{}), mapped(map[string]string{"bookings": "status"}))
			if c.Role != role.Name || c.Known != nil {
				t.Errorf("role %q, known %v", c.Role, c.Known)
			}
			got := c.Tables["bookings"]
			if got == nil || got.OID == 0 {
				t.Fatalf("table %+v", got)
			}
			want := &pgdb.Table{
				Name: pgdb.Name{Schema: "public", Name: "bookings"}, OID: got.OID, Kind: pgdb.Ordinary, Owner: "postgres",
				Identity:    pgdb.Identity{Kind: pgdb.IdentityIndex, Index: "bookings_identity", Columns: []string{"id", "status"}},
				SchemaUsage: true, Trigger: true,
				Indexes: []pgdb.Index{
					{Name: "bookings_identity", Method: "btree", Columns: []string{"id", "status"}, Unique: true, Valid: true, Immediate: true},
					{Name: "bookings_lower", Method: "btree", Columns: []string{"", "total"}, Valid: true, Immediate: true, Partial: true},
					{Name: "bookings_pkey", Method: "btree", Columns: []string{"id"}, Primary: true, Unique: true, Valid: true, Immediate: true},
					{Name: "late", Method: "btree", Columns: []string{"total"}, Unique: true, Valid: true},
				},
				Columns: []pgdb.Column{
					{Name: "id", Number: 1, Type: "uuid", TypeOID: 2950, BaseOID: 2950, NotNull: true, Select: true},
					{Name: "status", Number: 3, Type: "state", NotNull: true, Select: true},
					{Name: "camelCase", Number: 4, Type: "character varying(20)", TypeOID: 1043, BaseOID: 1043},
					{Name: "paid", Number: 5, Type: "surely", BaseOID: pgdb.BoolOID},
					{Name: "total", Number: 6, Type: "numeric(10,2)", TypeOID: 1700, BaseOID: 1700},
					{Name: "double", Number: 7, Type: "numeric", TypeOID: 1700, BaseOID: 1700, Generated: true},
					{Name: "tags", Number: 8, Type: "text[]", TypeOID: 1009, BaseOID: 1009},
				},
			}
			status, paid := &got.Columns[1], &got.Columns[3]
			if status.TypeOID != status.BaseOID || status.TypeOID < 16384 || paid.TypeOID < 16384 {
				t.Errorf("own types %+v, %+v", status, paid)
			}
			status.TypeOID, status.BaseOID, paid.TypeOID = 0, 0, 0
			if !reflect.DeepEqual(got, want) {
				t.Errorf("table\n%+v, want\n%+v", got, want)
			}
			if key := got.PrimaryKey(); !slices.Equal(key, []string{"id"}) {
				t.Errorf("primary key %v", key)
			}
			for column, unique := range map[string]bool{"id": true, "status": false, "total": false, "nowhere": false} {
				if got.Unique(column) != unique {
					t.Errorf("Unique(%s) = %v", column, !unique)
				}
			}
			for column, indexed := range map[string]bool{"id": true, "status": false, "total": true, "camelCase": false} {
				if got.Indexed(column) != indexed {
					t.Errorf("Indexed(%s) = %v", column, !indexed)
				}
			}
		})
	}
}

func TestIdentity(t *testing.T) {
	db := pgtest.New(t)
	db.Exec(t, `
		CREATE TABLE byDefault (b int, id int, PRIMARY KEY (id, b));
		CREATE TABLE keyless (id int);
		CREATE TABLE late (id int PRIMARY KEY DEFERRABLE);
		CREATE TABLE everything (id int PRIMARY KEY, b int, gone int, c int); ALTER TABLE everything DROP gone; ALTER TABLE everything REPLICA IDENTITY FULL;
		CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
		CREATE TABLE dropped (id int PRIMARY KEY, b int NOT NULL); CREATE UNIQUE INDEX dropped_b ON dropped (b);
		ALTER TABLE dropped REPLICA IDENTITY USING INDEX dropped_b; DROP INDEX dropped_b`)
	want := map[string]pgdb.Identity{
		"bydefault":  {Kind: pgdb.IdentityDefault, Columns: []string{"id", "b"}},
		"keyless":    {Kind: pgdb.IdentityDefault, Columns: []string{}},
		"late":       {Kind: pgdb.IdentityDefault, Columns: []string{}},
		"everything": {Kind: pgdb.IdentityFull, Columns: []string{"id", "b", "c"}},
		"nothing":    {Kind: pgdb.IdentityNothing, Columns: []string{}},
		"dropped":    {Kind: pgdb.IdentityIndex, Columns: []string{}},
	}
	tables := map[string]string{}
	for name := range want {
		tables[name] = ""
	}
	for name, table := range read(t, connect(t, db.DSN, pgdb.Options{}), mapped(tables)).Tables {
		if !reflect.DeepEqual(table.Identity, want[name]) {
			t.Errorf("%s: %+v, want %+v", name, table.Identity, want[name])
		}
	}
}

// Partitions have an identity of their own each, and the weakest counts.
func TestPartitions(t *testing.T) {
	db := pgtest.New(t)
	db.Exec(t, `
		CREATE TABLE bookings (id int, at date, status text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
		CREATE TABLE b_2025 PARTITION OF bookings FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
		CREATE TABLE b_2026 PARTITION OF bookings FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY LIST (id);
		CREATE SCHEMA old; CREATE TABLE old.b_2026_open PARTITION OF b_2026 FOR VALUES IN (1);
		ALTER TABLE bookings REPLICA IDENTITY FULL;
		ALTER TABLE b_2025 REPLICA IDENTITY FULL;
		CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child () INHERITS (parent)`)
	c := read(t, connect(t, db.DSN, pgdb.Options{}), mapped(map[string]string{"bookings": "status", "parent": "", "one=b_2025": ""}))
	bookings := c.Tables["bookings"]
	if bookings.Kind != pgdb.Partitioned || len(bookings.Children) != 3 {
		t.Fatalf("bookings %+v", bookings)
	}
	ids := bookings.Identities()
	if len(ids) != 2 || ids[pgdb.Name{Schema: "public", Name: "b_2025"}].Kind != pgdb.IdentityFull ||
		ids[pgdb.Name{Schema: "old", Name: "b_2026_open"}].Kind != pgdb.IdentityDefault {
		t.Errorf("identities %+v", ids)
	}
	if !bookings.Covers([]string{"id"}) || bookings.Covers([]string{"id", "status"}) {
		t.Error("the partitions cover id, and not status")
	}
	if p := c.Tables["parent"]; len(p.Children) != 1 || p.Children[0].Partition || p.Children[0].Name.Name != "child" {
		t.Errorf("children of parent %+v", p.Children)
	}
	if one := c.Tables["one"]; !one.IsPartition || !one.Covers([]string{"status"}) {
		t.Errorf("a partition by itself %+v", one)
	}
}

// Names are found as the search_path finds them, then in public, or exactly
// where the mapping says.
func TestNames(t *testing.T) {
	db := pgtest.New(t)
	db.Exec(t, `CREATE SCHEMA sales; CREATE SCHEMA audit; CREATE SCHEMA "Odd.Schema";
		CREATE TABLE bookings (id int); CREATE TABLE sales.bookings (id int); CREATE TABLE audit.bookings (id int);
		CREATE TABLE services (id int); CREATE TABLE "Users" (id int); CREATE TABLE sales.only (id int); CREATE SEQUENCE seq`)
	for _, c := range []struct{ path, name, from, want, also string }{
		{"public", "bookings", "", "public.bookings", ""},
		{"sales,public", "bookings", "", "sales.bookings", "public"},
		{"sales", "bookings", "", "sales.bookings", "public"},
		{"sales,audit", "bookings", "", "sales.bookings", "audit public"},
		{"sales", "services", "", "public.services", ""},
		{"public", "b", "sales.bookings", "sales.bookings", ""},
		{"public", "only", "", "", ""},
		{"public", "Users", "", "public.Users", ""},
		{"public", "users", "", "", ""},
		{"public", "seq", "", "", ""},
		{"nowhere", "pg_class", "", "", ""},
	} {
		conn := connect(t, db.DSN+"&search_path="+c.path, pgdb.Options{})
		catalog := read(t, conn, mapped(map[string]string{c.name + "=" + c.from: ""}))
		var got, also string
		if table := catalog.Tables[c.name]; table != nil {
			got, also = table.Name.String(), strings.Join(table.AlsoIn, " ")
		} else if len(catalog.Known) != 6 {
			t.Errorf("known tables %v", catalog.Known)
		}
		if got != c.want || also != c.also {
			t.Errorf("%s from %q along %s is %q, also in %q, want %q, %q", c.name, c.from, c.path, got, also, c.want, c.also)
		}
	}
}

// The catalog can be read in the transaction of a snapshot, and by any protocol.
func TestReadCatalogModes(t *testing.T) {
	db := pgtest.New(t)
	db.Exec(t, `CREATE TABLE bookings (id int PRIMARY KEY)`)
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		conn, err := pgx.Connect(t.Context(), db.DSN+"&default_query_exec_mode="+mode)
		if err != nil {
			t.Fatal(err)
		}
		tx, err := conn.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
		if err != nil {
			t.Fatal(err)
		}
		if c, err := pgdb.ReadCatalog(t.Context(), tx, mapped(map[string]string{"bookings": "", "nowhere": ""})); err != nil || len(c.Tables) != 1 {
			t.Errorf("%s: %+v, %v", mode, c, err)
		}
		conn.Close(t.Context())
	}
}
