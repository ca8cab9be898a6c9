package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func open(t *testing.T, dir string) *sqliteShop {
	t.Helper()
	s, err := openShop(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// together lists the bookings in which vendor and customer both take part.
func together(t *testing.T, s *sqliteShop) (ids []string, err error) {
	t.Helper()
	rows, err := s.db.QueryContext(t.Context(), `SELECT b.id FROM bookings b JOIN services s ON s.id = b.service_id
		WHERE b.user_id = ? AND s.provider_id = ? ORDER BY b.id`, customerID, vendorID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

func TestShopIsSeededOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	var all, pending, others, forms, stranger int
	err := s.db.QueryRowContext(t.Context(), `SELECT count(*), count(*) FILTER (WHERE status = 'pending'), count(*) FILTER (WHERE user_id <> ?),
		count(DISTINCT typeof(updated_at)), count(*) FILTER (WHERE user_id = ? OR service_id IN (SELECT id FROM services WHERE provider_id = ?)) FROM bookings`,
		customerID, strangerID, strangerID).Scan(&all, &pending, &others, &forms, &stranger)
	if err != nil {
		t.Fatal(err)
	}
	if all != 12 || pending != 12 || others == 0 || forms != 3 || stranger != 0 {
		t.Errorf("%d bookings, %d pending, %d of others, %d kinds of dates, %d of the stranger", all, pending, others, forms, stranger)
	}
	ids, err := together(t, s)
	if err != nil || len(ids) < 6 {
		t.Fatalf("bookings of vendor and customer = %v, %v; want at least 6", ids, err)
	}
	if err := s.setStatus(t.Context(), ids[0], "confirmed", ""); err != nil {
		t.Fatal(err)
	}
	id, err := s.book(t.Context(), pair{vendorID, customerID})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, dir)
	again, err := together(t, s)
	if want := append(slices.Clone(ids), id); err != nil || !slices.Equal(again, want) {
		t.Errorf("bookings at the second start = %v, %v; want %v", again, err, want)
	}
	var status string
	if err := s.db.QueryRowContext(t.Context(), "SELECT status FROM bookings WHERE id = ?", ids[0]).Scan(&status); err != nil || status != "confirmed" {
		t.Errorf("status at the second start = %q, %v; want confirmed", status, err)
	}
}

// Anybody may write with as little as they know.
func TestShopTakesRowsByHand(t *testing.T) {
	s := open(t, t.TempDir())
	for _, stmt := range []string{
		"INSERT INTO bookings (user_id, service_id) VALUES ('u_ann', 's_walk')",
		"INSERT INTO bookings (id, user_id, service_id, status, updated_at) VALUES ('x', 'nobody', 'nothing', 'whatever', 1763800000)",
		"INSERT INTO notifications (id, user_id, title) VALUES (7, 'u_ann', 'hello')",
		"INSERT INTO notifications (user_id, title) VALUES ('u_ann', 'hello')",
	} {
		if _, err := s.db.ExecContext(t.Context(), stmt); err != nil {
			t.Errorf("%s: %v", stmt, err)
		}
	}
}

func TestShopUnknownBooking(t *testing.T) {
	if err := open(t, t.TempDir()).setStatus(t.Context(), "none", "confirmed", vendorID); !errors.Is(err, errNoBooking) {
		t.Errorf("setStatus of an unknown booking = %v, want errNoBooking", err)
	}
}

func TestShopThatIsNoDatabase(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "shop.db"), []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := openShop(t.Context(), dir)
	if err == nil || !strings.Contains(err.Error(), "shop.db") || !strings.Contains(err.Error(), "--data") {
		t.Errorf("openShop = %v", err)
	}
}
