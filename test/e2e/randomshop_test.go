package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/petpro/fabric/test/shoptest"
)

var (
	customers = []string{"carl", "cora", "cyd", "chen"}
	vendors   = []string{"vera", "victor", "vito"}
	statusOf  = []string{"pending", "confirmed", "completed", "in_progress", "cancelled"}
)

// randomShop writes to the shop and remembers what was committed: a booking's
// version is in updated_at, and its status follows from it.
type randomShop struct {
	s         *stack
	rnd       *rand.Rand
	ids       []string
	versions  map[string]int
	committed int
}

func newRandomShop(s *stack, rnd *rand.Rand) *randomShop {
	r := &randomShop{s: s, rnd: rnd, versions: map[string]int{}}
	s.exec(`INSERT INTO services VALUES ('s_3', 'victor'), ('s_4', 'vito')`)
	s.exec(`UPDATE bookings SET updated_at = ?`, stamp(0))
	for i := range chaosBookings {
		r.ids = append(r.ids, id(i))
		r.versions[id(i)] = 0
		s.exec(`UPDATE bookings SET user_id = ?, service_id = ? WHERE id = ?`, customers[i%len(customers)], r.service(), id(i))
	}
	return r
}

func (r *randomShop) service() string  { return fmt.Sprintf("s_%d", 1+r.rnd.IntN(4)) }
func (r *randomShop) customer() string { return customers[r.rnd.IntN(len(customers))] }
func (r *randomShop) booking() string  { return r.ids[r.rnd.IntN(len(r.ids))] }

func (r *randomShop) run(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
			r.act()
			time.Sleep(time.Duration(r.rnd.IntN(20)) * time.Millisecond) // the rate of the load
		}
	}
}

func (r *randomShop) act() {
	n := r.rnd.IntN(100)
	if n < 15 {
		r.ingest()
		return
	}
	tx, err := r.s.shop.Begin(context.Background())
	if err != nil {
		r.s.t.Errorf("begin: %v", err)
		return
	}
	defer tx.Rollback()
	next := map[string]int{}
	switch {
	case n < 55:
		r.status(tx, next, r.booking())
	case n < 62: // many at once, some of them twice
		for range 2 + r.rnd.IntN(30) {
			r.status(tx, next, r.booking())
		}
	case n < 66: // one again and again
		b := r.booking()
		for range 2 + r.rnd.IntN(10) {
			r.status(tx, next, b)
		}
	case n < 78:
		r.do(tx, `UPDATE bookings SET user_id = ? WHERE id = ?`, r.customer(), r.booking())
	case n < 86:
		r.do(tx, `UPDATE bookings SET service_id = ? WHERE id = ?`, r.service(), r.booking())
	case n < 88:
		r.do(tx, `UPDATE services SET provider_id = ? WHERE id = ?`, vendors[r.rnd.IntN(len(vendors))], r.service())
	case n < 92:
		r.do(tx, `UPDATE bookings SET deleted_at = CURRENT_TIMESTAMP WHERE id = ?`, r.booking())
	case n < 97:
		r.do(tx, `UPDATE bookings SET deleted_at = NULL WHERE id = ?`, r.booking())
	default:
		b := fmt.Sprintf("n_%d", len(r.ids))
		r.do(tx, `INSERT INTO bookings (id, user_id, service_id, status, updated_at) VALUES (?, ?, ?, 'pending', ?)`, b, r.customer(), r.service(), stamp(0))
		next[b] = 0
	}
	if r.rnd.IntN(12) == 0 {
		return // rolled back
	}
	if err := tx.Commit(); err != nil {
		r.s.t.Errorf("commit: %v", err)
		return
	}
	r.committed++
	for b, v := range next {
		if _, known := r.versions[b]; !known {
			r.ids = append(r.ids, b)
		}
		r.versions[b] = v
	}
}

// status gives a booking its next version.
func (r *randomShop) status(tx *shoptest.Tx, next map[string]int, b string) {
	v, ok := next[b]
	if !ok {
		v = r.versions[b]
	}
	next[b] = v + 1
	r.do(tx, `UPDATE bookings SET status = ?, updated_at = ? WHERE id = ?`, statusOf[(v+1)%5], stamp(v+1), b)
}

func (r *randomShop) do(tx *shoptest.Tx, query string, args ...any) {
	if err := tx.Exec(query, args...); err != nil {
		r.s.t.Errorf("%s: %v", query, err)
	}
}

// ingest publishes as a service does. While NATS is away it may be lost; what
// counts is what the stream has.
func (r *randomShop) ingest() {
	subject := "ingest.booking." + r.booking() + ".note"
	if r.rnd.IntN(3) == 0 {
		subject = "ingest.user." + r.customer() + ".notification"
	}
	r.s.nc.Publish(subject, fmt.Appendf(nil, `{"text":%q}`, padding(r.rnd.IntN(3000))))
}

// verify holds the stream against what was committed: each booking's versions
// once and in order.
func (r *randomShop) verify(h *chronicle) {
	t := r.s.t
	t.Helper()
	if len(h.holes) > 0 {
		return // the stream's own tests are in test/chaos
	}
	for b, last := range r.versions {
		got := h.versions["booking."+b+".status"]
		// A row's first value may be from before it had a version; then v1 follows.
		stamps, first := got, 0
		switch {
		case len(got) > 0 && version(got[0]) < 0:
			stamps, first = got[1:], 1
		case len(got) > 0:
			first = version(got[0])
		}
		var want []string
		for v := first; v <= last; v++ {
			want = append(want, stamp(v))
		}
		if !slices.Equal(stamps, want) {
			t.Errorf("%s: %d versions in the stream, want %d to v%d: %s", b, len(stamps), len(want), last, oddities(stamps))
		}
	}
}

// dawn is the time of version 0; each version is a second later.
var dawn = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)

// stamp is the time that stands for a version.
func stamp(v int) string { return dawn.Add(time.Duration(v) * time.Second).Format(time.RFC3339) }

// version is what a time stands for; -1 if it is none of ours.
func version(stamp string) int {
	at, err := time.Parse(time.RFC3339, stamp)
	if v := at.Sub(dawn); err == nil && v >= 0 && v < 1<<20*time.Second {
		return int(v / time.Second)
	}
	return -1
}

// oddities names where versions do not follow each other.
func oddities(stamps []string) string {
	var b strings.Builder
	for i := 1; i < len(stamps) && b.Len() < 200; i++ {
		if was, is := version(stamps[i-1]), version(stamps[i]); is != was+1 {
			fmt.Fprintf(&b, "v%d after v%d at %d; ", is, was, i)
		}
	}
	return b.String()
}
