package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// schemaVersion is kept in the file's user_version, so that a second start
// finds the shop as it was left.
const schemaVersion = 1

// sqliteShop is the shop that `fabric dev` makes by itself: a database file that
// anybody may write to.
type sqliteShop struct {
	db   *sql.DB
	path string
}

var _ shop = (*sqliteShop)(nil)

// openShop opens the database in dir, and makes and fills it the first time.
func openShop(ctx context.Context, dir string) (*sqliteShop, error) {
	path, err := filepath.Abs(filepath.Join(dir, "shop.db"))
	if err != nil {
		return nil, fmt.Errorf("path of the shop's database: %w", err)
	}
	pragmas := url.Values{
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)"},
		"_txlock": {"immediate"},
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: pragmas.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.SetMaxOpenConns(1) // SQLite has one writer; the pragmas hold per connection
	s := &sqliteShop{db: db, path: path}
	if err := s.prepare(ctx); err != nil {
		err = fmt.Errorf("open the shop's database %s: %w; if it is no database of `fabric dev`, move it away or name another directory with --data", path, err)
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// Close closes the database.
func (s *sqliteShop) Close() error { return s.db.Close() }

// prepare makes the tables and their first rows, once, in one transaction.
func (s *sqliteShop) prepare(ctx context.Context) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	var version int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > schemaVersion {
		return fmt.Errorf("its schema is version %d, this program knows %d", version, schemaVersion)
	}
	if version == schemaVersion {
		return nil
	}
	for _, stmt := range []string{schemaSQL, seedSQL, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion)} {
		if _, err := tx.ExecContext(ctx, stmt); err != nil {
			return fmt.Errorf("make its tables: %w", err)
		}
	}
	return tx.Commit()
}

// where is the file.
func (s *sqliteShop) where() string { return s.path }

// change is a command that changes a booking.
func (s *sqliteShop) change(id string) string {
	return fmt.Sprintf(`sqlite3 %s "UPDATE bookings SET status = 'confirmed' WHERE id = '%s'"`, s.path, id)
}

// labels of all bookings, by id.
func (s *sqliteShop) labels(ctx context.Context) (map[string]label, error) {
	rows, err := s.db.QueryContext(ctx, `
		SELECT b.id, coalesce(s.name, ''), coalesce(c.name, ''), coalesce(v.name, '') FROM bookings b
		LEFT JOIN services s ON s.id = b.service_id LEFT JOIN users c ON c.id = b.user_id LEFT JOIN users v ON v.id = s.provider_id`)
	if err != nil {
		return nil, fmt.Errorf("read the labels of the bookings: %w", err)
	}
	defer rows.Close()
	out := map[string]label{}
	for rows.Next() {
		var id string
		var l label
		if err := rows.Scan(&id, &l.Service, &l.Customer, &l.Vendor); err != nil {
			return nil, fmt.Errorf("read the labels of the bookings: %w", err)
		}
		out[id] = l
	}
	return out, rows.Err()
}

// setStatus tells the vendor with a row in notifications.
func (s *sqliteShop) setStatus(ctx context.Context, id, status, tell string) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE bookings SET status = ?, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
			WHERE id = ? AND deleted_at IS NULL`, status, id)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(errNoBooking, err)
		}
		if tell == "" {
			return nil
		}
		return s.notify(ctx, tx, tell, "BOOKING_UPDATED", "Booking updated by the customer", "The booking is now "+status, id)
	})
}

// canBook: its tables are known.
func (s *sqliteShop) canBook() bool { return true }

// book makes a booking and tells the vendor.
func (s *sqliteShop) book(ctx context.Context, who pair) (id string, err error) {
	err = s.write(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `INSERT INTO bookings (id, user_id, service_id, status)
			SELECT 'bk-' || (1001 + count(*)), ?, (SELECT id FROM services WHERE provider_id = ? LIMIT 1), 'pending' FROM bookings RETURNING id`, who.customer, who.vendor).Scan(&id)
		if err != nil {
			return err
		}
		return s.notify(ctx, tx, who.vendor, "BOOKING_CREATED", "New booking", "A customer has made a booking", id)
	})
	return id, err
}

func (s *sqliteShop) notify(ctx context.Context, tx *sql.Tx, user, typ, title, message, booking string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO notifications (user_id, type, title, message, data)
		VALUES (?, ?, ?, ?, json_object('bookingId', ?))`, user, typ, title, message, booking)
	return err
}

// write runs f in one transaction.
func (s *sqliteShop) write(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("write to the shop: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	if err := f(tx); err != nil {
		return fmt.Errorf("write to the shop: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("write to the shop: %w", err)
	}
	return nil
}
