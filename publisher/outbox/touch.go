package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
)

// moveWithTouches moves rows among which there are changes of followed tables,
// and writes the touches of mapped rows behind them, in the same transaction.
//
// They are not written by a trigger, for that would be wrong: of two
// transactions at the same time, one that gives a service another provider and
// one that books it, neither sees the other's row, and the booking would keep
// the former provider for ever; to exclude that, every booking would have to
// lock its service. Here both are committed, and come one after the other: the
// rows are read after the followed row's change, whatever is committed later is
// logged behind.
//
// The rows are read as they are, which may be ahead of the log: changes that
// are moved with the followed row's, or later, may show in them already. So
// touches and these changes are compared with what was published (see
// batch.seen); compared with the row before, what somebody has lost in between
// would never be taken back.
func (r *reader) moveWithTouches(ctx context.Context) (*batch, error) {
	tx, err := pgdb.Begin(ctx, r.conn.Conn, pgx.TxOptions{})
	if err != nil {
		return nil, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	moved, _, _, err := r.move(ctx, tx, touchingRow, nil)
	if err != nil || moved == nil {
		return nil, err
	}
	if err := r.follows(moved); err != nil {
		return nil, err
	}
	w := &touchWriter{ctx: ctx, tx: tx, query: r.source.queries.touch, ahead: r.ahead, last: place{n: moved.n, tag: moved.tag}, rows: len(moved.layout)}
	for i := range moved.layout {
		if err := r.touch(ctx, tx, w, moved, i); err != nil {
			return nil, fmt.Errorf("touches of entry %s: %w", moved.place(i), err)
		}
	}
	if err := w.flush(); err != nil {
		return nil, err
	}
	return moved, tx.Commit(ctx)
}

// touch writes the touches that entry i of a batch makes.
func (r *reader) touch(ctx context.Context, tx pgx.Tx, w *touchWriter, b *batch, i int) error {
	rec := b.record(i)
	l := r.decode.layouts[rec.layout]
	if l == nil || rec.op == opTouch || rec.op == opHole {
		return nil // Run does not go beyond a hole
	}
	t := r.source.plan[l.table]
	if t == nil || len(t.touches) == 0 {
		return nil
	}
	c, err := r.decode.change(rec)
	if err != nil || !t.altered(c) {
		return err
	}
	before, now := c.Old[t.followKey], c.New[t.followKey]
	for _, rule := range t.touches {
		// The rows that point to what the row was, and, if it has another key
		// now, those that point to what was not there before.
		if before.Valid {
			if err := r.touchRows(ctx, tx, w, rule, rec, cause{rec.layout, before.Text}, rec.old); err != nil {
				return err
			}
		}
		if now.Valid && now != before {
			if err := r.touchRows(ctx, tx, w, rule, rec, cause{rec.layout, now.Text}, pgtype.Text{}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reader) touchRows(ctx context.Context, tx pgx.Tx, w *touchWriter, rule publisher.TouchRule, rec record, by cause, old pgtype.Text) error {
	real := r.decode.catalog.Tables[rule.Table]
	if real == nil {
		return fmt.Errorf("table %s is not known", rule.Table)
	}
	if _, ok := real.Column(rule.Column); !ok {
		return fmt.Errorf("table %s has no column %s", rule.Table, rule.Column)
	}
	touched := newLayout(r.source.plan[rule.Table], real)
	if r.decode.layouts[touched.id] == nil {
		return fmt.Errorf("table %s was altered: %w", rule.Table, errUnknownLayout)
	}
	named, err := json.Marshal(by)
	if err != nil {
		return err
	}
	query := fmt.Sprintf("SELECT %s FROM %s t WHERE t.%s = %s",
		recordSQL("t", touched.columns), real.Quoted(), quote(rule.Column), pgdb.QuoteLiteral(by.Key))
	err = eachRecord(ctx, tx, query, func(row string) error { return w.add(touched.id, rec.at, string(named), old, row) })
	if state := pgdb.State(err); state == invalidText || state == outOfRange {
		return fmt.Errorf("%w: %s.%s cannot hold the key %q of %s: give both the same type", publisher.ErrHalt, rule.Table, rule.Column, clip(by.Key), rule.Followed)
	}
	return err
}

// touchWriter collects touches into batches.
type touchWriter struct {
	ctx   context.Context
	tx    pgx.Tx
	query string
	ahead int64
	// last batch written, and its length.
	last place
	rows int

	layout []int32
	op     strings.Builder
	at     []time.Time
	named  []string
	old    []pgtype.Text
	new    []string
	size   int
}

func (w *touchWriter) add(layout int32, at time.Time, named string, old pgtype.Text, row string) error {
	w.layout, w.at, w.named = append(w.layout, layout), append(w.at, at), append(w.named, named)
	w.old, w.new = append(w.old, old), append(w.new, row)
	w.op.WriteByte(opTouch)
	if w.size += len(old.String) + len(row); len(w.layout) < batchRows && w.size < batchBytes {
		return nil
	}
	return w.flush()
}

func (w *touchWriter) flush() error {
	if len(w.layout) == 0 {
		return nil
	}
	next := place{n: w.last.n + 1, tag: newTag()}
	if _, err := w.tx.Exec(w.ctx, w.query, next.n, next.tag, w.last.tag, w.rows, w.layout, w.op.String(), w.at, w.named, w.old, w.new, w.ahead); err != nil {
		return err
	}
	w.last, w.rows, w.size = next, len(w.layout), 0
	w.layout, w.at, w.named, w.old, w.new = nil, nil, nil, nil, nil
	w.op.Reset()
	return nil
}
