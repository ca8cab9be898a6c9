package postgres

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
)

// SQLSTATEs that are dealt with here.
const (
	undefinedColumn = "42703"
	undefinedObject = "42704"
	notReady        = "55000" // object_not_in_prerequisite_state
	fileMissing     = "58P01"
	invalidText     = "22P02"
	outOfRange      = "22003"
)

// touch emits, behind the change of a followed row, the mapped rows that point
// to it: by its key before the change and by the one after. They are read as
// they are now, ahead of the log: so touches are compared with what was last
// published (Recall), and so is what the log still has of the tables up to where
// they were read, or else who left a row in the meantime would be forgotten.
//
// after is the place from which Run began if that is a touch of this very row:
// what lies before it is left out.
func (t *tail) touch(ctx context.Context, r *relation, row int, c *publisher.Change, after *touchPlace) error {
	if c.Op == publisher.Update && r.covers(r.table.memory) && !differ(c.Old, c.New, r.table.memory) {
		return nil
	}
	before, now := c.Old[r.table.followKey], c.New[r.table.followKey]
	for _, rule := range r.table.touches {
		if before.Valid {
			if err := t.touchBy(ctx, rule, row, 2*rule.query, &publisher.Cause{Table: r.table.name, Key: before.Text, Old: c.Old}, after); err != nil {
				return err
			}
		}
		if now.Valid && now != before {
			if err := t.touchBy(ctx, rule, row, 2*rule.query+1, &publisher.Cause{Table: r.table.name, Key: now.Text}, after); err != nil {
				return err
			}
		}
	}
	return nil
}

// touchBy emits the rows that one query finds.
func (t *tail) touchBy(ctx context.Context, rule touchRule, row, query int, cause *publisher.Cause, after *touchPlace) error {
	begin := ""
	if after != nil {
		if query < after.query {
			return nil
		}
		if query == after.query {
			begin = after.key
		}
	}
	at := place{timeline: t.history, lsn: t.lsn, row: row, touch: &touchPlace{query: query}}
	err := t.s.touched(ctx, t.catalog, rule, cause.Key, begin, func(touched publisher.Row) error {
		at.touch.key = touched[rule.table.key].Text
		t.s.metrics.touches.Inc()
		t.busy = true
		return t.emit(publisher.Entry{Place: at.String(), Time: t.time, Change: &publisher.Change{
			Table: rule.Table, Op: publisher.Touch, Old: touched, New: touched, Cause: cause, Recall: true,
		}})
	})
	if err == nil {
		err = t.s.queries.do(ctx, func(conn *pgx.Conn) (err error) {
			t.ahead[rule.table], err = insertLSN(ctx, conn)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("touch rows of %s that point to %s %s: %w", rule.Table, cause.Table, cause.Key, err)
	}
	return nil
}

// touched calls f for the rows that point to the followed key, from the key
// begin on, in the order of their keys as bytes.
func (s *Source) touched(ctx context.Context, catalog *pgdb.Catalog, rule touchRule, key, begin string, f func(publisher.Row) error) error {
	t, real := rule.table, catalog.Tables[rule.Table]
	if real == nil {
		return nil // dropped since
	}
	order := "pg_catalog.convert_to(" + pgdb.Quote(t.key) + "::text, 'UTF8')"
	query := "SELECT " + pgdb.QuoteList(t.columns) + " FROM " + from(real) + " WHERE " + pgdb.Quote(rule.Column) + " = $1 AND " +
		pgdb.Quote(t.key) + " IS NOT NULL AND " + order + " >= $2 ORDER BY " + order
	err := s.queries.do(ctx, func(conn *pgx.Conn) error {
		return t.rows(ctx, conn, query, real, f, []byte(key), []byte(`\x`+hex.EncodeToString([]byte(begin))))
	})
	if state := pgdb.State(err); state == invalidText || state == outOfRange {
		return nil // a key that the column cannot hold: nothing points to it
	}
	return err
}

// differ says whether any of the columns does.
func differ(a, b publisher.Row, columns []string) bool {
	return slices.ContainsFunc(columns, func(c string) bool { return a[c] != b[c] })
}
