package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/petpro/fabric/cmd/internal/daemon/daemontest"
	"github.com/petpro/fabric/deploy"
	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/test/pgtest"
)

// TestDevOnPostgres: a row changes in a database of the developer's, and both
// people see it; at the end nothing is left in it that would grow.
func TestDevOnPostgres(t *testing.T) {
	for _, kind := range []string{publisher.KindPostgres, publisher.KindOutbox} {
		t.Run(kind, func(t *testing.T) {
			s := shopDB{Database: pgtest.New(t)}
			before := s.catalog(t)
			dir := t.TempDir()
			own := PostgresOptions{DSN: s.DSN, Source: kind, Apply: true, Demo: true}
			d := startDev(t, dir, own)
			made := s.catalog(t)
			if len(d.Bookings) != 2 || !strings.Contains(d.change, "UPDATE public.bookings SET status = 'confirmed' WHERE id = '42'") || !strings.Contains(made, devName) {
				t.Fatalf("ready = %+v, %s", d.Ready, d.change)
			}
			vendor, reply := dial(t, d.Edges[0], d.Tokens.Vendor, "", "mine")
			if reply.Connect.User != "u_9" {
				t.Errorf("the vendor is %s, want u_9", reply.Connect.User)
			}
			vendor.live()
			customer, _ := dial(t, d.Edges[1], d.Tokens.Customer, "", "mine")
			customer.live()
			s.Exec(t, "UPDATE bookings SET status = 'confirmed' WHERE id = '42'")
			vendor.status("42", "confirmed")
			customer.status("42", "confirmed")

			// The page's buttons.
			post(t, d.Page, "/api/bookings/42", `{"status":"cancelled","by":"u_7"}`, 200)
			vendor.status("42", "cancelled")
			vendor.until(func(f frame) bool { return f.Event != nil && f.Event.Type == "notification" })
			post(t, d.Page, "/api/bookings/none", `{"status":"cancelled"}`, 404)
			post(t, d.Page, "/api/bookings/42", `{"status":"eaten"}`, 503)
			post(t, d.Page, "/api/bookings", `{}`, 201)
			vendor.until(func(f frame) bool { return f.Event != nil && f.Event.Data.Status == "pending" && !f.Event.Snapshot })
			if _, _, text := ask(t, "GET", d.Page+"/api/bookings", ""); !strings.Contains(text, `"42":{"service":"Grooming","customer":"Ana","vendor":"Ben, groomer"}`) {
				t.Errorf("GET /api/bookings = %s", text)
			}
			cursor := customer.cursor
			vendor.close()
			customer.close()
			d.stop()
			if got := s.catalog(t); strings.Contains(got, devName) || !strings.Contains(got, "public.bookings") {
				t.Errorf("at the end there is left, of the database that was\n%s:\n%s", before, textDiff(before, got))
			}

			// Another start is another epoch, on tables that are there; --keep leaves
			// the slot or triggers, so that the one after resumes.
			own.Keep = true
			d = startDev(t, dir, own)
			daemontest.Eventually(t, func() error { // it begins when the source is found to be new
				customer, reply = dial(t, d.Edges[0], d.Tokens.Customer, cursor, "booking.42")
				customer.live()
				if reply.Connect.Recovered {
					customer.close()
					return errors.New("a cursor of the former epoch is recovered")
				}
				return nil
			})
			for _, status := range []string{"confirmed", "in_progress"} { // the first may be in the snapshot, the second is behind it
				s.Exec(t, "UPDATE bookings SET status = '"+status+"' WHERE id = '42'")
				customer.status("42", status)
			}
			customer.close()
			customer, _ = dial(t, d.Edges[0], d.Tokens.Customer, "", "booking.42")
			customer.live()
			cursor = customer.cursor
			customer.close()
			d.stop()
			s.Exec(t, "UPDATE bookings SET status = 'completed' WHERE id = '42'")
			own.Keep = false
			d = startDev(t, dir, own)
			customer, reply = dial(t, d.Edges[1], d.Tokens.Customer, cursor, "booking.42")
			if !reply.Connect.Recovered {
				t.Errorf("connect after --keep = %+v, want recovered", reply.Connect)
			}
			customer.status("42", "completed")
			customer.close()
		})
	}
}

// post sends what the page sends.
func post(t *testing.T, page, path, body string, want int) {
	t.Helper()
	if code, _, text := ask(t, "POST", page+path, body, "Content-Type", "application/json", "Origin", page); code != want {
		t.Errorf("POST %s %s = %d %s, want %d", path, body, code, text, want)
	}
}

// Without --apply nothing is made: the dev says what is missing.
func TestDevOnADatabaseThatIsNotReady(t *testing.T) {
	db := pgtest.New(t)
	s := shopDB{Database: db, role: db.Role(t, "REPLICATION")}
	code, _, errOut := fabric(t, "dev", "--data", t.TempDir(), "--postgres", db.DSN)
	if code != exitFailure || !strings.Contains(errOut, "none of the mapping's tables (bookings, notifications, services)") || !strings.Contains(errOut, "--demo") {
		t.Errorf("an empty database: exit code %d, %s", code, errOut)
	}
	db.Exec(t, deploy.Postgres)
	before := s.catalog(t)
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{}, []string{"PostgreSQL 15.", "publication fabric_dev does not exist", "REPLICA IDENTITY", "run it again with --apply"}},
		{[]string{"--source", "outbox"}, []string{`schema "fabric_dev" does not exist`, "run it again with --apply"}},
		{[]string{"--apply"}, []string{"prepare the database", "permission denied", "nothing was changed"}},
	} {
		code, _, errOut := fabric(t, append([]string{"dev", "--data", t.TempDir(), "--postgres", s.role.DSN}, tt.args...)...)
		if code != exitFailure {
			t.Errorf("dev %v: exit code %d, %s", tt.args, code, errOut)
		}
		for _, want := range tt.want {
			if !strings.Contains(errOut, want) {
				t.Errorf("dev %v does not say %q:\n%s", tt.args, want, errOut)
			}
		}
	}
	if got := s.catalog(t); got != before {
		t.Errorf("the database was changed:\n%s", textDiff(before, got))
	}
}

// The source is what the server allows.
func TestDevChoosesTheSource(t *testing.T) {
	db := pgtest.New(t)
	db.Exec(t, deploy.Postgres)
	poor := db.Role(t, "")
	replica := pgtest.Run(t, pgtest.Setting("wal_level", "replica")).Database(t)
	replica.Exec(t, deploy.Postgres)
	for _, tt := range []struct{ dsn, want string }{
		{poor.DSN, "outbox is not installed"},
		{replica.DSN, "outbox is not installed"},
		{db.Pooled(t), "outbox is not installed"},
		{db.DSN, "publication fabric_dev does not exist"},
	} {
		if code, _, errOut := fabric(t, "dev", "--data", t.TempDir(), "--postgres", tt.dsn); code != exitFailure || !strings.Contains(errOut, tt.want) {
			t.Errorf("dev --postgres %s: exit code %d, %s; want %q in it", tt.dsn, code, errOut, tt.want)
		}
	}
}

// A data directory belongs to one database: streams of two would be mixed.
func TestDevRemembersTheDatabase(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	db := pgtest.New(t)
	db.Exec(t, deploy.Postgres)
	code, _, errOut := fabric(t, "dev", "--data", dir, "--postgres", db.DSN, "--apply")
	if code != exitFailure || !strings.Contains(errOut, "holds what was published from a SQLite file of its own, and this is database "+db.Name) {
		t.Errorf("dev on another's directory: exit code %d, %s", code, errOut)
	}
	for _, args := range [][]string{{"--demo"}, {"--postgres", "host=x", "--source", "sqlite"}} {
		if code, _, errOut := fabric(t, append([]string{"dev", "--data", dir}, args...)...); code != exitUsage {
			t.Errorf("dev %v: exit code %d, %s", args, code, errOut)
		}
	}
}
