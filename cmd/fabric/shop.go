package main

import (
	"context"
	"errors"
)

// errNoBooking is returned for a booking that does not exist or was deleted.
var errNoBooking = errors.New("no such booking")

// shop is the booking service that `fabric dev` stands in for: a database that
// anybody may write to. It knows nothing of the fabric, and nothing in it
// publishes anything.
type shop interface {
	// where the database is, in words that may be shown: no password.
	where() string
	// change is a command line that changes the booking's status.
	change(id string) string
	// labels of the bookings, by id; those of tables that it does not know are
	// missing.
	labels(ctx context.Context) (map[string]label, error)
	// setStatus changes a booking, as the booking service would; tell is the user
	// who gets a row in notifications, "" nobody. Returns errNoBooking.
	setStatus(ctx context.Context, id, status, tell string) error
	// canBook says whether book works.
	canBook() bool
	// book makes a booking of the customer with the vendor and returns its id.
	book(ctx context.Context, who pair) (id string, err error)
	Close() error
}

// label is what the page shows of a booking besides its status.
type label struct {
	Service  string `json:"service"`
	Customer string `json:"customer"`
	Vendor   string `json:"vendor"`
}
