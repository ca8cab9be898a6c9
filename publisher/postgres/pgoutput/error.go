package pgoutput

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrSilent is returned when the server said nothing for Options.Silence: its
// process hangs, or the network does.
var ErrSilent = errors.New("the server has fallen silent")

// ErrEnded is returned when the server ended the stream in good order, which it
// does when it is shut down.
var ErrEnded = errors.New("the server ended the stream, as it is shutting down")

// Phase is what a connection was at when it failed.
type Phase string

// The phases.
const (
	Connecting     Phase = "connect for replication"
	Identifying    Phase = "identify the system"
	ReadingHistory Phase = "read the history of timelines"
	CreatingSlot   Phase = "create a replication slot"
	DroppingSlot   Phase = "drop a replication slot"
	Starting       Phase = "start replication"
	Streaming      Phase = "stream"
	Closing        Phase = "end replication"
)

// Error is what all methods of Conn and Stream return, but for the error of a
// context, which comes as it is. What the server itself said is a
// *pgconn.PgError inside.
type Error struct {
	Phase Phase
	// Slot is empty if the phase has none.
	Slot string
	Err  error
}

func (e *Error) Error() string {
	if e.Slot == "" {
		return fmt.Sprintf("%s: %v", e.Phase, e.Err)
	}
	return fmt.Sprintf("%s, slot %s: %v", e.Phase, e.Slot, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// SQLState is the code of the server's error ("55006"), empty if it is not the
// server's. What they mean is in appendix A of PostgreSQL's documentation.
func (e *Error) SQLState() string {
	if pg, ok := errors.AsType[*pgconn.PgError](e.Err); ok {
		return pg.Code
	}
	return ""
}
