package outbox

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
)

// reader goes through the batch log for one Run, in its goroutine, and makes
// the next batch when it has reached the end.
type reader struct {
	source *Source
	conn   *conn
	decode *decoder
	// last is the batch emitted last, or where Run begins; rows is its length.
	last place
	rows int
	// ahead is that of the newest batch.
	ahead int64
	// moveQuery is the query, or the name under which the session has prepared it.
	moveQuery string
	horizon   horizon
	// known are all layouts, following those of followed tables, touching those
	// whose rows have touches.
	known, following, touching []int32
}

// moveName is that of the prepared statement of a session: to plan it anew for
// each look would take longer than to execute it.
const moveName = "fabric_move"

func (s *Source) newReader(ctx context.Context, c *conn) (*reader, error) {
	r := &reader{source: s, conn: c, moveQuery: s.queries.move}
	r.horizon.reset()
	if c.pooled {
		return r, nil
	}
	r.moveQuery = moveName
	_, err := c.Prepare(ctx, moveName, s.queries.move)
	return r, err
}

// setLayouts learns which layouts need more than to be moved.
func (r *reader) setLayouts() {
	r.known, r.following, r.touching = []int32{}, []int32{}, []int32{}
	for id, l := range r.decode.layouts {
		r.known = append(r.known, id)
		t := r.source.plan[l.table]
		if t == nil || !t.followed {
			continue
		}
		r.following = append(r.following, id)
		if len(t.touches) > 0 {
			r.touching = append(r.touching, id)
		}
	}
}

// begin checks that the log has what follows the place, and returns the batch
// to begin with.
func (r *reader) begin(ctx context.Context, from place) error {
	var newest pgtype.Int8
	var tag, behind pgtype.Text
	var rows, behindRows pgtype.Int4
	q := r.source.queries
	if err := r.conn.QueryRow(ctx, q.start, from.n).Scan(&newest, &r.ahead, &tag, &rows, &behind, &behindRows); err != nil {
		return err
	}
	lost := func(format string, args ...any) error {
		return fmt.Errorf(format+": %w", append(args, publisher.ErrLost)...)
	}
	switch {
	case tag.Valid && tag.String == from.tag:
		// Read it again, from its first row on: it is the one at hand.
		r.last = place{n: from.n - 1}
		return nil
	case tag.Valid:
		return lost("batch %d is another than the one published: the database was restored, or the outbox made anew", from.n)
	case newest.Int64 < from.n:
		return lost("the batch log ends at %d: the database was restored, or the outbox made anew", newest.Int64)
	case behind.Valid && behind.String == from.tag && from.row >= int(behindRows.Int32)-1:
		r.last, r.rows = place{n: from.n, tag: from.tag}, int(behindRows.Int32)
		return nil
	}
	return lost("batches up to %d and more were confirmed by somebody else", from.n)
}

// look returns the next batch, nil if there is nothing. The statements before
// run in the same round trip; each gives one boolean.
func (r *reader) look(ctx context.Context, before ...string) (*batch, []bool, error) {
	found, flags, kind, err := r.move(ctx, r.conn, plainRow, before)
	for tries := 0; err == nil && found == nil && kind != plainRow; tries++ {
		if kind == unknownRow {
			if tries > 0 {
				return nil, flags, fmt.Errorf("%w: a row of the outbox has a layout that is not in the table layouts", publisher.ErrHalt)
			}
			if err = r.prepare(ctx); err == nil {
				found, _, kind, err = r.move(ctx, r.conn, plainRow, nil)
			}
			continue
		}
		found, err = r.moveWithTouches(ctx)
		break
	}
	if collided(err) {
		// Another publisher has made the batch just now: read that one.
		found, _, _, err = r.move(ctx, r.conn, plainRow, nil)
	}
	if err == nil && found != nil {
		err = r.follows(found)
	}
	return found, flags, err
}

// move reads the next batch, or makes it of rows up to the highest kind. kind is
// that of the first row there was. flags are the results of the statements
// before.
func (r *reader) move(ctx context.Context, db pgdb.DB, highest int, before []string) (found *batch, flags []bool, kind int, err error) {
	var got nullable
	var newest pgtype.Int8
	var sync string
	var ids moved
	queue := &pgx.Batch{}
	for _, sql := range before {
		queue.Queue(sql).QueryRow(func(row pgx.Row) error {
			var flag bool
			flags = append(flags, flag)
			return row.Scan(&flags[len(flags)-1])
		})
	}
	next := r.last.n + 1
	queue.Queue(r.moveQuery, next, newTag(), r.last.tag, r.rows, r.touching, highest, r.following, r.known, r.horizon.floor,
		r.ahead, highest == touchingRow).QueryRow(func(row pgx.Row) error {
		return row.Scan(append([]any{&newest, &kind, &ids.min, &ids.max, &ids.oldest, &ids.own, &sync}, got.targets()...)...)
	})
	if err := db.SendBatch(ctx, queue).Close(); err != nil {
		return nil, flags, kind, err
	}
	found = got.batch()
	ids.empty = found == nil && kind == plainRow && newest.Int64 < next
	r.horizon.note(ids)
	switch {
	case found == nil && newest.Valid && newest.Int64 > r.last.n && newest.Int64 != next:
		return nil, flags, kind, fmt.Errorf("batch %d was confirmed by somebody else, who is at %d: %w", next, newest.Int64, publisher.ErrLost)
	case r.last.tag != "" && newest.Int64 < r.last.n:
		return nil, flags, kind, fmt.Errorf("the batch log ends at %d and had come to %d: the database was restored, or the outbox made anew: %w", newest.Int64, r.last.n, publisher.ErrLost)
	}
	return found, flags, kind, nil
}

// follows checks that a batch is the next of the same history.
func (r *reader) follows(b *batch) error {
	if r.last.tag != "" && b.priorTag != r.last.tag {
		return fmt.Errorf("batch %d follows another batch %d than the one published: the database was restored, or the outbox made anew: %w",
			b.n, r.last.n, publisher.ErrLost)
	}
	if r.last.tag != "" && b.discarded > 0 {
		return fmt.Errorf("an initial publication has taken %d changes out of the outbox: %w", b.discarded, publisher.ErrLost)
	}
	return b.check()
}

// passed says that the batch was emitted.
func (r *reader) passed(b *batch) {
	r.last, r.rows = place{n: b.n, tag: b.tag}, len(b.layout)
	r.ahead = max(r.ahead, b.ahead)
}

// entry i of a batch.
func (r *reader) entry(b *batch, i int) (publisher.Entry, error) {
	rec := b.record(i)
	c, err := r.decode.change(rec)
	if err != nil {
		return publisher.Entry{}, fmt.Errorf("entry %s: %w", b.place(i), err)
	}
	if c != nil && i < b.seen && r.source.plan.touched(c.Table) {
		c.Recall = true
	}
	return publisher.Entry{Place: b.place(i).String(), Time: rec.at.UTC(), Change: c}, nil
}
