package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
)

// maxLabels bounds what the page is told about a large shop.
const maxLabels = 2000

// postgresShop is the developer's own database. Of its form only what the
// mapping names is known; more (names, new bookings) works where the tables are
// PetPro's.
//
// Each call has a connection of its own: a page makes few, and none is stale
// after the database was restarted.
type postgresShop struct {
	dsn string
	// shown is the DSN without its password.
	shown string
	// table whose rows are rooms.
	table *pgdb.Table
	key   string
	// petpro is set if users, services and notifications are there as in
	// deploy/postgres.sql.
	petpro bool
}

var _ shop = (*postgresShop)(nil)

// openPostgres looks at the table of the mapping that has access. dsn must lead
// to a database in which the mapping was found to fit.
func openPostgres(ctx context.Context, dsn, shown string, m publisher.Mapping) (*postgresShop, error) {
	s := &postgresShop{dsn: dsn, shown: shown}
	err := s.with(ctx, func(conn *pgx.Conn) error {
		catalog, err := pgdb.ReadCatalog(ctx, conn, m)
		if err != nil {
			return err
		}
		for name, t := range m.Tables {
			if t.Access != nil && catalog.Tables[name] != nil {
				s.table, s.key = catalog.Tables[name], t.Key
			}
		}
		if s.table == nil {
			return nil // no rooms: there is nothing to change
		}
		_, err = conn.Exec(ctx, s.labelsSQL()+" LIMIT 0")
		s.petpro = err == nil
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open the shop's database: %w", err)
	}
	return s, nil
}

// Close has nothing to close.
func (s *postgresShop) Close() error { return nil }

func (s *postgresShop) where() string { return s.shown }

// change leaves the password out: psql asks for it, or takes it from elsewhere.
func (s *postgresShop) change(id string) string {
	dsn := shellQuote(strings.NewReplacer(":(hidden)@", "@", "password=(hidden)", "").Replace(s.shown))
	if s.table == nil {
		return "psql " + dsn
	}
	return fmt.Sprintf("psql %s -c %s", dsn, shellQuote(fmt.Sprintf("UPDATE %s SET status = 'confirmed' WHERE %s = '%s'", s.table.Name, s.key, id)))
}

// shellQuote is for a command line to be copied.
func shellQuote(s string) string {
	return `"` + strings.NewReplacer(`"`, `\"`, "$", `\$`, "`", "\\`").Replace(s) + `"`
}

func (s *postgresShop) with(ctx context.Context, f func(*pgx.Conn) error) error {
	conn, err := pgdb.Connect(ctx, s.dsn, pgdb.Options{Application: "fabric dev", Pooled: true})
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return f(conn)
}

// labelsSQL fails unless the tables are PetPro's.
func (s *postgresShop) labelsSQL() string {
	in := func(table string) string { return pgdb.Quote(s.table.Schema, table) }
	return fmt.Sprintf(`SELECT b.id::text, coalesce(s.name, ''), coalesce(c.name, ''), coalesce(v.name, '') FROM %s b
		LEFT JOIN %s s ON s.id = b.service_id LEFT JOIN %s c ON c.id = b.user_id LEFT JOIN %s v ON v.id = s.provider_id`,
		s.table.Quoted(), in("services"), in("users"), in("users"))
}

func (s *postgresShop) labels(ctx context.Context) (map[string]label, error) {
	out := map[string]label{}
	if !s.petpro {
		return out, nil
	}
	err := s.with(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, fmt.Sprintf("%s LIMIT %d", s.labelsSQL(), maxLabels))
		if err != nil {
			return err
		}
		var id string
		var l label
		_, err = pgx.ForEachRow(rows, []any{&id, &l.Service, &l.Customer, &l.Vendor}, func() error { out[id] = l; return nil })
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the labels of the bookings: %w", err)
	}
	return out, nil
}

func (s *postgresShop) setStatus(ctx context.Context, id, status, tell string) error {
	if s.table == nil {
		return errNoBooking
	}
	set := "status = " + pgdb.QuoteLiteral(status) // of whatever type the column has
	if _, ok := s.table.Column("updated_at"); ok {
		set += ", updated_at = now()"
	}
	where := pgdb.Quote(s.key) + " = " + pgdb.QuoteLiteral(id)
	if _, ok := s.table.Column("deleted_at"); ok {
		where += " AND deleted_at IS NULL"
	}
	return s.write(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, fmt.Sprintf("UPDATE %s SET %s WHERE %s", s.table.Quoted(), set, where))
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return errNoBooking
		}
		return s.notify(ctx, tx, tell, "BOOKING_UPDATED", "Booking updated by the customer", "The booking is now "+status, id)
	})
}

func (s *postgresShop) canBook() bool { return s.petpro }

func (s *postgresShop) book(ctx context.Context, who pair) (id string, err error) {
	if !s.petpro {
		return "", errors.New("how a booking is made in these tables is not known here")
	}
	err = s.write(ctx, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, fmt.Sprintf("INSERT INTO %s (user_id, service_id) SELECT %s, id FROM %s WHERE provider_id = %s LIMIT 1 RETURNING id::text",
			s.table.Quoted(), pgdb.QuoteLiteral(who.customer), pgdb.Quote(s.table.Schema, "services"), pgdb.QuoteLiteral(who.vendor))).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("%s offers no service", who.vendor)
		}
		if err != nil {
			return err
		}
		return s.notify(ctx, tx, who.vendor, "BOOKING_CREATED", "New booking", "A customer has made a booking", id)
	})
	return id, err
}

// notify adds a row to notifications, where there are some.
func (s *postgresShop) notify(ctx context.Context, tx pgx.Tx, user, typ, title, message, booking string) error {
	if !s.petpro || user == "" {
		return nil
	}
	values := []string{user, typ, title, message, fmt.Sprintf(`{"bookingId": %q}`, booking)}
	for i := range values {
		values[i] = pgdb.QuoteLiteral(values[i])
	}
	_, err := tx.Exec(ctx, fmt.Sprintf("INSERT INTO %s (user_id, type, title, message, data) VALUES (%s)",
		pgdb.Quote(s.table.Schema, "notifications"), strings.Join(values, ", ")))
	return err
}

// write runs f in one transaction.
func (s *postgresShop) write(ctx context.Context, f func(pgx.Tx) error) error {
	err := s.with(ctx, func(conn *pgx.Conn) error { return pgx.BeginFunc(ctx, conn, f) })
	if err != nil {
		return fmt.Errorf("write to the shop: %w", err)
	}
	return nil
}
