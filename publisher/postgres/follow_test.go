package postgres_test

import (
	"context"
	"slices"
	"testing"

	"github.com/petpro/fabric/publisher"
)

// A followed row that changes touches the rows that point to it, by its key
// before and after.
func TestTouches(t *testing.T) {
	s := newShop(t, shopSchema, shopMapping())
	s.exec(`INSERT INTO services VALUES ('s1', 'p1', 'Walk'), ('s2', 'p2', 'Bath')`)
	s.exec(`INSERT INTO bookings (id, user_id, service_id) VALUES ('b2', 'u2', 's1'), ('b1', 'u1', 's1'), ('b3', 'u3', 's2'), ('b4', 'u4', 's9')`)
	from := s.begin()
	s.exec(`UPDATE services SET title = 'Long walk' WHERE id = 's1'`) // changes nothing that is followed
	s.exec(`UPDATE services SET provider_id = 'p9' WHERE id = 's1'`)
	s.exec(`UPDATE services SET id = 's9' WHERE id = 's2'`)
	s.exec(`DELETE FROM services WHERE id = 's1'`)
	s.exec(`INSERT INTO services VALUES ('s2', 'p5', '')`)
	s.wantRun(from, `
		Update services old(id=s1 provider_id=p1) new(id=s1 provider_id=p1)
		Update services old(id=s1 provider_id=p1) new(id=s1 provider_id=p9)
		Touch bookings new(id=b1 notes=NULL service_id=s1 status=pending user_id=u1) cause services s1(id=s1 provider_id=p1) recall
		Touch bookings new(id=b2 notes=NULL service_id=s1 status=pending user_id=u2) cause services s1(id=s1 provider_id=p1) recall
		Update services old(id=s2 provider_id=p2) new(id=s9 provider_id=p2)
		Touch bookings new(id=b3 notes=NULL service_id=s2 status=pending user_id=u3) cause services s2(id=s2 provider_id=p2) recall
		Touch bookings new(id=b4 notes=NULL service_id=s9 status=pending user_id=u4) cause services s9() recall
		Delete services old(id=s1 provider_id=p9)
		Touch bookings new(id=b1 notes=NULL service_id=s1 status=pending user_id=u1) cause services s1(id=s1 provider_id=p9) recall
		Touch bookings new(id=b2 notes=NULL service_id=s1 status=pending user_id=u2) cause services s1(id=s1 provider_id=p9) recall
		Insert services new(id=s2 provider_id=p5)
		Touch bookings new(id=b3 notes=NULL service_id=s2 status=pending user_id=u3) cause services s2() recall`)
}

// A restart in the middle of touches goes on with the rows that were not touched
// yet, whichever others came or went.
func TestTouchesRestart(t *testing.T) {
	s := newShop(t, shopSchema, shopMapping())
	s.exec(`INSERT INTO services VALUES ('s1', 'p1', 'Walk')`)
	s.exec(`INSERT INTO bookings (id, service_id) SELECT 'b' || n, 's1' FROM generate_series(1, 5) n`)
	s.exec(`INSERT INTO bookings (id, service_id) VALUES ('ö/=; +1', 's1')`)
	from := s.begin()
	s.exec(`UPDATE services SET provider_id = 'p2'`)
	entries := s.collect(from, 7)
	src := s.source()
	for i, e := range entries {
		if i > 0 && src.Compare(entries[i-1].Place, e.Place) >= 0 {
			t.Errorf("place %q is followed by %q, which is not behind it", entries[i-1].Place, e.Place)
		}
		pos := publisher.Positions{Sources: map[string]publisher.Position{"shop": {Place: e.Place, Done: publisher.AllDone}}}
		if back, err := publisher.ParsePositions(pos.String()); err != nil || back.Sources["shop"].Place != e.Place {
			t.Errorf("place %q does not survive in a position: %v, %v", e.Place, back, err)
		}
		again := s.collect(e.Place, len(entries)-i)
		if got, want := show(again), show(entries[i:]); got != want {
			t.Errorf("Run from %s emits\n%swant\n%s", e.Place, got, want)
		}
	}
	s.exec(`DELETE FROM bookings WHERE id = 'b2'; INSERT INTO bookings (id, service_id) VALUES ('a', 's1')`)
	again := s.collect(entries[3].Place, 3) // b3
	if got, want := ids(again), []string{"b3", "b4", "b5"}; !slices.Equal(got, want) {
		t.Errorf("Run from the touch of b3 touches %q, want %q", got, want)
	}
}

// What the log still has of rows that were read for touches is compared with
// what was published, for the touches have seen them later.
func TestTouchesAreAhead(t *testing.T) {
	s := newShop(t, shopSchema, shopMapping())
	s.exec(`ALTER PUBLICATION fabric_` + s.name + ` SET TABLE bookings, services; ALTER TABLE bookings REPLICA IDENTITY FULL`)
	s.exec(`INSERT INTO services VALUES ('s1', 'p1', 'Walk'); INSERT INTO bookings (id, service_id) VALUES ('b1', 's1')`)
	from := s.begin()
	s.exec(`UPDATE bookings SET user_id = 'u1'`)
	s.exec(`UPDATE services SET provider_id = 'p2'`)
	s.exec(`UPDATE bookings SET service_id = 's2'`)
	entries := s.collect(from, 3)
	if entries[0].Change.Recall || !entries[2].Change.Recall {
		t.Errorf("Run emits\n%swant the last one, and not the first, to be compared with what was published", show(entries))
	}
	// What is written behind the touches is exact again.
	var more []publisher.Entry
	if _, err := s.until(from, func(got []publisher.Entry) bool {
		if more = got; len(got) == 3 {
			s.exec(`UPDATE bookings SET service_id = 's3'`)
		}
		return len(got) == 4
	}); err == nil || len(more) != 4 || more[3].Change.Recall {
		t.Errorf("Run emits\n%swant the last one to be exact", show(more))
	}
}

func ids(entries []publisher.Entry) (ids []string) {
	for _, e := range entries {
		ids = append(ids, e.Change.New["id"].Text)
	}
	return ids
}

// Loads are exact although a change is visible before it is in the log on disk,
// and when nobody commits anything that would bring it there.
func TestLoadsOfWhatIsNotFlushed(t *testing.T) {
	s := newShop(t, shopSchema, shopMapping())
	from := s.begin()
	other := s.db.Conn(t)
	ctx := context.Background()
	tx, err := other.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(ctx)
	if _, err := tx.Exec(ctx, `INSERT INTO services SELECT 'open' || n, '', repeat('x', 100) FROM generate_series(1, 50) n`); err != nil {
		t.Fatal(err)
	}
	s.exec(`SET synchronous_commit = off; INSERT INTO services VALUES ('s1', 'p1', ''); SET synchronous_commit = on`)
	loads := 0
	run, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = s.open().Run(run, from, func(e publisher.Entry) error {
		if e.Change == nil {
			return nil
		}
		if e.Change.Op == publisher.Load {
			loads++
			return nil
		}
		return errEnough
	})
	if err != errEnough || loads != 0 {
		t.Errorf("Run loads %d rows and ends with %v, want none, and then the row", loads, err)
	}
}
