package postgres_test

import (
	"strings"
	"testing"

	"github.com/petpro/fabric/publisher"
)

// all maps one table without rooms, so that nothing is asked of old rows.
func all(table, key string, columns ...string) publisher.Mapping {
	return publisher.Mapping{Tables: map[string]publisher.Table{table: {Key: key, Columns: columns}}}
}

func TestOperations(t *testing.T) {
	s := newShop(t, shopSchema, shopMapping())
	s.exec(`INSERT INTO services VALUES ('s1', 'p1', 'Walk')`)
	from := s.begin()
	s.exec(`INSERT INTO bookings VALUES ('b1', 'u1', 's1', 'pending', NULL, NULL, 'hello', 'secret')`)
	s.exec(`BEGIN; UPDATE bookings SET status = 'confirmed', notes = NULL; UPDATE bookings SET staff_notes = 'more'; COMMIT`)
	s.exec(`UPDATE bookings SET id = 'b2'`)
	s.exec(`DELETE FROM bookings`)
	s.wantRun(from, `
		Insert bookings new(id=b1 notes=hello service_id=s1 status=pending user_id=u1)
		Update bookings old(id=b1) new(id=b1 notes=NULL service_id=s1 status=confirmed user_id=u1) recall
		Update bookings old(id=b1) new(id=b1 notes=NULL service_id=s1 status=confirmed user_id=u1) recall
		Update bookings old(id=b1) new(id=b2 notes=NULL service_id=s1 status=confirmed user_id=u1) recall
		Delete bookings old(id=b2) recall`)
}

// The log and the table give the same text for the same value, whatever the
// database is set to.
func TestTextForms(t *testing.T) {
	s := newShop(t, `
		CREATE DOMAIN yesno AS boolean;
		CREATE TYPE mood AS ENUM ('sad', 'ok');
		CREATE TABLE forms (id int PRIMARY KEY, at timestamptz, day date, pause interval, price numeric, ratio float8, yes boolean, no yesno, raw bytea, money money, doc jsonb, tags text[], mood mood);
		DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET datestyle = ''German''', current_database());
			EXECUTE format('ALTER DATABASE %I SET timezone = ''Asia/Tokyo''', current_database());
			EXECUTE format('ALTER DATABASE %I SET bytea_output = ''escape''', current_database());
			EXECUTE format('ALTER DATABASE %I SET extra_float_digits = -3', current_database()); END $$`,
		all("forms", "id", "id", "at", "day", "pause", "price", "ratio", "yes", "no", "raw", "money", "doc", "tags", "mood"))
	from := s.begin()
	s.exec(`SET timezone = 'UTC'; INSERT INTO forms VALUES (1, '2026-11-23 07:00:00.5+00', '2026-11-23', '1 day 2 hours', 12.50, 0.1::float8 + 0.2, true, false, '\xdeadbeef', 3.5, '{"a": [1, null]}', '{x,"y z"}', 'ok')`)
	want := `at=2026-11-23 07:00:00.5+00 day=2026-11-23 doc={"a": [1, null]} id=1 money=$3.50 mood=ok no=false pause=1 day 02:00:00 price=12.50 ratio=0.30000000000000004 raw=\xdeadbeef tags={x,"y z"} yes=true`
	s.wantRun(from, "Insert forms new("+want+")")
	var rows []publisher.Entry
	if _, err := s.source().Snapshot(t.Context(), func(e publisher.Entry) error {
		rows = append(rows, e)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := show(rows); got != "Snapshot forms new("+want+")\n" {
		t.Errorf("Snapshot emits\n%swant the values\n%s", got, want)
	}
}

// Unchanged large values come from the old row if the log has it, else from the
// table, else they are unknown.
func TestLargeValues(t *testing.T) {
	for name, test := range map[string]struct{ identity, want string }{
		"default": {`ALTER TABLE bookings REPLICA IDENTITY DEFAULT`, `
			Update bookings old(id=b1) new(id=b1 notes=LARGE service_id=NULL status=confirmed user_id=NULL) recall
			Update bookings old(id=b2) new(id=b2 service_id=NULL status=confirmed user_id=NULL) recall unknown`},
		"full": {`ALTER PUBLICATION @ SET TABLE bookings, services; ALTER TABLE bookings REPLICA IDENTITY FULL`, `
			Update bookings old(id=b1 notes=LARGE service_id=NULL status=pending user_id=NULL) new(id=b1 notes=LARGE service_id=NULL status=confirmed user_id=NULL)
			Update bookings old(id=b2 notes=LARGE service_id=NULL status=pending user_id=NULL) new(id=b2 notes=LARGE service_id=NULL status=confirmed user_id=NULL)`},
		"index": {`CREATE UNIQUE INDEX two ON bookings (id, status); ALTER TABLE bookings REPLICA IDENTITY USING INDEX two`, `
			Update bookings old(id=b1 status=pending) new(id=b1 notes=LARGE service_id=NULL status=confirmed user_id=NULL) recall
			Update bookings old(id=b2 status=pending) new(id=b2 service_id=NULL status=confirmed user_id=NULL) recall unknown`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t, shopSchema, shopMapping())
			s.exec(strings.ReplaceAll(test.identity, "@", "fabric_"+s.name))
			large := strings.Repeat("x", 100_000)
			s.exec(`INSERT INTO bookings (id, notes) VALUES ('b1', '` + large + `'), ('b2', '` + large + `')`)
			from := s.begin()
			s.exec(`UPDATE bookings SET status = 'confirmed' WHERE id = 'b1'; UPDATE bookings SET status = 'confirmed' WHERE id = 'b2'`)
			s.exec(`DELETE FROM bookings WHERE id = 'b2'`)
			s.wantRun(from, strings.ReplaceAll(test.want, "LARGE", clip(large)))
		})
	}
}

// An index over what the mapping asks for tells all that a comparison needs.
func TestIdentityIndexSuffices(t *testing.T) {
	m := shopMapping()
	b := m.Tables["bookings"]
	b.Access, m.Follow = nil, nil
	m.Tables["bookings"] = b
	s := newShop(t, shopSchema, m)
	s.exec(`CREATE UNIQUE INDEX two ON bookings (id, status); ALTER TABLE bookings REPLICA IDENTITY USING INDEX two`)
	s.exec(`INSERT INTO bookings (id) VALUES ('b1')`)
	from := s.begin()
	s.exec(`UPDATE bookings SET user_id = 'u1'; UPDATE bookings SET status = 'confirmed'`)
	s.wantRun(from, `
		Update bookings old(id=b1 status=pending) new(id=b1 notes=NULL service_id=NULL status=pending user_id=u1)
		Update bookings old(id=b1 status=pending) new(id=b1 notes=NULL service_id=NULL status=confirmed user_id=u1)`)
}

// What a shop does to its tables while it is open.
func TestAlteredTables(t *testing.T) {
	s := newShop(t, shopSchema, all("bookings", "id", "id", "status"))
	s.exec(`ALTER PUBLICATION fabric_` + s.name + ` SET TABLE bookings`) // PostgreSQL alters the type of no column that is in a list
	from := s.begin()
	s.exec(`INSERT INTO bookings (id) VALUES ('b1')`)
	s.exec(`ALTER TABLE bookings ADD COLUMN extra text DEFAULT 'secret', DROP COLUMN notes`)
	s.exec(`INSERT INTO bookings (id) VALUES ('b2')`)
	s.exec(`ALTER TYPE booking_status ADD VALUE 'no_show'`)
	s.exec(`INSERT INTO bookings (id, status) VALUES ('b3', 'no_show')`)
	s.exec(`ALTER TABLE bookings ALTER COLUMN status DROP DEFAULT, ALTER COLUMN status TYPE text`)
	s.exec(`INSERT INTO bookings (id, status) VALUES ('b4', 'whatever')`)
	s.exec(`ALTER TABLE bookings RENAME TO reservations`)
	s.exec(`INSERT INTO reservations (id, status) VALUES ('b5', 'renamed')`)
	s.exec(`ALTER TABLE reservations RENAME TO bookings`)
	s.wantRun(from, `
		Insert bookings new(id=b1 status=pending)
		Insert bookings new(id=b2 status=pending)
		Insert bookings new(id=b3 status=no_show)
		Insert bookings new(id=b4 status=whatever)
		Insert bookings new(id=b5 status=renamed)`)
}

func TestPartitions(t *testing.T) {
	for name, opts := range versions {
		t.Run(name, func(t *testing.T) {
			s := newShop(t, `
				CREATE TABLE events (id int, day date, text text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
				CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
				CREATE TABLE events_2 (text text, day date NOT NULL, id int NOT NULL);
				ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM ('2026-07-01') TO ('2027-01-01')`,
				all("events", "id", "id", "text"), opts...)
			s.exec(`INSERT INTO events VALUES (0, '2026-02-01', 'before')`)
			from := s.begin()
			s.exec(`INSERT INTO events VALUES (1, '2026-02-01', 'first'), (2, '2026-08-01', 'second')`)
			s.exec(`UPDATE events SET text = 'changed' WHERE id = 2`)
			s.exec(`UPDATE events SET day = '2026-09-01' WHERE id = 1`)
			s.wantRun(from, `
				Insert events new(id=1 text=first)
				Insert events new(id=2 text=second)
				Update events old(id=2) new(id=2 text=changed)
				Delete events old(id=1)
				Insert events new(id=1 text=first)`)
		})
	}
}

// Two schemas have a table of the same name; the mapping names them as it likes.
func TestSchemas(t *testing.T) {
	s := newShop(t, `
		CREATE SCHEMA sales; CREATE SCHEMA "Old Shop";
		CREATE TABLE sales.orders (id int PRIMARY KEY, text text);
		CREATE TABLE "Old Shop".orders (id int PRIMARY KEY, "Text" text);
		CREATE TABLE public.orders (id int PRIMARY KEY, text text)`,
		publisher.Mapping{Tables: map[string]publisher.Table{
			"orders":     {From: "sales.orders", Key: "id", Columns: []string{"id", "text"}},
			"old_orders": {From: "Old Shop.orders", Key: "id", Columns: []string{"id", "Text"}},
		}})
	s.exec(`INSERT INTO sales.orders VALUES (1, 'a')`)
	from := s.begin()
	s.exec(`INSERT INTO public.orders VALUES (9, 'not mapped'); INSERT INTO "Old Shop".orders VALUES (2, 'b'); UPDATE sales.orders SET text = 'c'`)
	s.wantRun(from, `
		Insert old_orders new(Text=b id=2)
		Update orders old(id=1) new(id=1 text=c)`)
}
