package sqlite

import (
	"context"
	"fmt"
)

// Uninstall removes all that this package made in the database: triggers, log
// and scratch tables. What was not published is lost.
func Uninstall(ctx context.Context, path string) error {
	c, err := openWriter(ctx, path)
	if err != nil {
		return fmt.Errorf("uninstall: %w", diagnose(path, err))
	}
	defer c.Close()
	if err := uninstall(ctx, c); err != nil {
		return fmt.Errorf("uninstall: %w", diagnose(path, err))
	}
	return nil
}

func uninstall(ctx context.Context, c *connection) error {
	tx, err := c.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	ours, _, err := readTriggers(ctx, tx)
	if err != nil {
		return err
	}
	var stmts []string
	for _, t := range ours {
		stmts = append(stmts, "DROP TRIGGER "+quoteName(t.name))
	}
	for _, table := range []string{"fabric_changes", "fabric_replaced", "fabric_meta"} {
		stmts = append(stmts, "DROP TABLE IF EXISTS "+table)
	}
	for _, stmt := range stmts {
		if _, err := tx.ExecContext(ctx, stmt); err != nil {
			return err
		}
	}
	return tx.Commit()
}
