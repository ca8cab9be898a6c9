package pgoutput_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/petpro/fabric/publisher/postgres/pgoutput"
)

var captures = []string{"postgresql-15.hex", "postgresql-17.hex"}

// bookings describes a table of two columns, OID 1.
var bookings = encode(&pgoutput.Relation{OID: 1, Schema: "public", Name: "bookings", Identity: 'd',
	Columns: []pgoutput.Column{{Name: "id", Key: true, Type: 25, Modifier: -1}, {Name: "status", Type: 25, Modifier: -1}}})

func ExampleDecoder() {
	var d pgoutput.Decoder
	for _, data := range [][]byte{
		bookings,
		[]byte("U\x00\x00\x00\x01" + "N\x00\x02" + "t\x00\x00\x00\x02b1" + "t\x00\x00\x00\x09confirmed"),
	} {
		m, err := d.Decode(data)
		if err != nil {
			fmt.Println(err)
			return
		}
		if m, ok := m.(*pgoutput.Update); ok {
			for i, column := range m.Relation.Columns {
				fmt.Printf("%s.%s = %s\n", m.Relation.Name, column.Name, m.New[i].Data)
			}
		}
	}
	// Output:
	// bookings.id = b1
	// bookings.status = confirmed
}

// Every error says which message, where, and what should have been there.
func TestDecodeError(t *testing.T) {
	for _, test := range []struct{ name, message, want string }{
		{"empty", "", "empty message, byte 0 of 0: want a message type"},
		{"unknown", "X", "'X' message, byte 0 of 1: want a message type of protocol version 1"},
		{"streamed", "S\x00\x00\x00\x01\x01", "'S' message, byte 0 of 6: want a message type of protocol version 1"},
		{"short", "B\x00", "Begin message, byte 1 of 2: want the commit's LSN"},
		{"long", "Y\x00\x00\x00\x01s\x00n\x00!", "Type message, byte 9 of 10: want its end"},
		{"no end of name", "Y\x00\x00\x00\x01s\x00n", "Type message, byte 7 of 8: want the type's name, ended by a zero"},
		{"columns", "R\x00\x00\x00\x01s\x00n\x00d\xff\xff", "Relation message, byte 12 of 12: want 65535 times 10 bytes or more, not 0 in all"},
		{"relation", "I\x00\x00\x00\x09N", "Insert message, byte 1 of 6: want a relation that was described before, not 9"},
		{"kind of row", "I\x00\x00\x00\x01O", "Insert message, byte 5 of 6: want N, a new row"},
		{"kind of old row", "U\x00\x00\x00\x01X", "Update message, byte 5 of 6: want K or O, an old row"},
		{"no row", "D\x00\x00\x00\x01", "Delete message, byte 5 of 5: want K or O, an old row"},
		{"too few values", "I\x00\x00\x00\x01N\x00\x01n", "Insert message, byte 6 of 9: want the 2 columns of public.bookings, not 1"},
		{"binary", "I\x00\x00\x00\x01N\x00\x02nb\x00\x00\x00\x01x", "Insert message, byte 9 of 15: want n, u or t, a value"},
		{"length", "I\x00\x00\x00\x01N\x00\x02nt\xff\xff\xff\xffx", "Insert message, byte 10 of 15: want the length of a value, at most 1, not 4294967295"},
		{"no second value", "I\x00\x00\x00\x01N\x00\x02n", "Insert message, byte 9 of 9: want n, u or t, a value"},
		{"no new row", "U\x00\x00\x00\x01K\x00\x02nn", "Update message, byte 10 of 10: want K, O or N, a row"},
		{"relations", "T\x7f\xff\xff\xff\x00\x00\x00\x00\x01", "Truncate message, byte 6 of 10: want 2147483647 times 4 bytes or more, not 4 in all"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var d pgoutput.Decoder
			if _, err := d.Decode(bookings); err != nil {
				t.Fatal(err)
			}
			m, err := d.Decode([]byte(test.message))
			if _, ok := errors.AsType[*pgoutput.DecodeError](err); !ok || m != nil || err.Error() != "pgoutput: "+test.want {
				t.Errorf("Decode(%q) = %v, %v; want %s", test.message, m, err, test.want)
			}
			// A message that is wrong does no harm to those behind it.
			if _, err := d.Decode([]byte("I\x00\x00\x00\x01N\x00\x02nn")); err != nil {
				t.Errorf("Decode of an Insert after that: %v", err)
			}
		})
	}
}

// Messages cut short, or with something behind them, are refused.
func TestDecodeCut(t *testing.T) {
	for _, name := range captures {
		var d pgoutput.Decoder
		for i, data := range captured(t, name) {
			if _, err := d.Decode(data); err != nil {
				t.Fatalf("%s: message %d: %v", name, i, err)
			}
			for n := range min(len(data), 300) {
				if m, err := d.Decode(data[:n]); err == nil {
					t.Errorf("%s: the first %d bytes of %x are %s", name, n, data, text(m))
				}
			}
			if m, err := d.Decode(append(slices.Clone(data), 0)); err == nil {
				t.Errorf("%s: %x and a zero are %s", name, data, text(m))
			}
		}
	}
}

func TestDecodeFields(t *testing.T) {
	when := time.Date(2026, 11, 22, 19, 27, 47, 541933000, time.UTC)
	for _, want := range []pgoutput.Message{
		&pgoutput.Begin{Commit: 0x1_0000_0002, Time: when, XID: 7},
		&pgoutput.Commit{LSN: 3, End: 4, Time: when},
		&pgoutput.Origin{LSN: 5, Name: "elsewhere"},
		&pgoutput.Type{OID: 6, Schema: "s", Name: "n"},
		&pgoutput.Relation{OID: 8, Name: "pg_t", Identity: 'n', Columns: []pgoutput.Column{{Name: "c", Type: 9, Modifier: 24}}},
	} {
		var d pgoutput.Decoder
		if got, err := d.Decode(encode(want)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Decode = %+v, %v; want %+v", got, err, want)
		}
	}
	var d pgoutput.Decoder
	if m, err := d.Decode([]byte("M whatever it is")); err != nil || !reflect.DeepEqual(m, &pgoutput.Ignored{}) {
		t.Errorf("Decode of a logical message = %v, %v; want Ignored", m, err)
	}
}

// FuzzDecode describes a relation and then decodes a message. What is accepted
// is what encode makes of it.
func FuzzDecode(f *testing.F) {
	for _, name := range captures {
		var relation []byte
		for _, data := range captured(f, name) {
			if data[0] == 'R' {
				relation = data
			}
			f.Add(relation, data)
		}
	}
	f.Fuzz(func(t *testing.T, relation, message []byte) {
		var d pgoutput.Decoder
		for _, data := range [][]byte{relation, message} {
			m, err := d.Decode(data)
			if err != nil {
				e, ok := errors.AsType[*pgoutput.DecodeError](err)
				if !ok || m != nil || e.Offset < 0 || e.Offset > len(data) || e.Want == "" {
					t.Fatalf("Decode(%q) = %v, %#v", data, m, err)
				}
				continue
			}
			if _, ok := m.(*pgoutput.Ignored); ok {
				continue
			}
			printed, again := text(m), encode(m)
			if len(again) != len(data) || data[0] != 'R' && data[0] != 'C' && data[0] != 'T' && !bytes.Equal(again, data) {
				t.Fatalf("%q is %s, which is %q", data, printed, again)
			}
			// Those three have bits that mean nothing.
			if m, err := d.Decode(again); err != nil || text(m) != printed {
				t.Fatalf("%q is %s, but encoded again %v, %v", data, printed, m, err)
			}
		}
	})
}

// BenchmarkDecode decodes a captured log, some rows of which are large.
func BenchmarkDecode(b *testing.B) {
	messages := captured(b, captures[0])
	b.ReportAllocs()
	for b.Loop() {
		var d pgoutput.Decoder
		for _, m := range messages {
			if _, err := d.Decode(m); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(messages)), "ns/message")
}

// BenchmarkDecodeUpdate decodes an update with its old row, of 12 columns.
func BenchmarkDecodeUpdate(b *testing.B) {
	r := &pgoutput.Relation{OID: 1, Schema: "public", Name: "bookings", Identity: 'f'}
	var t pgoutput.Tuple
	for i := range 12 {
		r.Columns = append(r.Columns, pgoutput.Column{Name: fmt.Sprint("column", i), Key: true, Type: 25, Modifier: -1})
		t = append(t, pgoutput.Value{Kind: pgoutput.Text, Data: []byte(strings.Repeat("v", 3*i))})
	}
	update := encode(&pgoutput.Update{Relation: r, Sent: pgoutput.OldRow, Old: t, New: t})
	var d pgoutput.Decoder
	if _, err := d.Decode(encode(r)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Decode(update); err != nil {
			b.Fatal(err)
		}
	}
}
