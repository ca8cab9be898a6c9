package feed_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/petpro/fabric/edge/hub"
	"github.com/petpro/fabric/subjects"
)

func fetch(t *testing.T, h hub.History, gen uint64, asks ...hub.Ask) hub.Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	a, err := h.Fetch(ctx, gen, asks)
	if err != nil {
		t.Fatalf("Fetch = %v", err)
	}
	return a
}

func events(msgs []*hub.Message) []uint64 {
	s := make([]uint64, 0, len(msgs))
	for _, m := range msgs {
		s = append(s, m.Seq)
	}
	return s
}

// TestFetchManySubjects: rooms with more subjects than one answer may hold.
func TestFetchManySubjects(t *testing.T) {
	for _, tt := range []struct {
		name         string
		rooms, types int
	}{
		{"together too many", 3, 500},
		{"one room too many", 2, 1100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := prepare(t, 4)
			subject := func(i int) string { return fmt.Sprintf("booking.%d.t%d", i%tt.rooms, i/tt.rooms) }
			r.publishMany(t, tt.rooms*tt.types, subject, `{}`)
			end := r.publishMany(t, tt.rooms*tt.types, subject, `{}`)
			f := r.running(t)
			v := reach(t, f, end)
			var asks []hub.Ask
			for i := range tt.rooms {
				asks = append(asks, hub.Ask{Room: subjects.Room(fmt.Sprintf("booking.%d", i)), Since: 1})
			}
			a := fetch(t, f, v.Gen, asks...)
			if a.UpTo != end {
				t.Errorf("UpTo = %d, want %d", a.UpTo, end)
			}
			for _, found := range a.Rooms {
				if len(found.Last) != tt.types || len(found.Newer) != 2*tt.types || found.Torn || found.Over {
					t.Errorf("%s: %d last values, %d newer, torn %v, over %v, want %d and %d", found.Room,
						len(found.Last), len(found.Newer), found.Torn, found.Over, tt.types, 2*tt.types)
				}
			}
		})
	}
}

func TestIndexOfManyBookings(t *testing.T) {
	r := prepare(t, 4)
	const n = 1500
	subject := func(i int) string { return fmt.Sprintf("user.u_7.booking.b%d", i%n) }
	end := r.publishMany(t, n+100, subject, `{"role":"vendor","open":true}`)
	end = max(end, r.publish(t, "booking.1.status", `{}`))
	f := r.running(t)
	v := reach(t, f, end)
	a, err := f.Index(t.Context(), v.Gen, "u_7")
	if err != nil {
		t.Fatal(err)
	}
	if a.UpTo != end || len(a.Records) != n {
		t.Errorf("%d records up to %d, want %d up to %d", len(a.Records), a.UpTo, n, end)
	}
	newest := map[subjects.Room]uint64{}
	for _, m := range a.Records {
		newest[m.Name.Target] = m.Seq
	}
	if got := newest["booking.b99"]; got != end-1 {
		t.Errorf("record of booking.b99 is %d, want the newer one, %d", got, end-1)
	}
}

// TestFetchWhilePublishing: an answer is complete up to UpTo, and what it holds
// behind that is the stream's, too.
func TestFetchWhilePublishing(t *testing.T) {
	r := prepare(t, 100_000)
	f := r.running(t)
	since := r.publish(t, "fabric.position", "")
	v := reach(t, f, since)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			r.publish(t, "booking.42.status", `{}`)
		}
	})
	for range 50 {
		a := fetch(t, f, v.Gen, hub.Ask{Room: "booking.42", Since: since})
		got := events(a.Rooms[0].Newer)
		if uint64(len(got)) < a.UpTo-since {
			t.Fatalf("%d newer messages up to %d, want at least %d", len(got), a.UpTo, a.UpTo-since)
		}
		for i, seq := range got {
			if seq != since+1+uint64(i) {
				t.Fatalf("newer = %v, want all from %d on", got, since+1)
			}
		}
	}
	cancel()
	wg.Wait()
}

// TestUnavailableAtOnce: without a broker nobody waits for a time-out.
func TestUnavailableAtOnce(t *testing.T) {
	r := prepare(t, 100)
	f := r.running(t)
	gen := f.View().Gen
	r.ns.Stop()
	await(t, f, "away", func(v hub.View) bool { return v.Away })
	for name, ask := range map[string]func(context.Context) error{
		"Fetch": func(ctx context.Context) error {
			_, err := f.Fetch(ctx, gen, []hub.Ask{{Room: "booking.42"}})
			return err
		},
		"Index":  func(ctx context.Context) error { _, err := f.Index(ctx, gen, "u_7"); return err },
		"Stored": func(ctx context.Context) error { _, _, err := f.Stored(ctx, gen, "booking.42", 0, 5); return err },
		"End":    func(ctx context.Context) error { _, err := f.End(ctx, gen); return err },
	} {
		began := time.Now()
		if err := ask(t.Context()); !errors.Is(err, hub.ErrUnavailable) {
			t.Errorf("%s = %v, want %v", name, err, hub.ErrUnavailable)
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("%s took %s", name, d)
		}
	}
}

func TestUnavailableOnceStopped(t *testing.T) {
	r := prepare(t, 100)
	f := r.feed(t)
	stop := r.start(t, f)
	v := await(t, f, "ready", func(v hub.View) bool { return v.Ready })
	stop()
	if _, err := f.Fetch(t.Context(), v.Gen, nil); !errors.Is(err, hub.ErrUnavailable) {
		t.Errorf("Fetch after Run has returned = %v, want %v", err, hub.ErrUnavailable)
	}
}

func TestFetchRefusesAnotherGeneration(t *testing.T) {
	r := prepare(t, 100)
	f := r.running(t)
	if _, err := f.Fetch(t.Context(), f.View().Gen+1, nil); !errors.Is(err, hub.ErrGeneration) {
		t.Errorf("Fetch of another generation = %v, want %v", err, hub.ErrGeneration)
	}
}

func TestStoredOfALongRoom(t *testing.T) {
	r := prepare(t, 5000)
	end := r.publishMany(t, 3000, func(i int) string { return fmt.Sprintf("booking.42.t%d", i%2) }, `{}`)
	f := r.running(t)
	v := reach(t, f, end)
	msgs, more, err := f.Stored(t.Context(), v.Gen, "booking.42", end-500, 3)
	if want := []uint64{end - 503, end - 502, end - 501}; err != nil || !more || !slices.Equal(events(msgs), want) {
		t.Errorf("Stored = %v, %v, %v, want %v, true", events(msgs), more, err, want)
	}
}
