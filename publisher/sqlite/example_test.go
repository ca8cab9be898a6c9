package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/sqlite"
)

// A shop's program inserts and updates a row; the source emits both changes,
// with the listed columns only.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "shop.db")
	shop, err := sql.Open("sqlite", path)
	if err != nil {
		panic(err)
	}
	defer shop.Close()
	shop.Exec("CREATE TABLE bookings (id TEXT PRIMARY KEY, status TEXT, staff_notes TEXT)")

	src := sqlite.New("shop", publisher.SQLiteConfig{Path: path}, publisher.Mapping{
		Tables: map[string]publisher.Table{"bookings": {Key: "id", Columns: []string{"id", "status"}}},
	}, slog.New(slog.DiscardHandler))
	ctx := context.Background()
	if err := src.Check(ctx); err != nil {
		panic(err)
	}
	place, err := src.Snapshot(ctx, func(publisher.Entry) error { return nil })
	if err != nil {
		panic(err)
	}

	shop.Exec("INSERT INTO bookings VALUES ('b1', 'pending', 'difficult customer')")
	shop.Exec("UPDATE bookings SET status = 'confirmed' WHERE id = 'b1'")

	enough := errors.New("enough")
	err = src.Run(ctx, place, func(e publisher.Entry) error {
		fmt.Println(e.Place, e.Change.Table, e.Change.Old["status"].Text, "->", e.Change.New["status"].Text, len(e.Change.New), "columns")
		if e.Change.Op == publisher.Update {
			return enough
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// 1/0 bookings  -> pending 2 columns
	// 2/0 bookings pending -> confirmed 2 columns
	// enough
}
