package pgoutput

import (
	"context"
	"errors"
	"fmt"
)

// Slot is a replication slot just created.
type Slot struct {
	Name string
	// Start is where it starts: its stream has the transactions that commit at
	// Start or behind it.
	Start LSN
	// Snapshot is the name of a snapshot of all that committed before Start, for
	// SET TRANSACTION SNAPSHOT on other connections. It lasts until the next
	// command on this connection, or its Close.
	Snapshot string
}

// CreateSlot creates a logical slot and exports its snapshot. It waits until
// the transactions are over which write at the moment: bound it by ctx; a slot
// half made goes with the connection. failover, for PostgreSQL 17 and newer,
// has standbys keep a copy of the slot. SQLSTATE 42710: there is such a slot;
// 55000: wal_level is not logical; 53400: all max_replication_slots are in use.
func (c *Conn) CreateSlot(ctx context.Context, name string, failover bool) (Slot, error) {
	s, err := c.createSlot(ctx, name, failover)
	if err != nil {
		return Slot{}, c.fail(ctx, CreatingSlot, name, err)
	}
	return s, nil
}

func (c *Conn) createSlot(ctx context.Context, name string, failover bool) (Slot, error) {
	command, err := createCommand(c.version, name, failover)
	if err != nil {
		return Slot{}, err
	}
	row, err := c.query(ctx, command, 3)
	if err != nil {
		return Slot{}, err
	}
	s := Slot{Name: string(row[0]), Snapshot: string(row[2])}
	if s.Start, err = ParseLSN(string(row[1])); err != nil {
		return Slot{}, fmt.Errorf("consistent point: %w", err)
	}
	return s, nil
}

var errFailover = errors.New("failover slots need PostgreSQL 17")

func createCommand(version int, name string, failover bool) (string, error) {
	command := "CREATE_REPLICATION_SLOT " + quote(name) + " LOGICAL pgoutput "
	switch {
	case failover && version < 17:
		return "", errFailover
	case failover:
		return command + "(SNAPSHOT 'export', FAILOVER true)", nil
	case version < 15:
		return command + "EXPORT_SNAPSHOT", nil
	default:
		return command + "(SNAPSHOT 'export')", nil
	}
}

// DropSlot drops a slot that nobody uses (else SQLSTATE 55006). There may be
// none (42704).
func (c *Conn) DropSlot(ctx context.Context, name string) error {
	if _, err := c.pg.Exec(ctx, "DROP_REPLICATION_SLOT "+quote(name)).ReadAll(); err != nil {
		return c.fail(ctx, DroppingSlot, name, err)
	}
	return nil
}
