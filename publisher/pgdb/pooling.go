package pgdb

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// PoolMode is what a pooler on the way to the server does.
type PoolMode int

// The pool modes.
const (
	// Direct: there is no pooler.
	Direct PoolMode = iota
	// PoolSession: a connection has a server connection of its own.
	PoolSession
	// PoolTransaction: only a transaction has one. LISTEN, session advisory
	// locks, replication and settings of the session do not work.
	PoolTransaction
)

func (m PoolMode) String() string {
	switch m {
	case Direct:
		return "direct"
	case PoolSession:
		return "a pooler in session mode"
	default:
		return "a pooler in transaction mode"
	}
}

// poolWait bounds how long the second connection waits for a server connection:
// a pool of one in session mode has none for it.
const poolWait = 2 * time.Second

// Pooling finds out whether a pooler stands before the server, and its mode, by
// two connections that ask for the process that serves them. In transaction
// mode they meet the same one, or one of them meets several.
func Pooling(ctx context.Context, dsn string) (PoolMode, error) {
	opts := Options{Application: "fabric", Pooled: true}
	first, err := Connect(ctx, dsn, opts)
	if err != nil {
		return Direct, err
	}
	defer closeQuietly(ctx, first)
	served, err := servedBy(ctx, first)
	if err != nil {
		return Direct, err
	}
	if served == first.PgConn().PID() {
		return Direct, nil // a pooler makes up the id that cancels queries
	}
	return secondOpinion(ctx, dsn, opts, first, served)
}

func secondOpinion(ctx context.Context, dsn string, opts Options, first *pgx.Conn, served uint32) (PoolMode, error) {
	limited, cancel := context.WithTimeout(ctx, poolWait)
	defer cancel()
	second, err := Connect(limited, dsn, opts)
	if err != nil {
		return busyOr(ctx, limited, err)
	}
	defer closeQuietly(ctx, second)
	by := map[*pgx.Conn]uint32{first: served}
	// Not by turns: two servers taken by turns would look like two sessions.
	for _, conn := range []*pgx.Conn{second, second, first, first, first, second, first, second} {
		pid, err := servedBy(limited, conn)
		if err != nil {
			return busyOr(ctx, limited, err)
		}
		if before, ok := by[conn]; ok && before != pid {
			return PoolTransaction, nil
		}
		by[conn] = pid
		if by[first] == by[second] {
			return PoolTransaction, nil
		}
	}
	return PoolSession, nil
}

// busyOr takes a second connection that is not served for a pool of sessions.
func busyOr(ctx, limited context.Context, err error) (PoolMode, error) {
	if ctx.Err() == nil && limited.Err() != nil {
		return PoolSession, nil
	}
	return Direct, err
}

func servedBy(ctx context.Context, conn *pgx.Conn) (pid uint32, err error) {
	if err := conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		return 0, Translate(fmt.Errorf("ask which process serves: %w", err))
	}
	return pid, nil
}

func closeQuietly(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}
