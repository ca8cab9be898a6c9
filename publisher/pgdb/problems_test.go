package pgdb_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
	"github.com/petpro/fabric/test/pgtest"
)

// Every complaint names table and column and ends in what mends it; SQL is
// quoted and can be run as it is.
func TestProblems(t *testing.T) {
	db := pgtest.New(t)
	const bookings = `CREATE TABLE bookings (id text PRIMARY KEY, status text, service_id int); `
	for _, c := range []struct {
		name, ddl string
		mapping   publisher.Mapping
		grants    []string
		path      string
		// want has one line per problem: "what it says => what mends it", with !
		// in front of advice.
		want []string
	}{
		{name: "nothing", ddl: bookings, mapping: mapped(map[string]string{"bookings": "status"})},
		{name: "empty database", mapping: mapped(map[string]string{"bookings": ""}),
			want: []string{"mapping.tables.bookings: the database has no table bookings, nor any other"}},
		{name: "no such table", ddl: bookings, mapping: mapped(map[string]string{"appointments": ""}),
			want: []string{"no table appointments, only public.bookings"}},
		{name: "table of almost that name", ddl: `CREATE TABLE "Bookings" (id int); CREATE TABLE rooms (id int);`, mapping: mapped(map[string]string{"bookings": ""}),
			want: []string{"no table bookings but public.Bookings; if that is meant => mapping.tables.bookings.from: public.Bookings"}},
		{name: "table of another schema", ddl: `CREATE SCHEMA sales; CREATE TABLE sales.bookings (id int);`, mapping: mapped(map[string]string{"bookings": ""}),
			want: []string{"no table bookings but sales.bookings; if that is meant => mapping.tables.bookings.from: sales.bookings"}},
		{name: "no such column", ddl: bookings, mapping: mapped(map[string]string{"bookings": "state serviceId"}),
			want: []string{`public.bookings has no column "serviceId" but id, status, service_id; did you mean "service_id"?`,
				`public.bookings has no column "state" but id, status, service_id`}},
		{name: "key that is not unique", ddl: `CREATE TABLE "book ings" (id int NOT NULL); CREATE INDEX ON "book ings" (id);`,
			mapping: mapped(map[string]string{"b=book ings": ""}),
			want:    []string{`the key "id" is not unique => CREATE UNIQUE INDEX CONCURRENTLY ON "public"."book ings" ("id")`}},
		{name: "key that may be NULL", ddl: `CREATE TABLE b (id int UNIQUE);`, mapping: mapped(map[string]string{"b": ""}),
			want: []string{`the key "id" may be NULL => ALTER TABLE "public"."b" ALTER COLUMN "id" SET NOT NULL`}},
		{name: "key by a partial index", ddl: `CREATE TABLE b (id int NOT NULL, s text); CREATE UNIQUE INDEX ON b (id) WHERE s IS NULL; CREATE UNIQUE INDEX ON b (id, s);`,
			mapping: mapped(map[string]string{"b": ""}), want: []string{`not unique => CREATE UNIQUE INDEX`}},
		{name: "key by an expression", ddl: `CREATE TABLE b (id int NOT NULL); CREATE UNIQUE INDEX ON b ((id + 1));`,
			mapping: mapped(map[string]string{"b": ""}), want: []string{`not unique => CREATE UNIQUE INDEX`}},
		{name: "key with another in a partitioned table", ddl: `CREATE TABLE b (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);`,
			mapping: mapped(map[string]string{"b": ""}), want: []string{`!public.b is partitioned, so PostgreSQL does not keep its key "id" unique`}},
		{name: "partitioned table without a key", ddl: `CREATE TABLE b (id int, at date) PARTITION BY RANGE (id);`,
			mapping: mapped(map[string]string{"b": ""}), want: []string{`not unique => CREATE UNIQUE INDEX ON "public"."b" ("id"); ALTER TABLE "public"."b" ALTER COLUMN "id" SET NOT NULL`}},
		{name: "view", ddl: bookings + `CREATE VIEW v AS SELECT * FROM bookings; CREATE MATERIALIZED VIEW m AS SELECT * FROM bookings;`,
			mapping: mapped(map[string]string{"v": "", "m": ""}),
			want:    []string{"public.m is a materialized view", "public.v is a view"}},
		{name: "foreign table", ddl: `CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE f (id int) SERVER s;`,
			mapping: mapped(map[string]string{"f": ""}), want: []string{"public.f is a foreign table"}},
		{name: "unlogged", ddl: `CREATE UNLOGGED TABLE b (id int PRIMARY KEY);`, mapping: mapped(map[string]string{"b": ""}),
			want: []string{`public.b is unlogged => ALTER TABLE "public"."b" SET LOGGED`}},
		{name: "unlogged partition", ddl: `CREATE TABLE b (id int PRIMARY KEY) PARTITION BY LIST (id); CREATE UNLOGGED TABLE p PARTITION OF b FOR VALUES IN (1);`,
			mapping: mapped(map[string]string{"b": ""}), want: []string{`public.p, a partition of public.b, is unlogged => ALTER TABLE "public"."p" SET LOGGED`}},
		{name: "inheritance", ddl: `CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE c () INHERITS (b);`, mapping: mapped(map[string]string{"b": ""}),
			want: []string{"public.c inherits from public.b => map it by itself"}},
		{name: "no SELECT", ddl: bookings, mapping: mapped(map[string]string{"bookings": "status service_id"}), grants: []string{"SELECT (id) ON bookings"},
			want: []string{`may not read service_id, status of public.bookings => GRANT SELECT ("service_id", "status") ON "public"."bookings" TO "role"`}},
		{name: "no USAGE", ddl: `CREATE SCHEMA sales; CREATE TABLE sales.b (id int PRIMARY KEY);`, mapping: mapped(map[string]string{"b=sales.b": ""}),
			grants: []string{"SELECT ON sales.b"}, want: []string{`may not use schema sales => GRANT USAGE ON SCHEMA "sales" TO "role"`}},
		{name: "row level security", ddl: bookings + `ALTER TABLE bookings ENABLE ROW LEVEL SECURITY;`, mapping: mapped(map[string]string{"bookings": "status"}),
			grants: []string{"SELECT ON bookings"}, want: []string{`row level security hides rows of public.bookings => ALTER ROLE "role" BYPASSRLS`}},
		{name: "row level security of others", ddl: bookings + `ALTER TABLE bookings ENABLE ROW LEVEL SECURITY;`, mapping: mapped(map[string]string{"bookings": "status"})},
		{name: "ambiguous", ddl: `CREATE SCHEMA sales; CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE sales.b (id int PRIMARY KEY);`, path: "sales,public",
			mapping: mapped(map[string]string{"b": ""}), want: []string{`!b is read from sales.b by the role's search_path, but schema public => mapping.tables.b.from: sales.b`}},
		{name: "two names", ddl: bookings, mapping: mapped(map[string]string{"a=bookings": "", "b=public.bookings": ""}),
			want: []string{"a and b are the same table, public.bookings => use one name"}},
		{name: "touches", ddl: bookings + `CREATE TABLE services (id int PRIMARY KEY, provider_id text);`, mapping: touching(),
			want: []string{`!no index finds rows by "service_id", so each change of services reads the whole table => CREATE INDEX CONCURRENTLY ON "public"."bookings" ("service_id")`}},
		{name: "touches with an index", ddl: bookings + `CREATE TABLE services (id int PRIMARY KEY, provider_id text); CREATE INDEX ON bookings (service_id, status);`, mapping: touching()},
		{name: "touches of a followed table that is not there", ddl: bookings + `CREATE INDEX ON bookings (service_id);`, mapping: touching(),
			want: []string{"mapping.follow.services: the database has no table services"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			db.Exec(t, `DROP SCHEMA IF EXISTS public, sales CASCADE; DROP FOREIGN DATA WRAPPER IF EXISTS w CASCADE;
				CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO public`)
			db.Exec(t, c.ddl)
			dsn, role := db.DSN, "postgres"
			if c.grants != nil {
				r := db.Role(t, "", c.grants...)
				dsn, role = r.DSN, r.Name
			}
			if c.path != "" {
				dsn += "&search_path=" + c.path
			}
			found := read(t, connect(t, dsn, pgdb.Options{}), c.mapping).Problems(c.mapping)
			if len(found) != len(c.want) {
				t.Errorf("%d problems, want %d:\n%q", len(found), len(c.want), found)
			}
			for i, p := range found {
				if i < len(c.want) {
					compare(t, p, strings.ReplaceAll(c.want[i], `"role"`, `"`+role+`"`))
				}
				if sql := p.Mend; strings.HasPrefix(sql, "ALTER") || strings.HasPrefix(sql, "GRANT") || strings.HasPrefix(sql, "CREATE") {
					db.Exec(t, sql)
				}
			}
			left := read(t, connect(t, dsn, pgdb.Options{}), c.mapping).Problems(c.mapping)
			if slices.ContainsFunc(left, func(p publisher.Problem) bool {
				return strings.HasPrefix(p.Mend, "ALTER") || strings.HasPrefix(p.Mend, "GRANT")
			}) {
				t.Errorf("after mending: %q", left)
			}
		})
	}
}

func compare(t *testing.T, p publisher.Problem, want string) {
	t.Helper()
	want, advice := strings.CutPrefix(want, "!")
	what, mend, _ := strings.Cut(want, " => ")
	if p.Advice != advice || !strings.Contains(p.What, what) || !strings.HasPrefix(p.Mend, mend) || strings.HasSuffix(p.What, ".") {
		t.Errorf("problem %q => %q (advice %v), want %q => %q (advice %v)", p.What, p.Mend, p.Advice, what, mend, advice)
	}
}

// touching is a mapping in which a change of services touches bookings.
func touching() publisher.Mapping {
	return publisher.Mapping{
		Follow: map[string]publisher.Follow{"services": {Key: "id", Columns: []string{"provider_id"}}},
		Tables: map[string]publisher.Table{"bookings": {
			Key: "id", Columns: []string{"status", "service_id"},
			Access: &publisher.Access{Kind: "booking", Participants: map[string]string{"{services[service_id].provider_id}": "vendor"}},
		}},
	}
}
