package postgres

import (
	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/postgres/pgoutput"
)

// rowBuilder makes rows of tuples. It belongs to one goroutine.
type rowBuilder struct {
	// texts of the row being made: one allocation for all of its values.
	texts []byte
	ends  []int
}

// row holds the columns of t that the log has; the names of unchanged large
// values are added to unknown.
func (b *rowBuilder) row(r *relation, t pgoutput.Tuple, unknown []string) (publisher.Row, []string) {
	b.texts, b.ends = b.texts[:0], b.ends[:0]
	for _, c := range r.columns {
		if v := t[c.index]; v.Kind == pgoutput.Text {
			b.texts = appendText(b.texts, c.boolean, v.Data)
		}
		b.ends = append(b.ends, len(b.texts))
	}
	row := make(publisher.Row, len(r.columns))
	text, begin := string(b.texts), 0
	for i, c := range r.columns {
		switch t[c.index].Kind {
		case pgoutput.Text:
			row[c.name] = publisher.Value{Text: text[begin:b.ends[i]], Valid: true}
		case pgoutput.Null:
			row[c.name] = publisher.Value{}
		case pgoutput.Unchanged:
			unknown = append(unknown, c.name)
		case pgoutput.Omitted:
		}
		begin = b.ends[i]
	}
	return row, unknown
}

// appendText writes a value as publisher.Row has it: as PostgreSQL prints it, but
// for booleans.
func appendText(b []byte, boolean bool, v []byte) []byte {
	if boolean && len(v) == 1 {
		switch v[0] {
		case 't':
			return append(b, "true"...)
		case 'f':
			return append(b, "false"...)
		}
	}
	return append(b, v...)
}

// change of one row, as far as the log knows it; lacking are the columns of New
// that have to be read from the table.
func (b *rowBuilder) change(r *relation, m pgoutput.Message) (c *publisher.Change, lacking []string) {
	c = &publisher.Change{Table: r.table.name}
	switch m := m.(type) {
	case *pgoutput.Insert:
		c.Op = publisher.Insert
		c.New, lacking = b.row(r, m.New, nil)
	case *pgoutput.Update:
		c.Op, c.Recall = publisher.Update, r.recall
		c.New, lacking = b.row(r, m.New, nil)
		c.Old, lacking = b.old(r, m, c.New, lacking)
	case *pgoutput.Delete:
		c.Op, c.Recall = publisher.Delete, r.recall
		c.Old, _ = b.row(r, m.Old, nil)
		return c, nil
	}
	return c, append(lacking, r.absent...)
}

// old is what the log tells of the row before an update. Large values that it
// has of the old row, and which the update left as they were, are added to the
// new one.
func (b *rowBuilder) old(r *relation, m *pgoutput.Update, now publisher.Row, lacking []string) (old publisher.Row, left []string) {
	if m.Sent == pgoutput.OldNothing {
		// The columns of the identity are as they were.
		old = make(publisher.Row, 2)
		for _, c := range r.columns {
			if v, ok := now[c.name]; ok && c.key {
				old[c.name] = v
			}
		}
		return old, lacking
	}
	old, _ = b.row(r, m.Old, nil)
	left = lacking[:0]
	for _, name := range lacking {
		if v, ok := old[name]; ok {
			now[name] = v
		} else {
			left = append(left, name)
		}
	}
	return old, left
}
