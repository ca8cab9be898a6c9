package postgres

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/petpro/fabric/publisher"
	"github.com/petpro/fabric/publisher/pgdb"
	"github.com/petpro/fabric/publisher/postgres/pgoutput"
)

// FuzzChange makes a change of a relation and a row as they come from the
// server, whatever it sends. What comes out are the listed columns and no
// other, each as it was sent, or else among those that the log lacks.
func FuzzChange(f *testing.F) {
	names, err := filepath.Glob("pgoutput/testdata/*.hex")
	if err != nil || len(names) == 0 {
		f.Fatalf("no captured logs: %v", err)
	}
	for _, name := range names {
		file, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		var relation []byte
		for lines := bufio.NewScanner(bytes.NewReader(file)); lines.Scan(); {
			data, err := hex.DecodeString(lines.Text())
			if err != nil {
				f.Fatalf("%s: %v", name, err)
			}
			switch data[0] {
			case 'R':
				relation = data
			case 'I', 'U', 'D':
				f.Add(relation, data)
			}
		}
	}
	b := fuzzBinder()
	f.Fuzz(func(t *testing.T, relation, row []byte) {
		var d pgoutput.Decoder
		m, err := d.Decode(relation)
		described, ok := m.(*pgoutput.Relation)
		if err != nil || !ok {
			return
		}
		bound := b.bind(described)
		if bound.table == nil || bound.halt != nil {
			return
		}
		row = bytes.Clone(row)
		m, err = d.Decode(row)
		if err != nil || rowOf(m) == nil {
			return
		}
		var rows rowBuilder
		c, lacking := rows.change(bound, m)
		// What was sent lies in the receive buffer, which is overwritten.
		sent := copyOf(m)
		for i := range row {
			row[i] = '!'
		}
		checkRow(t, bound, c.Old, sent.old, sent.now)
		checkRow(t, bound, c.New, sent.now, sent.old)
		if c.Op == publisher.Delete {
			return
		}
		for _, name := range bound.table.columns {
			if _, known := c.New[name]; known == slices.Contains(lacking, name) {
				t.Errorf("column %s: in New %t, and lacking %t", name, known, !known)
			}
		}
	})
}

// fuzzBinder knows the tables of the captured logs, but for some columns.
func fuzzBinder() binder {
	m := publisher.Mapping{
		Follow: map[string]publisher.Follow{"services": {Key: "id", Columns: []string{"provider"}}},
		Tables: map[string]publisher.Table{"bookings": {Key: "id", Columns: []string{"id", "status", "note", "paid"}}},
	}
	columns := func(names ...string) (cs []pgdb.Column) {
		for i, name := range names {
			cs = append(cs, pgdb.Column{Name: name, Number: int16(i + 1), TypeOID: 25, BaseOID: 25})
		}
		return cs
	}
	return binder{plan: newPlan(m), catalog: &pgdb.Catalog{Tables: map[string]*pgdb.Table{
		"bookings": {Name: pgdb.Name{Schema: "public", Name: "bookings"}, OID: 1, Columns: columns("id", "status", "note", "paid", "updated_at")},
		"services": {Name: pgdb.Name{Schema: "public", Name: "services"}, OID: 2, Columns: columns("id", "provider")},
	}}}
}

// sentRow is a row as it was sent, outside of the receive buffer.
type sentRow struct{ old, now pgoutput.Tuple }

func copyOf(m pgoutput.Message) (s sentRow) {
	switch m := m.(type) {
	case *pgoutput.Insert:
		s.now = m.New
	case *pgoutput.Update:
		s.old, s.now = m.Old, m.New
	case *pgoutput.Delete:
		s.old = m.Old
	}
	for _, t := range []*pgoutput.Tuple{&s.old, &s.now} {
		*t = slices.Clone(*t)
		for i, v := range *t {
			(*t)[i].Data = bytes.Clone(v.Data)
		}
	}
	return s
}

// checkRow compares a row with what was sent of it, or of the other side of the
// update: a large value left as it was may be there, and the key, if the update
// did not touch it.
func checkRow(t *testing.T, r *relation, row publisher.Row, sent, other pgoutput.Tuple) {
	t.Helper()
	for name, got := range row {
		i := slices.IndexFunc(r.columns, func(c logged) bool { return c.name == name })
		if i < 0 {
			t.Errorf("column %s = %q is not listed", name, got.Text)
			continue
		}
		c, from := r.columns[i], sent
		if sent == nil && c.key || sent != nil && sent[c.index].Kind == pgoutput.Unchanged {
			from = other
		}
		if from == nil {
			t.Errorf("column %s = %+v, but nothing was sent of it", name, got)
			continue
		}
		want := publisher.Value{}
		switch v := from[c.index]; v.Kind {
		case pgoutput.Text:
			want = publisher.Value{Text: string(appendText(nil, c.boolean, v.Data)), Valid: true}
		case pgoutput.Unchanged, pgoutput.Omitted:
			t.Errorf("column %s = %+v, but it was not sent", name, got)
		}
		if got != want {
			t.Errorf("column %s = %+v, want %+v", name, got, want)
		}
	}
}
