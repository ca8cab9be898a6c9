package outbox_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/outbox"
)

// Places are entries of batches. The tag of a batch tells histories apart and
// orders nothing.
func ExampleSource_Compare() {
	cfg := publisher.OutboxConfig{DSN: "postgres://fabric@127.0.0.1/shop"}
	src, err := outbox.New("shop", cfg, publisher.Mapping{}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(src.Compare("9-ffffffff/0", "10-00000000/0"))
	fmt.Println(src.Compare("10-00000000/12", "10-00000000/3"))
	// Output:
	// -1
	// 1
}

// What is removed is what was made: nothing of the shop's own.
func ExampleSource_Uninstall() {
	cfg := publisher.OutboxConfig{DSN: "postgres://fabric@127.0.0.1/shop"}
	src, err := outbox.New("shop", cfg, publisher.Mapping{}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	statements, err := src.Uninstall(context.Background())
	for _, s := range statements[1:] {
		fmt.Println(s.SQL)
	}
	fmt.Println(err)
	// Output:
	// DROP TABLE IF EXISTS "fabric".outbox
	// DROP TABLE IF EXISTS "fabric".batches
	// DROP TABLE IF EXISTS "fabric".layouts
	// DROP TABLE IF EXISTS "fabric".lease
	// DROP TABLE IF EXISTS "fabric".meta
	// DROP SCHEMA IF EXISTS "fabric"
	// <nil>
}
