package postgres

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/petpro/fabric/publisher/pgdb"
)

// queries is the connection for what the log does not say: large values, rows
// to be touched, the state of the slot. It is opened when it is needed, and
// again after it broke.
type queries struct {
	dsn, application string

	mu   sync.Mutex
	conn *pgx.Conn // guarded by mu; nil while closed
}

// do runs f with the connection. Errors are translated.
func (q *queries) do(ctx context.Context, f func(*pgx.Conn) error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.locked(ctx, f)
}

// try is do, unless the connection is busy: then it returns false.
func (q *queries) try(ctx context.Context, f func(*pgx.Conn) error) (bool, error) {
	if !q.mu.TryLock() {
		return false, nil
	}
	defer q.mu.Unlock()
	return true, q.locked(ctx, f)
}

func (q *queries) locked(ctx context.Context, f func(*pgx.Conn) error) error {
	if q.conn != nil && q.conn.IsClosed() {
		closeConn(q.conn)
		q.conn = nil
	}
	if q.conn == nil {
		conn, err := pgdb.Connect(ctx, q.dsn, pgdb.Options{Application: q.application})
		if err != nil {
			return err
		}
		q.conn = conn
	}
	return pgdb.Translate(f(q.conn))
}

func (q *queries) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.conn != nil {
		closeConn(q.conn)
		q.conn = nil
	}
}

// textRows calls f for each row of a query, as it arrives, with all values as
// text. The values are overwritten by the next row. Parameters are text, too;
// the server finds out their types.
func textRows(ctx context.Context, conn *pgx.Conn, query string, f func(fields []pgconn.FieldDescription, values [][]byte) error, params ...[]byte) error {
	reader := conn.PgConn().ExecParams(ctx, query, params, nil, nil, nil)
	for reader.NextRow() {
		if err := f(reader.FieldDescriptions(), reader.Values()); err != nil {
			// What is left would have to be read to its end.
			closeConn(conn)
			return err
		}
	}
	_, err := reader.Close()
	return err
}
