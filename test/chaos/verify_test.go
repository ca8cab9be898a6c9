package chaos_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
)

// verify holds the stream against the database: each booking's versions are
// there once and in order, up to the one it has; each has its notification; what
// was removed is so once; and the newest records say who may be where.
func (f *fabric) verify(h *history) {
	f.t.Helper()
	f.verifyVersions(h)
	f.verifyNews(h)
	f.verifyRecords(h)
}

func (f *fabric) verifyVersions(h *history) {
	f.t.Helper()
	c := complaints{t: f.t}
	known := map[string]bool{}
	check := func(id string, last int) {
		known[id] = true
		c.versions(id, "status", h.status[id], 0, last)
		// The initial publication notifies nobody.
		first := 1
		if strings.HasPrefix(id, "n_") {
			first = 0
		}
		c.versions(id, "notified", h.notified[id], first, last)
	}
	each := func(table, column string, also func(id string)) {
		f.shop.Query(f.t, `SELECT id, `+column+` FROM `+table, func(scan func(...any) error) error {
			var id string
			var version int
			if err := scan(&id, &version); err != nil {
				return err
			}
			check(id, version)
			also(id)
			return nil
		})
	}
	removed := 0
	each("bookings", f.column, func(string) {})
	each("removed", "version", func(id string) {
		removed++
		if h.removed[id] != 1 {
			c.add("%s was removed once, the stream says so %d times", id, h.removed[id])
		}
	})
	if len(h.removed) != removed {
		c.add("the stream has %d removals, want %d", len(h.removed), removed)
	}
	for id := range h.status {
		if !known[id] {
			c.add("%s is in the stream and was never committed", id)
		}
	}
	c.report()
}

func (f *fabric) verifyNews(h *history) {
	f.t.Helper()
	c := complaints{t: f.t}
	rows := 0
	f.shop.Query(f.t, `SELECT title FROM notifications`, func(scan func(...any) error) error {
		var title string
		if err := scan(&title); err != nil {
			return err
		}
		rows++
		if h.news[title] != 1 {
			c.add("notification %q is in the stream %d times", title, h.news[title])
		}
		return nil
	})
	if len(h.news) != rows {
		c.add("the stream has %d notifications of rows, want %d", len(h.news), rows)
	}
	c.report()
}

// verifyRecords holds the newest access and index records against the rows as
// they are.
func (f *fabric) verifyRecords(h *history) {
	f.t.Helper()
	c := complaints{t: f.t}
	alive := map[string]bool{}
	f.shop.Query(f.t, `SELECT b.id, b.user_id, s.provider_id, b.status, b.deleted_at IS NOT NULL
		FROM bookings b JOIN services s ON s.id = b.service_id`, func(scan func(...any) error) error {
		var id, customer, vendor, status string
		var gone bool
		if err := scan(&id, &customer, &vendor, &status, &gone); err != nil {
			return err
		}
		alive[id] = true
		want, open := map[string]string{customer: "customer", vendor: "vendor"}, map[string]string{}
		switch {
		case gone:
			want = nil
		case status != "completed" && status != "cancelled":
			open = want
		}
		if got := h.access[id]; !maps.Equal(got, want) {
			c.add("%s: access %v, want %v", id, got, want)
		}
		if got := h.open[id]; !maps.Equal(got, open) {
			c.add("%s (%s): open for %v, want %v", id, status, got, open)
		}
		return nil
	})
	for id, users := range h.access {
		if !alive[id] && len(users) > 0 {
			c.add("%s is deleted, access is still %v", id, users)
		}
	}
	for id, users := range h.open {
		if !alive[id] && len(users) > 0 {
			c.add("%s is deleted and still open for %v", id, users)
		}
	}
	c.report()
}

// verifyEpochs fails unless the stream has one epoch: what was killed has lost
// nothing.
func (h *history) verifyEpochs(t testing.TB, want int) {
	t.Helper()
	if len(h.epochs) != want {
		t.Errorf("%d epochs, want %d: %+v", len(h.epochs), want, h.epochs)
	}
}

// complaints shows the first few of many.
type complaints struct {
	t     testing.TB
	count int
	first []string
}

func (c *complaints) add(format string, args ...any) {
	if c.count++; len(c.first) < 10 {
		c.first = append(c.first, fmt.Sprintf(format, args...))
	}
}

// versions complains unless got is first, first+1, … last.
func (c *complaints) versions(id, what string, got []int, first, last int) {
	next := first
	for i, v := range got {
		if v != next {
			c.add("%s %s: version %d at %d where %d is due (of %d to %d)", id, what, v, i, next, first, last)
			return
		}
		next++
	}
	if next != last+1 {
		c.add("%s %s: ends with version %d, want %d", id, what, next-1, last)
	}
}

func (c *complaints) report() {
	c.t.Helper()
	if c.count > 0 {
		c.t.Errorf("%d complaints, the first:\n%s", c.count, strings.Join(c.first, "\n"))
	}
}
