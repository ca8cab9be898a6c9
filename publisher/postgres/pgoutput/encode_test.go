package pgoutput_test

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/petpro/fabric/publisher/postgres/pgoutput"
)

// encode is the opposite of Decode, for all that it returns but Ignored.
func encode(m pgoutput.Message) []byte {
	switch m := m.(type) {
	case *pgoutput.Begin:
		return number32(micros(number64([]byte{'B'}, m.Commit), m.Time), m.XID)
	case *pgoutput.Commit:
		return micros(number64(number64([]byte{'C', 0}, m.LSN), m.End), m.Time)
	case *pgoutput.Origin:
		return word(number64([]byte{'O'}, m.LSN), m.Name)
	case *pgoutput.Relation:
		b := append(word(word(number32([]byte{'R'}, m.OID), m.Schema), m.Name), m.Identity)
		b = binary.BigEndian.AppendUint16(b, uint16(len(m.Columns)))
		for _, c := range m.Columns {
			b = word(append(b, flag01(c.Key)), c.Name)
			b = number32(number32(b, c.Type), uint32(c.Modifier))
		}
		return b
	case *pgoutput.Type:
		return word(word(number32([]byte{'Y'}, m.OID), m.Schema), m.Name)
	case *pgoutput.Insert:
		return tuple(append(number32([]byte{'I'}, m.Relation.OID), 'N'), m.New)
	case *pgoutput.Update:
		b := number32([]byte{'U'}, m.Relation.OID)
		if m.Sent != pgoutput.OldNothing {
			b = tuple(append(b, byte(m.Sent)), m.Old)
		}
		return tuple(append(b, 'N'), m.New)
	case *pgoutput.Delete:
		return tuple(append(number32([]byte{'D'}, m.Relation.OID), byte(m.Sent)), m.Old)
	case *pgoutput.Truncate:
		b := append(number32([]byte{'T'}, uint32(len(m.Relations))), flag01(m.Cascade)|flag01(m.RestartIdentity)<<1)
		for _, r := range m.Relations {
			b = number32(b, r.OID)
		}
		return b
	}
	panic(fmt.Sprintf("%T", m))
}

func tuple(b []byte, t pgoutput.Tuple) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(t)))
	for _, v := range t {
		switch v.Kind {
		case pgoutput.Omitted:
			b = append(b, 'n')
		case pgoutput.Text:
			b = append(number32(append(b, 't'), uint32(len(v.Data))), v.Data...)
		default:
			b = append(b, byte(v.Kind))
		}
	}
	return b
}

func number32(b []byte, n uint32) []byte       { return binary.BigEndian.AppendUint32(b, n) }
func number64(b []byte, n pgoutput.LSN) []byte { return binary.BigEndian.AppendUint64(b, uint64(n)) }
func word(b []byte, s string) []byte           { return append(append(b, s...), 0) }

func micros(b []byte, t time.Time) []byte {
	since := t.UnixMicro() - time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	return binary.BigEndian.AppendUint64(b, uint64(since))
}

func flag01(b bool) byte {
	if b {
		return 1
	}
	return 0
}
