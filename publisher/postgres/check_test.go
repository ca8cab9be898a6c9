package postgres_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/test/pgtest"
)

// changed makes the mapping ask for old values that no published message tells.
func askingMapping() publisher.Mapping {
	m := shopMapping()
	b := m.Tables["bookings"]
	b.Events = append(b.Events, publisher.Event{
		When: "deleted() && user_id != nil", Subject: "booking.{id}.removed", Payload: map[string]any{"user": "{user_id}"},
	})
	m.Tables["bookings"] = b
	return m
}

// problems that Check would report.
func (s *shop) problems() (serious, advice []publisher.Problem) {
	s.t.Helper()
	found, err := s.open().Problems(s.t.Context())
	if err != nil {
		s.t.Fatalf("Problems: %v", err)
	}
	for _, p := range found {
		if p.Advice {
			advice = append(advice, p)
		} else {
			serious = append(serious, p)
		}
	}
	return serious, advice
}

// Each row breaks a database that is ready. Check says what is wrong; what it
// says mends it is run, and then it is ready again.
func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		mapping  publisher.Mapping
		breaking string // @ is the publication
		want     []string
		// by hand what no single pasting mends.
		mend string
	}{
		"no publication":      {breaking: `DROP PUBLICATION @`, want: []string{"publication @ does not exist"}},
		"table not published": {breaking: `ALTER PUBLICATION @ DROP TABLE services`, want: []string{"publication @ lacks public.services"}},
		"operations missing":  {breaking: `ALTER PUBLICATION @ SET (publish = 'insert')`, want: []string{"publication @ publishes only insert"}},
		"row filter": {
			breaking: `ALTER PUBLICATION @ SET TABLE services, bookings WHERE (id <> 'x')`,
			want:     []string{"sends only some rows of public.bookings (WHERE (id <> 'x'::text))"},
		},
		"column list": {
			breaking: `ALTER PUBLICATION @ SET TABLE services, bookings (id, status)`,
			want:     []string{"leaves out columns of public.bookings that the mapping uses: notes, service_id, user_id"},
		},
		"column list with FULL": {
			breaking: `ALTER TABLE bookings REPLICA IDENTITY FULL`,
			want:     []string{"has a column list for public.bookings that does not cover its replica identity (FULL): UPDATE and DELETE of it fail"},
		},
		"followed without old rows": {
			breaking: `ALTER TABLE services REPLICA IDENTITY DEFAULT`,
			want:     []string{"public.services: the log does not tell the former values of provider_id (replica identity DEFAULT)"},
		},
		"deleted rows that nobody knows": {
			mapping:  askingMapping(),
			breaking: `ALTER TABLE bookings REPLICA IDENTITY DEFAULT`,
			want:     []string{"public.bookings: the log does not tell the former values of user_id"},
		},
		"identity NOTHING": {
			breaking: `ALTER TABLE bookings REPLICA IDENTITY NOTHING`,
			want:     []string{"public.bookings has no replica identity (NOTHING)"},
			mend:     `ALTER TABLE bookings REPLICA IDENTITY DEFAULT`,
		},
		"identity index dropped": {
			breaking: `CREATE UNIQUE INDEX two ON bookings (id, status); ALTER TABLE bookings REPLICA IDENTITY USING INDEX two; DROP INDEX two`,
			want:     []string{"public.bookings has no replica identity (an index that was dropped)"},
			mend:     `ALTER TABLE bookings REPLICA IDENTITY DEFAULT`,
		},
		"column missing": {
			breaking: `ALTER TABLE bookings RENAME user_id TO customer_id`,
			want:     []string{`public.bookings has no column "user_id"`},
			mend:     `ALTER TABLE bookings RENAME customer_id TO user_id`,
		},
		"another's slot": {
			breaking: `SELECT pg_create_logical_replication_slot('@', 'test_decoding')`,
			want:     []string{`replication slot @ is another one's: plugin "test_decoding"`},
			mend:     `SELECT pg_drop_replication_slot('@')`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.mapping.Tables == nil {
				test.mapping = shopMapping()
			}
			s := newShop(t, shopSchema, test.mapping)
			own := func(sql string) string { return strings.ReplaceAll(sql, "@", "fabric_"+s.name) }
			s.exec(own(test.breaking))
			found, _ := s.problems()
			for _, want := range test.want {
				if !slices.ContainsFunc(found, func(p publisher.Problem) bool { return strings.Contains(p.What, own(want)) }) {
					t.Errorf("Check reports %v, want %q", found, own(want))
				}
			}
			if err := s.open().Check(t.Context()); err == nil || len(found) == 0 {
				t.Error("Check finds nothing")
			}
			if test.mend != "" {
				s.exec(own(test.mend))
			} else {
				for _, p := range found {
					s.exec(p.Mend)
				}
			}
			s.source()
		})
	}
}

// What is wrong with the server, and with the role.
func TestCheckServer(t *testing.T) {
	pg := pgtest.Run(t, pgtest.Setting("wal_level", "replica"), pgtest.Setting("max_replication_slots", "0"))
	s := bareShop(t, pg.Database(t), shopSchema, shopMapping())
	role := s.db.Role(t, "")
	src := s.openAs(role.DSN)
	err := src.Check(t.Context())
	for _, want := range []string{
		"wal_level is replica", "ALTER SYSTEM SET wal_level = 'logical'",
		"may not replicate", `ALTER ROLE "` + role.Name + `" REPLICATION`,
		"all replication slots of the server are in use",
		"may not read", `GRANT SELECT ("id", "notes", "service_id", "status", "user_id") ON "public"."bookings" TO "` + role.Name + `"`,
		"publication fabric_" + s.name + " does not exist", "CREATE PUBLICATION",
		`ALTER TABLE "public"."services" REPLICA IDENTITY FULL`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Check = %v\nwant %q in it", err, want)
		}
	}
	if problem, ok := errors.AsType[publisher.Problem](err); !ok || problem.Mend == "" {
		t.Errorf("Check = %#v, want publisher.Problems", err)
	}
}

// All walsenders are in use, and the role is one of Amazon RDS.
func TestCheckCrowdedServer(t *testing.T) {
	t.Parallel()
	pg := pgtest.Run(t, pgtest.Setting("max_wal_senders", "1"))
	s := shopIn(t, pg.Database(t), shopSchema, all("bookings", "id", "id"))
	s.exec(`CREATE ROLE rds_replication; CREATE ROLE managed LOGIN IN ROLE rds_replication; GRANT SELECT ON bookings TO managed`)
	other := *s
	other.name = "other"
	other.setup()
	r := other.run(t, other.source(), other.begin())
	eventually(t, "the other one runs", func() bool { return r.last() != "" })
	err := s.openAs(strings.Replace(s.db.DSN, "postgres@", "managed@", 1)).Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "all 1 max_wal_senders are in use") || strings.Contains(err.Error(), "may not replicate") {
		t.Errorf("Check = %v, want that max_wal_senders are in use, and nothing of the role", err)
	}
}

func TestCheckPooler(t *testing.T) {
	s := newShop(t, shopSchema, shopMapping())
	if err := s.openAs(s.db.Pooled(t)).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "pooler") {
		t.Errorf("Check through a pooler = %v, want the pooler", err)
	}
}

func TestCheckAdvice(t *testing.T) {
	s := newShop(t, shopSchema, shopMapping())
	s.exec(`DROP PUBLICATION fabric_` + s.name + `; CREATE PUBLICATION fabric_` + s.name + ` FOR ALL TABLES`)
	serious, advice := s.problems()
	if len(serious) > 0 {
		t.Errorf("Check reports %v", serious)
	}
	for _, want := range []string{"is FOR ALL TABLES", "max_slot_wal_keep_size is unlimited"} {
		if !slices.ContainsFunc(advice, func(p publisher.Problem) bool { return strings.Contains(p.What, want) }) {
			t.Errorf("Check advises %v, want %q", advice, want)
		}
	}
}

// Setup asks for as little as will do, and nothing twice; Uninstall undoes it.
func TestSetup(t *testing.T) {
	sorted := shopMapping()
	for name, test := range map[string]struct {
		mapping publisher.Mapping
		want    []string // @ is the publication
		undo    []string
	}{
		"recalled": {sorted, []string{
			`ALTER TABLE "public"."services" REPLICA IDENTITY FULL`,
			`CREATE PUBLICATION "@" FOR TABLE "public"."bookings" ("id", "notes", "service_id", "status", "user_id"), "public"."services" WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = true)`,
			`COMMENT ON PUBLICATION "@" IS 'made by fabric; replica identity set to full: "public"."services"'`,
		}, []string{
			`SELECT pg_catalog.pg_drop_replication_slot('@')`,
			`DROP PUBLICATION "@"`,
			`ALTER TABLE "public"."services" REPLICA IDENTITY DEFAULT`,
		}},
		"asking": {askingStatus(), []string{
			`CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "fabric_bookings_aa1442c2" ON "public"."bookings" ("id", "status")`,
			`ALTER TABLE "public"."bookings" REPLICA IDENTITY USING INDEX "fabric_bookings_aa1442c2"`,
			`CREATE PUBLICATION "@" FOR TABLE "public"."bookings" ("id", "status", "user_id") WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = true)`,
		}, []string{
			`SELECT pg_catalog.pg_drop_replication_slot('@')`,
			`DROP PUBLICATION "@"`,
			`ALTER TABLE "public"."bookings" REPLICA IDENTITY DEFAULT`,
			`DROP INDEX CONCURRENTLY "public"."fabric_bookings_aa1442c2"`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := bareShop(t, pgtest.New(t), shopSchema, test.mapping)
			own := func(sql []string) []string {
				return slices.Collect(func(yield func(string) bool) {
					for _, q := range sql {
						if !yield(strings.ReplaceAll(q, "@", "fabric_"+s.name)) {
							return
						}
					}
				})
			}
			var got []string
			for _, st := range s.setup() {
				got = append(got, st.SQL)
			}
			if want := own(test.want); !slices.Equal(got, want) {
				t.Errorf("Setup returns\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if again := s.setup(); len(again) > 0 {
				t.Errorf("Setup of a database that is ready returns %v", again)
			}
			s.begin()
			undo, err := s.open().Uninstall(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got = nil
			for _, st := range undo {
				got = append(got, st.SQL)
				s.exec(st.SQL)
			}
			if want := own(test.undo); !slices.Equal(got, want) {
				t.Errorf("Uninstall returns\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// askingStatus asks for the former status in a way that no message tells.
func askingStatus() publisher.Mapping {
	return publisher.Mapping{Tables: map[string]publisher.Table{"bookings": {
		Key: "id", Columns: []string{"id", "status", "user_id"},
		Events: []publisher.Event{{When: "changed(status)", Subject: "booking.{id}.moved", Payload: map[string]any{"to": "user {user_id}"}}},
	}}}
}

// Setup of a role that has nothing leaves one that can publish, and that is not
// more than it needs.
func TestSetupOfRole(t *testing.T) {
	for name, opts := range versions {
		t.Run(name, func(t *testing.T) {
			s := bareShop(t, pgtest.New(t, opts...), `CREATE SCHEMA sales; REVOKE ALL ON SCHEMA public FROM PUBLIC;
				CREATE TABLE sales.orders (id int PRIMARY KEY, text text, secret text)`,
				publisher.Mapping{Tables: map[string]publisher.Table{"orders": {From: "sales.orders", Key: "id", Columns: []string{"id", "text"}}}})
			role := s.db.Role(t, "")
			all, err := s.openAs(role.DSN).Setup(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, st := range all {
				s.exec(st.SQL)
			}
			src := s.openAs(role.DSN)
			if err := src.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.exec(`INSERT INTO sales.orders VALUES (1, 'a', 'secret')`)
			rows := 0
			place, err := src.Snapshot(t.Context(), func(publisher.Entry) error { rows++; return nil })
			if err != nil || rows != 1 {
				t.Fatalf("Snapshot emits %d rows, %v", rows, err)
			}
			s.exec(`INSERT INTO sales.orders VALUES (2, 'b', 'secret')`)
			err = src.Run(t.Context(), place, func(e publisher.Entry) error {
				if e.Change == nil {
					return nil
				}
				return errEnough
			})
			if err != errEnough {
				t.Errorf("Run = %v", err)
			}
		})
	}
}
