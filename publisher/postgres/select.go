package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
)

// from is the table in SQL. Inheriting tables are tables of their own in the
// log, so they are left out here, too; partitions are in the log as their root.
func from(real *pgdb.Table) string {
	if real.Kind == pgdb.Partitioned {
		return real.Quoted()
	}
	return "ONLY " + real.Quoted()
}

// each calls f for every row as the connection's transaction sees it. Rows come
// one by one from the server; nothing is held.
func (t *table) each(ctx context.Context, conn *pgx.Conn, catalog *pgdb.Catalog, f func(publisher.Row) error) error {
	real := catalog.Tables[t.name]
	return t.rows(ctx, conn, "SELECT "+pgdb.QuoteList(t.columns)+" FROM "+from(real), real, f)
}

// rows calls f for each row of a query for t.columns.
func (t *table) rows(ctx context.Context, conn *pgx.Conn, query string, real *pgdb.Table, f func(publisher.Row) error, params ...[]byte) error {
	err := textRows(ctx, conn, query, func(fields []pgconn.FieldDescription, values [][]byte) error {
		return f(textRow(fields, values))
	}, params...)
	if pgdb.State(err) == undefinedColumn {
		return t.goneFrom(real, err)
	}
	return err
}

// textRow is a row of a query in which each column has its own name.
func textRow(fields []pgconn.FieldDescription, values [][]byte) publisher.Row {
	size := 0
	for _, v := range values {
		size += len(v)
	}
	texts := make([]byte, 0, size+4*len(values))
	row := make(publisher.Row, len(values))
	ends := make([]int, len(values))
	for i, v := range values {
		texts = appendText(texts, fields[i].DataTypeOID == pgdb.BoolOID, v)
		ends[i] = len(texts)
	}
	all, begin := string(texts), 0
	for i, v := range values {
		row[fields[i].Name] = publisher.Value{Text: all[begin:ends[i]], Valid: v != nil}
		begin = ends[i]
	}
	return row
}

// goneFrom is relation.gone for a table that is read and not logged.
func (t *table) goneFrom(real *pgdb.Table, err error) error {
	names := make([]string, len(real.Columns))
	for i, c := range real.Columns {
		names[i] = c.Name
	}
	return fmt.Errorf("%w: table %s lacks a column of the mapping (%w), it has, or had just now, %s; name the right one in the mapping of %q and start again",
		publisher.ErrHalt, real.Name, err, strings.Join(names, ", "), t.name)
}

// reread adds what the log lacks of c.New from the table as it is now. If the
// row was deleted since, or has another key, nobody knows any more.
func (s *Source) reread(ctx context.Context, r *relation, c *publisher.Change, lacking []string) error {
	s.metrics.rereads.Inc()
	key, ok := c.New[r.table.key]
	found := false
	if ok && key.Valid && r.real != nil {
		query := "SELECT " + pgdb.QuoteList(lacking) + " FROM " + from(r.real) + " WHERE " + pgdb.Quote(r.table.key) + " = $1"
		err := s.queries.do(ctx, func(conn *pgx.Conn) error {
			return r.table.rows(ctx, conn, query, r.real, func(row publisher.Row) error {
				found = true
				for name, v := range row {
					c.New[name] = v
				}
				return nil
			}, []byte(key.Text))
		})
		if err != nil {
			return fmt.Errorf("read columns %s of table %s, which the log does not repeat: %w", strings.Join(lacking, ", "), r.real.Name, err)
		}
	}
	c.Unknown = !found
	return nil
}
